"""Scores of COCO result files, of keypoints or of boxes as the results tell."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jaxpose.annotations.json_files import load_json
from jaxpose.annotations.validation import in_file, mapping, present, sequence
from jaxpose.errors import DataError
from jaxpose.evaluation.coco import oks_ap
from jaxpose.evaluation.coco_boxes import box_ap
from jaxpose.skeletons import Skeleton


def evaluate(ground_truth: str | Path, results: str | Path) -> dict[str, Any]:
    """Score COCO results against a COCO annotation file.

    Results with `keypoints` are scored by OKS over the joints that the ground truth's category
    names, with the sigmas of `Skeleton.sigmas`; others by the IoU of their `bbox`. Without any
    result the ground truth tells: keypoints if it has some.

    Returns:
      kind: 'keypoints' or 'boxes'; images and results: how many; and the statistics of
      `coco.oks_ap` or `coco_boxes.box_ap`, 0..1, -1 where there is nothing of that size.

    Raises:
      DataError: a file is damaged or of another layout, results mix both kinds, or as those two.
    """
    truth = read_ground_truth(ground_truth)
    found = read_results(results)
    if _are_poses(truth, found, Path(results)):
        kind, stats = "keypoints", oks_ap(truth, found, _sigmas(truth, Path(ground_truth)))
    else:
        kind, stats = "boxes", box_ap(truth, found)
    return {"kind": kind, "images": len(truth["images"]), "results": len(found)} | stats


def read_ground_truth(path: str | Path) -> dict[str, Any]:
    """A COCO annotation file as parsed: lists of objects named images, annotations, categories."""
    with in_file(path):
        document = mapping(load_json(path), "the file")
        for name in ("images", "annotations", "categories"):
            for index, entry in enumerate(sequence(present(document, name, "the file"), name)):
                mapping(entry, f"{name}[{index}]")
                if name != "annotations":
                    present(entry, "id", f"{name}[{index}]")
    return document


def read_results(path: str | Path) -> list[dict[str, Any]]:
    """A COCO result file as parsed: a list of objects."""
    with in_file(path):
        entries = sequence(load_json(path), "the file")
        return [mapping(entry, f"entry {index}") for index, entry in enumerate(entries)]


def _are_poses(truth: Mapping[str, Any], found: Sequence[Mapping[str, Any]], path: Path) -> bool:
    posed = ["keypoints" in entry for entry in found]
    if any(posed) and not all(posed):
        raise DataError(
            f"{path}: entry {posed.index(not posed[0])} is of another kind than entry 0; give "
            "keypoints to all results or to none"
        )
    if found:
        return posed[0]
    return any(annotation.get("keypoints") for annotation in truth["annotations"])


def _sigmas(truth: Mapping[str, Any], path: Path) -> np.ndarray:
    named = [c["keypoints"] for c in truth["categories"] if c.get("keypoints")]
    if len(named) != 1 or not all(isinstance(joint, str) for joint in named[0]):
        raise DataError(
            f"{path}: {len(named)} categories name their keypoints, OKS needs exactly one that does"
        )
    return Skeleton("file", tuple(named[0])).sigmas
