"""Average precision over object keypoint similarity (OKS), as COCO defines it, by pycocotools."""

import contextlib
import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from jaxpose.errors import DataError

STATS = ("AP", "AP50", "AP75", "AP_M", "AP_L", "AR", "AR50", "AR75", "AR_M", "AR_L")
_RESULT_KEYS = ("image_id", "category_id", "keypoints", "score")


def oks_ap(
    ground_truth: Mapping[str, Any],
    results: Sequence[Mapping[str, Any]],
    sigmas: ArrayLike,
    joints: Sequence[int] | None = None,
) -> dict[str, float]:
    """The ten keypoint statistics of COCO, for any number of joints K.

    Args:
      ground_truth: a COCO keypoint file's content: images, categories, annotations (image_id,
        category_id, keypoints [3 * K], bbox xywh, area). Missing `iscrowd` is 0; `num_keypoints`
        is recounted. Not changed.
      results: COCO keypoint results: image_id, category_id, keypoints [3 * K], score. May be empty.
        Not changed.
      sigmas: float [K], `Skeleton.sigmas`.
      joints: indices of the joints to score, see `shared_joints`; default all.

    Returns:
      AP, AP50, AP75, AP_M, AP_L, AR, AR50, AR75, AR_M, AR_L in 0..1, and -1 where the ground truth
      has nobody of that size (pycocotools' own convention).

    Raises:
      DataError: an entry lacks a field, has another number of joints, a value that is not finite
        (pycocotools would count it as a match) or an image that the ground truth does not list.
    """
    sigmas = np.asarray(sigmas, np.float64)
    scored = range(len(sigmas)) if joints is None else joints
    image_ids = {image["id"] for image in ground_truth["images"]}
    for number, annotation in enumerate(ground_truth["annotations"]):
        _check_truth(annotation, number, len(sigmas))
    for number, result in enumerate(results):
        _check_result(result, number, len(sigmas), image_ids)
    truth = shared_joints(ground_truth, scored)
    truth["annotations"] = [
        # pycocotools reads a match with an annotation of id 0 as "not matched": count from 1.
        {"iscrowd": 0, **annotation, "id": number}
        for number, annotation in enumerate(truth["annotations"], 1)
    ]
    detections = [_detection(result, scored) for result in results]
    with contextlib.redirect_stdout(io.StringIO()):
        return _evaluate(truth, detections, sigmas)


def shared_joints(ground_truth: Mapping[str, Any], indices: Sequence[int]) -> dict[str, Any]:
    """A copy of a COCO ground truth in which only the joints `indices` count as annotated.

    All other joints become (0, 0, 0) and `num_keypoints` is recounted, so that a network is scored
    over the joints that it shares with the data set. A person left without joints is ignored.
    """
    annotations = [_restricted(a, indices) for a in ground_truth["annotations"]]
    return {**ground_truth, "annotations": annotations}


def _restricted(annotation: Mapping[str, Any], indices: Sequence[int]) -> dict[str, Any]:
    keypoints = np.asarray(annotation.get("keypoints", ()), np.float64).reshape(-1, 3)
    kept = np.zeros(len(keypoints), bool)
    kept[list(indices)] = True
    keypoints = np.where(kept[:, None], keypoints, 0)
    count = int(np.count_nonzero(keypoints[:, 2] > 0))
    return {**annotation, "keypoints": keypoints.ravel().tolist(), "num_keypoints": count}


def _check_truth(annotation: Mapping[str, Any], number: int, joints: int) -> None:
    name = f"ground truth: annotation {number} (image {annotation.get('image_id')})"
    _require(name, annotation, ("image_id", "category_id", "keypoints", "bbox", "area"))
    _require_joints(name, annotation, joints)
    _require_finite(name, annotation, ("keypoints", "bbox", "area"))


def _check_result(result: Mapping[str, Any], number: int, joints: int, image_ids: set[Any]) -> None:
    name = f"results: entry {number} (image {result.get('image_id')})"
    _require(name, result, _RESULT_KEYS)
    _require_joints(name, result, joints)
    _require_finite(name, result, ("keypoints", "score"))
    if result["image_id"] not in image_ids:
        raise DataError(f"{name}: the ground truth has no such image; score the same split")


def _require(name: str, entry: Mapping[str, Any], keys: Sequence[str]) -> None:
    missing = [key for key in keys if entry.get(key) is None]
    if missing:
        raise DataError(f"{name}: no {', '.join(missing)}; OKS cannot be computed without")


def _require_joints(name: str, entry: Mapping[str, Any], joints: int) -> None:
    found = len(entry["keypoints"])
    if found != 3 * joints:
        raise DataError(f"{name}: {found} keypoint values, expected {3 * joints} ({joints} joints)")


def _require_finite(name: str, entry: Mapping[str, Any], keys: Sequence[str]) -> None:
    for key in keys:
        if not np.isfinite(np.asarray(entry[key], np.float64)).all():
            raise DataError(f"{name}: {key} is not finite; write 0 for joints that are absent")


def _detection(result: Mapping[str, Any], scored: Sequence[int]) -> dict[str, Any]:
    """A result as pycocotools gets it: its box left out, absent joints moved into the person.

    The area of a detection decides whether AP_M or AP_L ignores it. pycocotools takes it from the
    box if the FIRST result has one, else from the extent of ALL keypoints, where joints that are
    not scored and were written as (0, 0, 0) would make every person large.
    """
    keypoints = np.array(result["keypoints"], np.float64).reshape(-1, 3)
    absent: np.ndarray = np.all(keypoints == 0, -1)
    absent[list(scored)] = False
    if absent.any() and not absent.all():
        keypoints[absent, :2] = keypoints[~absent, :2].mean(0)
    return {key: result[key] for key in _RESULT_KEYS} | {"keypoints": keypoints.ravel().tolist()}


def _evaluate(
    truth: dict[str, Any], detections: list[dict[str, Any]], sigmas: np.ndarray
) -> dict[str, float]:
    reference = COCO()
    reference.dataset = truth
    reference.createIndex()
    evaluation = COCOeval(reference, loaded_results(reference, detections), "keypoints")
    evaluation.params.kpt_oks_sigmas = sigmas
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    return dict(zip(STATS, map(float, evaluation.stats), strict=True))


def loaded_results(reference: COCO, detections: list[dict[str, Any]]) -> COCO:
    """COCO results beside their ground truth; there may be none."""
    if detections:
        return reference.loadRes(detections)
    nothing = COCO()  # loadRes looks at the first entry
    nothing.dataset = {**reference.dataset, "annotations": []}
    nothing.createIndex()
    return nothing
