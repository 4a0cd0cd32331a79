"""Average precision of object detection by the rules of the PASCAL VOC development kit (NumPy).

After `VOCevaldet.m` (Everingham et al. 2010, section 4.2). Public ports differ in details that
move a score by points, so each is an option here: the rule, the pixel convention (`plus_one`) and
whether an overlap equal to the threshold is enough (`inclusive`). The defaults are the kit of 2007;
py-faster-rcnn's `voc_eval` as it is in ssd.pytorch is plus_one=False, inclusive=False.
"""

from collections.abc import Hashable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from jaxpose.errors import DataError
from jaxpose.evaluation.precision_recall import Curve, MeanPrecision, Rule, mean_of_curves

# Image id -> (boxes [N, 4] xyxy px, difficult [N] bool), of one class. Images may be left out.
GroundTruth = Mapping[Hashable, tuple[ArrayLike, ArrayLike]]


class Detections(NamedTuple):
    """Detections of one class over all images.

    Attributes:
      images: [D] image ids, as the keys of the ground truth.
      scores: float [D]; nan ranks last.
      boxes: float [D, 4] xyxy px; one that is not finite is a false positive.
    """

    images: Sequence[Hashable] | np.ndarray
    scores: ArrayLike
    boxes: ArrayLike


def average_precision(
    detections: Detections,
    ground_truth: GroundTruth,
    iou_threshold: float = 0.5,
    rule: Rule = "11point",
    plus_one: bool = True,
    inclusive: bool = True,
) -> float:
    """Average precision of one class.

    Each detection is compared with the object of the highest IoU in its image, difficult ones
    included (the first of equals). Below the threshold it is a false positive; on a difficult
    object it does not count; the first one on an object is a true positive and every later one a
    false positive. Detections of equal score keep the order in which they are given.

    Args:
      detections: (images, scores, boxes) of the class; may be empty.
      ground_truth: image id -> (boxes [N, 4] xyxy px, difficult [N]). An image that is not in it
        has no object of the class.
      iou_threshold: least overlap of a match.
      rule: '11point' (VOC 2007: mean of the highest precision at recall >= 0, 0.1 .. 1) or 'area'
        (VOC 2010 on: area under the monotone envelope).
      plus_one: sides are x2 - x1 + 1, for boxes whose corners are pixel indices.
      inclusive: an overlap equal to the threshold is a match.

    Returns:
      AP in 0..1; nan without an object that is not difficult, 0 without detections.

    Raises:
      DataError: lengths do not agree, or an annotated box is not finite. ValueError: unknown rule.
    """
    curve = precision_recall(detections, ground_truth, iou_threshold, plus_one, inclusive)
    return curve.average_precision(rule)


def mean_average_precision(
    detections: Mapping[str, Detections],
    ground_truth: Mapping[str, GroundTruth],
    iou_threshold: float = 0.5,
    rule: Rule = "11point",
    plus_one: bool = True,
    inclusive: bool = True,
) -> MeanPrecision:
    """`average_precision` of every class of `ground_truth`, and the mean; same options.

    A class that `detections` lacks was not detected: its AP is 0.
    """
    nothing = Detections((), (), np.zeros((0, 4)))
    curves = {
        name: precision_recall(
            detections.get(name, nothing), truth, iou_threshold, plus_one, inclusive
        )
        for name, truth in ground_truth.items()
    }
    return mean_of_curves(curves, rule)


def precision_recall(
    detections: Detections,
    ground_truth: GroundTruth,
    iou_threshold: float = 0.5,
    plus_one: bool = True,
    inclusive: bool = True,
) -> Curve:
    """The ranked matches of one class; arguments as in `average_precision`."""
    images, scores, boxes = _checked(detections)
    first, true_boxes, difficult = _flat(ground_truth)
    numbers = np.fromiter((first.get(image, -1) for image in images), np.int64, len(images))
    overlap, index = _matches(numbers, boxes, true_boxes, list(first.values()), plus_one)
    index = np.where(reaches(overlap, iou_threshold, inclusive), index, -1)
    order = np.argsort(-np.where(np.isnan(scores), -np.inf, scores), kind="stable")
    index = index[order]
    # The last entry answers for index -1.
    ignored = np.append(difficult, False)[index]
    claims: np.ndarray = np.zeros(len(index), bool)
    claims[np.unique(index, return_index=True)[1]] = True
    hits = claims & (index >= 0) & ~ignored
    return Curve(scores[order], hits, ~hits & ~ignored, int(np.count_nonzero(~difficult)))


