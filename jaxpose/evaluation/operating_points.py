"""What a detector finds above a score: precision, recall and F1 over thresholds (NumPy)."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from jaxpose.evaluation.precision_recall import Curve


class OperatingPoint(NamedTuple):
    """The detections with a score higher than a threshold.

    Attributes:
      threshold: 0..1.
      precision: TP / (TP + FP), 0..1; nan where nothing above the threshold counts.
      recall: TP / (TP + FN), 0..1.
      f1: 2 TP / (2 TP + FP + FN), 0..1.
    """

    threshold: float
    precision: float
    recall: float
    f1: float


def operating_points(curve: Curve, thresholds: Sequence[float]) -> list[OperatingPoint]:
    """The detector's points for each of the thresholds; recall and F1 are 0 without any object."""
    return [_point(curve.above(threshold), threshold) for threshold in thresholds]


def best_point(points: Sequence[OperatingPoint]) -> OperatingPoint:
    """The point of the largest F1; of equals the first."""
    return max(points, key=lambda point: point.f1)


def points_table(points: Sequence[OperatingPoint]) -> list[str]:
    """Lines of text, percent; N/A where nothing counts."""
    lines = ["threshold  precision  recall     F1"]
    for threshold, *values in points:
        precision, recall, f1 = ("N/A" if np.isnan(v) else f"{100 * v:.2f}" for v in values)
        lines.append(f"{threshold:<9g}  {precision:>9}  {recall:>6}  {f1:>5}")
    return lines


def _point(above: Curve, threshold: float) -> OperatingPoint:
    if not (above.hits | above.misses).any():
        return OperatingPoint(threshold, float("nan"), 0.0, 0.0)
    last = (float(values[-1]) for values in (above.precision, above.recall, above.f1))
    return OperatingPoint(threshold, *last)
