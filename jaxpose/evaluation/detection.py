"""The detection evaluator: VOC and COCO average precision, and a sweep over score thresholds."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Literal

import numpy as np

from jaxpose.errors import DataError, UsageError
from jaxpose.evaluation.coco_boxes import box_ap, box_entries
from jaxpose.evaluation.precision_recall import Curve, Rule, mean_of_curves
from jaxpose.evaluation.score_sweep import REPORT_THRESHOLDS, sweep, sweep_table
from jaxpose.evaluation.voc import Detections, overlaps, precision_recall, reaches

# A detection that lies in an ignore region with more than this share of its area is dropped.
_IGNORED_SHARE = 0.5
_COCO_NAMES = {"ap_s": "ap_small", "ap_m": "ap_medium", "ap_l": "ap_large",
               "ar_s": "ar_small", "ar_m": "ar_medium", "ar_l": "ar_large"}  # fmt: skip
_TRUTH = ("image", "class", "box", "area", "difficult", "crowd")
_FOUND = ("image", "class", "box", "score")

__all__ = ["DetectionEvaluator", "in_ignored", "sweep_table"]


class DetectionEvaluator:
    """Collects detections and annotated boxes in source px; scores them once, at the end.

    Difficult objects and crowds are no positives in either score, and detections of them do not
    count: in VOC AP those whose highest IoU is with one, in COCO AP (where both are `iscrowd`)
    those that lie in one. Detections in ignore regions are dropped from both, see `in_ignored`.
    """

    def __init__(
        self,
        classes: Sequence[str],
        iou_threshold: float = 0.5,
        rule: Rule = "11point",
        score_thresholds: Sequence[float] = REPORT_THRESHOLDS,
        *,
        plus_one: bool = True,
        inclusive: bool = True,
        ignore_regions: bool = True,
        difficult: Literal["ignore", "count"] = "ignore",
        keep: Sequence[str] | None = None,
        truth_classes: Sequence[str] | None = None,
    ) -> None:
        """Options of the protocol.

        Args:
          classes: names of the detector's classes 1..C, without background.
          iou_threshold, rule, plus_one, inclusive: of VOC AP, see `voc.average_precision`.
          score_thresholds: of the sweep; detections with higher scores are kept.
          ignore_regions: drop the detections in them.
          difficult: 'ignore' objects so marked, or 'count' them like others.
          keep: the classes that are scored, such as ('person',) of a detector of 20; boxes of
            others are left out. Default all.
          truth_classes: names of the batch's labels 1.., where they are not `classes`.

        Raises:
          UsageError: the detector lacks a class of `keep`.
        """
        self.keep = tuple(classes) if keep is None else tuple(keep)
        missing = [name for name in self.keep if name not in classes]
        if missing or not self.keep:
            raise UsageError(
                f"the detector has no class {', '.join(missing) or 'to score'}: its classes are "
                f"{', '.join(classes) or 'none'}; score one that has it"
            )
        self.score_thresholds = tuple(score_thresholds)
        self._rule: Rule = rule
        self._overlaps = partial(overlaps, plus_one=plus_one)
        self._reaches = partial(reaches, iou_threshold=iou_threshold, inclusive=inclusive)
        self._curve = partial(
            precision_recall,
            iou_threshold=iou_threshold,
            plus_one=plus_one,
            inclusive=inclusive,
        )
        self._ignore_regions, self._count_difficult = ignore_regions, np.bool_(difficult == "count")
        self._found_index = _positions(classes, self.keep)
        self._truth_index = _positions(truth_classes or classes, self.keep)
        self._numbers: dict[str, int] = {}
        self._truth: list[tuple[np.ndarray, ...]] = []
        self._found: list[tuple[np.ndarray, ...]] = []

    def add(self, batch: Mapping[str, Any], predictions: Mapping[str, np.ndarray]) -> None:
        """Take a host batch and its detections; rows with mask 0 are padding.

        Args:
          batch: size [B, 2] (width, height), boxes [B, G, 4] source px xyxy (clipped to the image
            here), labels [B, G] (0: no box), difficult and crowd bool [B, G], ignore [B, I, 4] px
            (zeros: none), mask [B], id [B]; area [B, G] px^2 of segments, nan or absent: the box's.
          predictions: boxes [B, D, 4] source px xyxy, scores, classes (1..C) and valid [B, D].

        Raises:
          DataError: an image came before, an annotated box is not finite, an unknown class.
        """
        names = ("boxes", "labels", "difficult", "crowd", "ignore")
        rows = {name: np.asarray(batch[name]) for name in names}
        rows["difficult"] = rows["difficult"] & ~self._count_difficult
        # Boxes made from joints reach beyond the image, where nobody can detect anything.
        rows["boxes"] = np.clip(rows["boxes"], 0, np.tile(batch["size"], 2)[:, None])
        areas = np.asarray(batch.get("area", np.nan))
        extent = (rows["boxes"][..., 2:] - rows["boxes"][..., :2]).prod(-1)
        rows["area"] = np.where(np.isnan(areas), extent, areas)
        fields = ("boxes", "scores", "classes", "valid")
        found = {name: np.asarray(predictions[name]) for name in fields}
        for row in np.flatnonzero(np.asarray(batch["mask"]) > 0).tolist():
            image = str(batch["id"][row])
            if image in self._numbers:
                raise DataError(f"{image}: scored twice; each image of a split counts once")
            self._numbers[image] = len(self._numbers) + 1
            truth = _row_of(rows, row, "labels", self._truth_index, image)
            if not np.isfinite(truth["boxes"]).all():
                raise DataError(f"{image}: an annotated box is not finite; repair the annotation")
            detections = _row_of(found, row, "classes", self._found_index, image)
            self._store(self._numbers[image], truth, detections, rows["ignore"][row])

    def _store(
        self,
        number: int,
        truth: Mapping[str, np.ndarray],
        found: Mapping[str, np.ndarray],
        regions: np.ndarray,
    ) -> None:
        kept = np.ones(len(found["boxes"]), bool)
        if self._ignore_regions and kept.any():
            same = found["classes"][:, None] == truth["labels"][None]
            iou = np.where(same, self._overlaps(found["boxes"], truth["boxes"]), 0)
            matched = self._reaches(iou).any(1)
            kept = matched | ~in_ignored(found["boxes"], regions)
        images = [np.full(len(boxes), number) for boxes in (truth["boxes"], found["boxes"])]
        annotated = (truth[name] for name in ("labels", "boxes", *_TRUTH[3:]))
        detected = (found[name][kept] for name in ("classes", "boxes", "scores"))
        self._truth.append((images[0], *annotated))
        self._found.append((images[1][kept], *detected))

    def result(self) -> dict[str, Any]:
        """Metrics in percent, absent ones left out, and counts of what was scored.

        `map` is VOC's mean AP by the configured rule over all detections, `ap_<class>` its parts,
        `map_11point` and `map_area` both rules, `map@<t>` the sweep (absent where nothing was
        detected above t), `coco_*` COCO's statistics. Counts: images, boxes (positives) and
        detections.
        """
        if not self._numbers:
            return {"images": 0, "boxes": 0, "detections": 0}
        curves = self.curves()
        result: dict[str, Any] = {
            "images": len(self._numbers),
            "boxes": sum(curve.positives for curve in curves.values()),
            "detections": sum(len(curve.scores) for curve in curves.values()),
        }
        if result["boxes"] == 0:
            return result
        mean = mean_of_curves(curves, self._rule)
        result["map"] = 100 * mean.value
        for name, value in mean.per_class.items():
            if np.isfinite(value):
                result[f"ap_{name}"] = 100 * value
        result["map_11point"] = 100 * mean_of_curves(curves, "11point").value
        result["map_area"] = 100 * mean_of_curves(curves, "area").value
        result |= sweep(curves, self._rule, self.score_thresholds)
        return result | self._coco()

    def sweep(self, score_thresholds: Sequence[float]) -> dict[str, float]:
        """`map@<t>` in percent for any thresholds; absent where nothing was detected above t."""
        return sweep(self.curves(), self._rule, score_thresholds)

    def curves(self) -> dict[str, Curve]:
        """The ranked matches of each class that is scored, by its name; empty before any image.

        Detections of equal score rank in the order of the images and, within one, as predicted.
        """
        if not self._numbers:
            return {}
        truth, found = _table(_TRUTH, self._truth), _table(_FOUND, self._found)
        difficult = truth["difficult"] | truth["crowd"]
        curves = {}
        for index, name in enumerate(self.keep):
            own, of_class = truth["class"] == index, found["class"] == index
            numbers, starts = np.unique(truth["image"][own], return_index=True)
            boxes = np.split(truth["box"][own], starts[1:])
            flags = np.split(difficult[own], starts[1:])
            objects = dict(zip(numbers.tolist(), zip(boxes, flags, strict=False), strict=False))
            detections = Detections(*(found[key][of_class] for key in ("image", "score", "box")))
            curves[name] = self._curve(detections, objects)
        return curves

    def _coco(self) -> dict[str, float]:
        truth, found = _table(_TRUTH, self._truth), _table(_FOUND, self._found)
        crowd, boxes = truth["difficult"] | truth["crowd"], (truth[name] for name in _TRUTH[:3])
        # A diverged network scores badly; it is no damaged data.
        broken = ~np.isfinite(found["box"]).all(1)
        found["box"] = np.where(broken[:, None], 0, found["box"])
        found["score"] = np.nan_to_num(found["score"], nan=float(np.finfo(np.float32).min))
        reference = {
            "images": [{"id": number} for number in self._numbers.values()],
            "categories": [{"id": i, "name": name} for i, name in enumerate(self.keep)],
            "annotations": box_entries(*boxes, area=truth["area"], iscrowd=crowd.astype(int)),
        }
        results = box_entries(found["image"], found["class"], found["box"], score=found["score"])
        stats = box_ap(reference, results)
        names = {name: _COCO_NAMES.get(name.lower(), name.lower()) for name in stats}
        return {f"coco_{names[name]}": 100 * v for name, v in stats.items() if v >= 0}


def in_ignored(boxes: np.ndarray, regions: np.ndarray) -> np.ndarray:
    """Which boxes [D, 4] lie with more than half of their area in one of the regions [I, 4].

    Both xyxy px; regions of zeros are none. Such a detection is dropped unless it matches an
    annotated box: nobody annotated what is in there.

    Returns:
      bool [D]; False for boxes that are not finite or have no area.
    """
    a, b = np.asarray(boxes, np.float64)[:, None], np.asarray(regions, np.float64)[None]
    with np.errstate(invalid="ignore", over="ignore"):
        sides = np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2])
        area = np.maximum(a[..., 2:] - a[..., :2], 0).prod(-1)
        inside = np.maximum(sides, 0).prod(-1) > _IGNORED_SHARE * area
    return inside.any(1)


def _positions(classes: Sequence[str], keep: Sequence[str]) -> np.ndarray:
    """For each label 0 (background), 1.. of `classes`: its position in `keep`, -1 without."""
    order = {name: index for index, name in enumerate(keep)}
    return np.array([-1, *(order.get(name, -1) for name in classes)])


def _row_of(
    arrays: Mapping[str, np.ndarray], row: int, labels: str, index: np.ndarray, image: str
) -> dict[str, np.ndarray]:
    """The boxes of one image that are scored, their labels as positions in `keep`."""
    own = {name: values[row] for name, values in arrays.items() if name != "ignore"}
    used = (own[labels] > 0) & own.get("valid", True)
    if own[labels][used].max(initial=0) >= len(index):
        raise DataError(
            f"{image}: {labels} go to {own[labels][used].max()}, but there are {len(index) - 1} "
            "classes; score the checkpoint on records with its classes"
        )
    own[labels] = index[np.where(used, own[labels], 0)]
    return {name: values[own[labels] >= 0] for name, values in own.items()}


def _table(names: Sequence[str], parts: Sequence[tuple[np.ndarray, ...]]) -> dict[str, np.ndarray]:
    return {
        name: np.concatenate(column)
        for name, column in zip(names, zip(*parts, strict=True), strict=True)
    }
