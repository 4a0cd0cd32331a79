"""Average precision of boxes as COCO defines it, by pycocotools."""

import contextlib
import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from jaxpose.errors import DataError
from jaxpose.evaluation.coco import loaded_results

STATS = (
    "AP", "AP50", "AP75", "AP_S", "AP_M", "AP_L",
    "AR1", "AR10", "AR100", "AR_S", "AR_M", "AR_L",
)  # fmt: skip
_RESULT_KEYS = ("image_id", "category_id", "bbox", "score")


def box_ap(
    ground_truth: Mapping[str, Any], results: Sequence[Mapping[str, Any]]
) -> dict[str, float]:
    """The twelve box statistics of COCO: mean over IoU 0.50 to 0.95 and over the categories.

    Args:
      ground_truth: a COCO file's content: images, categories, annotations (image_id, category_id,
        bbox xywh px, area). Missing `iscrowd` is 0; crowds (1) are no positives, and detections
        that lie in them do not count. Missing `area` is the box's. Not changed.
      results: COCO box results: image_id, category_id, bbox xywh px, score; the best 100 of an
        image and category count. May be empty. Not changed.

    Returns:
      AP, AP50, AP75, AP_S, AP_M, AP_L (areas below 32^2, to 96^2, above), AR1, AR10, AR100 (by
      detections an image), AR_S, AR_M, AR_L in 0..1, and -1 where the ground truth has no such box
      (pycocotools' own convention).

    Raises:
      DataError: an entry lacks a field, has a value that is not finite (pycocotools would count it
        as a match), or an image or category that the ground truth does not list.
    """
    listed = {
        "image_id": {image["id"] for image in ground_truth["images"]},
        "category_id": {category["id"] for category in ground_truth["categories"]},
    }
    for number, annotation in enumerate(ground_truth["annotations"]):
        _check(f"ground truth: annotation {number}", annotation, _RESULT_KEYS[:3], listed)
    for number, result in enumerate(results):
        _check(f"results: entry {number}", result, _RESULT_KEYS, listed)
    truth = dict(ground_truth) | {
        # pycocotools reads a match with an annotation of id 0 as "not matched": count from 1.
        "annotations": [
            {"iscrowd": 0, "area": annotation["bbox"][2] * annotation["bbox"][3]}
            | dict(annotation)
            | {"id": number}
            for number, annotation in enumerate(ground_truth["annotations"], 1)
        ]
    }
    detections = [{key: result[key] for key in _RESULT_KEYS} for result in results]
    with contextlib.redirect_stdout(io.StringIO()):
        return _evaluate(truth, detections)


def box_entries(
    images: np.ndarray, categories: np.ndarray, boxes_xyxy: np.ndarray, **columns: np.ndarray
) -> list[dict[str, Any]]:
    """Annotations or results of COCO from columns: ids [N], ids [N], boxes [N, 4], others [N]."""
    corners = np.asarray(boxes_xyxy, np.float64)
    xywh = np.concatenate([corners[:, :2], corners[:, 2:] - corners[:, :2]], 1)
    named = {"image_id": images, "category_id": categories, "bbox": xywh} | columns
    return [
        dict(zip(named, values, strict=True))
        for values in zip(*(column.tolist() for column in named.values()), strict=True)
    ]


def _check(
    name: str, entry: Mapping[str, Any], keys: Sequence[str], listed: Mapping[str, set[Any]]
) -> None:
    name = f"{name} (image {entry.get('image_id')})"
    missing = [key for key in keys if entry.get(key) is None]
    if missing:
        raise DataError(f"{name}: no {', '.join(missing)}; box AP cannot be computed without")
    if len(entry["bbox"]) != 4:
        raise DataError(f"{name}: bbox has {len(entry['bbox'])} values, expected x, y, w, h")
    for key in ("bbox", "score", "area"):
        if not np.isfinite(np.asarray(entry.get(key, 0), np.float64)).all():
            raise DataError(f"{name}: {key} is not finite; leave such boxes out")
    for key, known in listed.items():
        if entry[key] not in known:
            raise DataError(
                f"{name}: {key} {entry[key]} is not in the ground truth's list; score the same "
                "split and classes"
            )


def _evaluate(truth: dict[str, Any], detections: list[dict[str, Any]]) -> dict[str, float]:
    reference = COCO()
    reference.dataset = truth
    reference.createIndex()
    evaluation = COCOeval(reference, loaded_results(reference, detections), "bbox")
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    return dict(zip(STATS, map(float, evaluation.stats), strict=True))
