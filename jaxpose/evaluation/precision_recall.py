"""Precision-recall curves of ranked detections and their average precision (NumPy)."""

from collections.abc import Mapping
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

Rule = Literal["11point", "area"]


class Curve(NamedTuple):
    """Detections of one class by descending score, compared with the ground truth.

    Attributes:
      scores: float64 [D].
      hits, misses: bool [D], true and false positives; detections of difficult objects are neither.
      positives: objects that are not difficult.
    """

    scores: np.ndarray
    hits: np.ndarray
    misses: np.ndarray
    positives: int

    @property
    def recall(self) -> np.ndarray:
        """float64 [D]: share of the objects found so far; zeros where there are none."""
        return np.cumsum(self.hits) / max(self.positives, 1)

    @property
    def precision(self) -> np.ndarray:
        """float64 [D]: share of true positives so far; 0 where nothing has counted yet."""
        hits = np.cumsum(self.hits)
        return hits / np.maximum(hits + np.cumsum(self.misses), 1)

    @property
    def f1(self) -> np.ndarray:
        """float64 [D]: 2 TP / (2 TP + FP + FN) of the detections so far; 0 without any object."""
        hits = np.cumsum(self.hits)
        return 2 * hits / np.maximum(hits + np.cumsum(self.misses) + self.positives, 1)

    def above(self, threshold: float) -> "Curve":
        """The curve of the detections with a score higher than `threshold`.

        Matching goes by descending score, so that leaving out the tail changes no other match.
        """
        kept = int(np.count_nonzero(self.scores > threshold))
        return Curve(self.scores[:kept], self.hits[:kept], self.misses[:kept], self.positives)

    def average_precision(self, rule: Rule = "11point") -> float:
        """AP in 0..1; nan where there is no object, 0 where nothing was detected."""
        if self.positives == 0:
            return float("nan")
        return curve_average_precision(self.recall, self.precision, rule)


class MeanPrecision(NamedTuple):
    """Mean over the classes that have objects (nan without any), with its parts.

    Attributes:
      value: 0..1.
      per_class: class name -> AP; nan where the class has no object.
      detected: detections of all classes. With 0 of them `value` says nothing about ranking.
    """

    value: float
    per_class: dict[str, float]
    detected: int


def mean_of_curves(curves: Mapping[str, Curve], rule: Rule = "11point") -> MeanPrecision:
    """Mean average precision of one curve a class."""
    per_class = {name: curve.average_precision(rule) for name, curve in curves.items()}
    known = [value for value in per_class.values() if not np.isnan(value)]
    value = float(np.mean(known)) if known else float("nan")
    return MeanPrecision(value, per_class, sum(len(curve.scores) for curve in curves.values()))


def curve_average_precision(recall: ArrayLike, precision: ArrayLike, rule: Rule) -> float:
    """AP in 0..1 of a curve: recall [D], not decreasing, and precision [D].

    The eleven recalls are multiples of the float 0.1, as in the public Python ports: 3 of 10
    objects do not reach the fourth (0.30000000000000004).

    Raises:
      ValueError: unknown rule.
    """
    recall = np.asarray(recall, np.float64)
    envelope = np.maximum.accumulate(np.asarray(precision, np.float64)[::-1])[::-1]
    if rule == "11point":
        at = np.searchsorted(recall, 0.1 * np.arange(11))
        return float(np.append(envelope, 0.0)[at].mean())
    if rule == "area":
        return float(np.diff(recall, prepend=0.0) @ envelope)
    raise ValueError(f"rule {rule!r}: expected '11point' or 'area'")
