"""Average precision of given curves: golden numbers, text-book definitions, cutting a curve off."""

import json
from pathlib import Path

import numpy as np
import pytest

from jaxpose.evaluation.precision_recall import Curve, curve_average_precision, mean_of_curves

GOLDEN = json.loads((Path(__file__).parent.parent / "golden" / "i_voc_ap.json").read_text())


@pytest.mark.parametrize("curve", GOLDEN["voc_ap_curves"])
def test_both_rules_on_given_curves(curve):
    for rule, key in (("11point", "ap07"), ("area", "ap_area")):
        found = curve_average_precision(curve["rec"], curve["prec"], rule)
        assert found == pytest.approx(curve[key], abs=1e-9)


def area_under_envelope(recall, precision):
    """VOC 2010's rule as text book: precision at r is the highest at any recall >= r."""
    total, last = 0.0, 0.0
    for r in sorted(set(recall)):
        total += (r - last) * max(p for s, p in zip(recall, precision, strict=True) if s >= r)
        last = r
    return total


@pytest.mark.parametrize("seed", range(5))
def test_rules_equal_their_definitions(seed):
    rng = np.random.default_rng(seed)
    hits = rng.random(40) < 0.5
    recall, precision = hits.cumsum() / 30, hits.cumsum() / np.arange(1, 41)
    found = curve_average_precision(recall, precision, "area")
    assert found == pytest.approx(area_under_envelope(recall, precision), abs=1e-12)
    eleven = [max(precision[recall >= t], default=0) for t in np.arange(0.0, 1.1, 0.1)]
    found = curve_average_precision(recall, precision, "11point")
    assert found == pytest.approx(sum(eleven) / 11, abs=1e-12)


def curve_of(scores, hits, positives=2):
    hits = np.array(hits, bool)
    return Curve(np.array(scores, float), hits, ~hits, positives)


def test_above_leaves_out_the_threshold_itself_and_scores_that_are_nan():
    curve = curve_of([0.5, 0.25, np.nan], [True, False, True])
    assert [len(curve.above(t).scores) for t in (0.2, 0.25, 0.3, 0.5, -1)] == [2, 1, 1, 0, 2]
    assert curve.above(0.25).positives == 2
    assert curve.above(0.25).average_precision("area") == 0.5
    assert curve.above(0.5).average_precision() == 0


def test_the_mean_leaves_out_classes_without_objects():
    curves = {"a": curve_of([0.5], [True], 1), "b": curve_of([], [], 3), "c": curve_of([1], [0], 0)}
    found = mean_of_curves(curves)
    assert (found.value, found.detected) == (0.5, 2)
    assert np.isnan(found.per_class["c"]) and np.isnan(mean_of_curves({}).value)