def reaches(overlap: np.ndarray, iou_threshold: float, inclusive: bool = True) -> np.ndarray:
    """Where an IoU is a match."""
    return overlap >= iou_threshold if inclusive else overlap > iou_threshold


def overlaps(boxes_a: np.ndarray, boxes_b: np.ndarray, plus_one: bool = True) -> np.ndarray:
    """IoU float64 [N, M] of boxes [N, 4] and [M, 4] xyxy px; 0 for boxes that are not finite.

    Not `ops.boxes.pairwise_iou`: that one runs in float32 on the device and knows no `plus_one`.
    """
    a, b = np.asarray(boxes_a, np.float64)[:, None], np.asarray(boxes_b, np.float64)[None]
    one = float(plus_one)
    with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
        corner = np.maximum(a[..., :2], b[..., :2])
        shared = np.maximum(np.minimum(a[..., 2:], b[..., 2:]) - corner + one, 0).prod(-1)
        areas = [np.maximum(box[..., 2:] - box[..., :2] + one, 0).prod(-1) for box in (a, b)]
        iou = shared / (areas[0] + areas[1] - shared)
    finite = np.isfinite(a).all(-1) & np.isfinite(b).all(-1) & (shared > 0)
    return np.where(finite, iou, 0.0)


def _checked(detections: Detections) -> tuple[list[Hashable], np.ndarray, np.ndarray]:
    images = detections[0]
    images = images.tolist() if isinstance(images, np.ndarray) else list(images)
    scores = np.asarray(detections[1], np.float64)
    boxes = np.asarray(detections[2], np.float64).reshape(-1, 4)
    if not len(images) == len(scores) == len(boxes):
        raise DataError(
            f"detections: {len(images)} image ids, {len(scores)} scores and {len(boxes)} boxes; "
            "give one of each for every detection"
        )
    return images, scores, boxes


def _flat(
    ground_truth: GroundTruth,
) -> tuple[dict[Hashable, int], np.ndarray, np.ndarray]:
    """Image id -> number of its first box, and the boxes and difficult flags of all images."""
    first: dict[Hashable, int] = {}
    boxes, difficult, total = [np.zeros((0, 4))], [np.zeros(0, bool)], 0
    for image, (image_boxes, flags) in ground_truth.items():
        boxes.append(np.asarray(image_boxes, np.float64).reshape(-1, 4))
        difficult.append(np.asarray(flags, bool).reshape(-1))
        if len(boxes[-1]) != len(difficult[-1]) or not np.isfinite(boxes[-1]).all():
            raise DataError(
                f"ground truth, image {image}: {len(boxes[-1])} boxes with {len(difficult[-1])} "
                "difficult flags; every box needs four finite corners and a flag"
            )
        if len(boxes[-1]):
            first[image] = total
            total += len(boxes[-1])
    return first, np.concatenate(boxes), np.concatenate(difficult)


def _matches(
    numbers: np.ndarray,
    boxes: np.ndarray,
    true_boxes: np.ndarray,
    starts: list[int],
    plus_one: bool,
) -> tuple[np.ndarray, np.ndarray]:
    """Highest IoU of each detection [D] and the number of that object, -1 without any.

    Args:
      numbers: [D] the first box of the detection's image, -1 where it has none.
      starts: the first box of each image, ascending.
    """
    best, index = np.zeros(len(boxes)), np.full(len(boxes), -1)
    by_image = np.argsort(numbers, kind="stable")
    low = np.searchsorted(numbers[by_image], starts, "left")
    high = np.searchsorted(numbers[by_image], starts, "right")
    ends = [*starts, len(true_boxes)][1:]
    for start, end, a, b in zip(starts, ends, low, high, strict=True):
        if a == b:
            continue
        rows = by_image[a:b]
        iou = overlaps(boxes[rows], true_boxes[start:end], plus_one)
        best[rows] = iou.max(1)
        index[rows] = start + iou.argmax(1)
    return best, index
