"""Precision, recall and F1 above a threshold, by hand; the twin is in test_choose_threshold.py."""

import numpy as np
import pytest

from jaxpose.evaluation.operating_points import best_point, operating_points, points_table
from jaxpose.evaluation.precision_recall import Curve

# A hit, a miss, one that does not count, a hit; five people.
CURVE = Curve(
    scores=np.array([0.9, 0.6, 0.5, 0.3]),
    hits=np.array([True, False, False, True]),
    misses=np.array([False, True, False, False]),
    positives=5,
)


def test_points_count_what_scores_higher():
    low, equal, high, none = operating_points(CURVE, (0.1, 0.3, 0.75, 0.9))
    assert low == (0.1, pytest.approx(2 / 3), pytest.approx(2 / 5), pytest.approx(4 / 8))
    assert equal == (0.3, 1 / 2, 1 / 5, pytest.approx(2 / 7))  # 0.3 itself is left out
    assert high == (0.75, 1, 1 / 5, pytest.approx(2 / 6))
    assert none[2:] == (0, 0) and np.isnan(none.precision)
    assert best_point([none, high, equal, low]) == low


def test_of_equal_points_the_first_is_best():
    points = operating_points(CURVE, (0.0, 0.05, 0.1))
    assert {point.f1 for point in points} == {0.5} and best_point(points).threshold == 0


def test_f1_of_a_curve_is_that_of_its_precision_and_recall():
    precision, recall = CURVE.precision, CURVE.recall
    np.testing.assert_allclose(CURVE.f1, 2 * precision * recall / (precision + recall))
    nothing = Curve(np.zeros(0), np.zeros(0, bool), np.zeros(0, bool), 0)
    assert nothing.f1.shape == (0,)
    assert Curve(np.ones(1), np.zeros(1, bool), np.zeros(1, bool), 0).f1.tolist() == [0]


def test_only_ignored_detections_have_no_precision():
    ignored = CURVE._replace(hits=np.zeros(4, bool), misses=np.zeros(4, bool))
    ((_, precision, recall, f1),) = operating_points(ignored, (0.1,))
    assert np.isnan(precision) and recall == f1 == 0


def test_the_table_is_in_percent():
    assert points_table(operating_points(CURVE, (0.1, 0.95))) == [
        "threshold  precision  recall     F1",
        "0.1            66.67   40.00  50.00",
        "0.95             N/A    0.00   0.00",
    ]
