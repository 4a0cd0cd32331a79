import numpy as np
import pytest

from jaxpose.evaluation.pckh import pck, pckh
from jaxpose.skeletons import MPII


def one_joint(distances, head_size, valid=None, **options):
    """Persons with one joint each, predicted `distances` px to the right of the truth."""
    truth = np.full((len(distances), 1, 2), 50.0)
    predicted = truth + np.array(distances)[:, None, None] * [1.0, 0.0]
    valid = np.ones((len(distances), 1)) if valid is None else np.array(valid)[:, None]
    return pckh(predicted, truth, valid, np.array(head_size, float), **options)


def test_pckh_by_hand():
    truth = np.array([[[0.0, 0], [10, 10]], [[0, 0], [10, 10]]])
    predicted = truth + [[[3.0, 4], [0, 0]], [[3, 4.1], [60, 0]]]
    found = pckh(predicted, truth, np.ones((2, 2)), np.array([10.0, 10.0]))
    np.testing.assert_allclose(found["per_joint"], [50, 50])  # 5 px of 10 is right, 5.08 wrong
    assert found["mean"] == 50
    np.testing.assert_array_equal(found["count"], [2, 2])


def test_a_distance_equal_to_the_threshold_is_correct():
    assert one_joint([5.0], [10])["mean"] == 100
    assert one_joint([5.0001], [10])["mean"] == 0
    assert one_joint([2.0], [10], threshold=0.2)["mean"] == 100
    assert one_joint([2.1], [10], threshold=0.2)["mean"] == 0


def test_joints_without_annotation_do_not_count():
    found = one_joint([0, 999, 999], [10, 10, 10], valid=[1, 0, 2])
    assert found["mean"] == 50
    np.testing.assert_array_equal(found["count"], [2])


def test_persons_without_a_usable_head_size_are_left_out():
    found = one_joint([0, 0, 0, 0, 999], [10, np.nan, np.inf, 0, -5])
    assert found["mean"] == 100
    np.testing.assert_array_equal(found["count"], [1])


def test_a_prediction_that_is_not_finite_is_wrong():
    assert one_joint([np.nan, 0], [10, 10])["mean"] == 50


def test_the_mean_is_over_joints_and_ignores_those_without_a_count():
    truth = np.zeros((4, 3, 2))
    predicted = truth.copy()
    predicted[:3, 0] = 100  # joint 0: 1 of 4; joint 1: 1 of 1; joint 2: never annotated
    valid = np.array([[1, 0, 0], [1, 0, 0], [1, 0, 0], [1, 1, 0]])
    found = pckh(predicted, truth, valid, np.full(4, 10.0))
    np.testing.assert_array_equal(found["per_joint"], [25, 100, np.nan])
    assert found["mean"] == 62.5
    chosen = pckh(predicted, truth, valid, np.full(4, 10.0), mean_joints=[True, False, True])
    assert chosen["mean"] == 25


@pytest.mark.parametrize("persons", [0, 3])
def test_nothing_to_score_is_nan_without_a_warning(persons):
    found = pckh(*np.zeros((2, persons, 2, 2)), np.zeros((persons, 2)), np.ones(persons))
    assert np.isnan(found["mean"]) and np.isnan(found["per_joint"]).all()
    np.testing.assert_array_equal(found["count"], [0, 0])


def test_mpii_mean_leaves_out_pelvis_and_thorax():
    in_mean = np.array([joint not in ("pelvis", "thorax") for joint in MPII.joints])
    predicted = np.zeros((1, 16, 2))
    predicted[:, ~in_mean] = 1000
    truth, valid = np.zeros((1, 16, 2)), np.ones((1, 16))
    assert pckh(predicted, truth, valid, [10.0], mean_joints=in_mean)["mean"] == 100
    np.testing.assert_allclose(pckh(predicted, truth, valid, [10.0])["mean"], 100 * 14 / 16)


def slow_pckh(predicted, truth, valid, head_size, threshold):
    percents = []
    for k in range(truth.shape[1]):
        hits = total = 0
        for n in range(len(truth)):
            if valid[n, k] and np.isfinite(head_size[n]):
                total += 1
                hits += np.hypot(*(predicted[n, k] - truth[n, k])) <= threshold * head_size[n]
        percents.append(100 * hits / total if total else np.nan)
    return np.array(percents)


def test_pckh_equals_a_loop():
    rng = np.random.default_rng(0)
    truth = rng.uniform(0, 500, (60, 15, 2))
    predicted = truth + rng.normal(0, 20, truth.shape)
    valid, head_size = rng.integers(0, 3, (60, 15)), rng.uniform(20, 80, 60)
    head_size[::7] = np.nan
    found = pckh(predicted, truth, valid, head_size)
    expected = slow_pckh(predicted, truth, valid, head_size, 0.5)
    np.testing.assert_allclose(found["per_joint"], expected, rtol=1e-12)
    np.testing.assert_allclose(found["mean"], expected.mean(), rtol=1e-12)
    assert 10 < found["mean"] < 90


def test_pck_is_relative_to_the_longer_side_of_the_box():
    truth = np.zeros((2, 1, 2))
    predicted = np.array([[[20.0, 0]], [[20.1, 0]]])
    boxes = np.array([[10.0, 10, 40, 110], [10, 10, 110, 40]])
    assert pck(predicted, truth, np.ones((2, 1)), boxes)["mean"] == 50
    assert pck(predicted, truth, np.ones((2, 1)), boxes, threshold=0.3)["mean"] == 100
    chosen = pck(predicted, truth, np.ones((2, 1)), boxes, mean_joints=[False])
    assert np.isnan(chosen["mean"])
