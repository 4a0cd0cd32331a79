"""Whole frames scored: people from hand-made candidates against what is annotated."""

import numpy as np
import pytest

from jaxpose.evaluation.bottom_up import BottomUpEvaluator, assembled_people
from jaxpose.limbs import POSETRACK17_LIMBS as LIMBS
from jaxpose.pipelines.closing import TITLES
from jaxpose.skeletons import POSETRACK17

RULES = {"min_parts": 4, "min_mean_score": 0.4}
JOINTS = POSETRACK17.size


def poses(count):
    """[N, 15, 2]: people beside each other, 100 px wide."""
    one = np.column_stack([np.arange(JOINTS) * 5.0, 3.0 * np.arange(JOINTS) ** 1.2])
    return one + np.array([[[200.0 * n, 20.0 * n]] for n in range(count)])


def candidates(points, scores=0.9):
    """Peak n of every part is person n's; limbs join the peaks of one person alone."""
    people = len(points)
    return {
        "points": points.transpose(1, 0, 2),
        "scores": np.full((JOINTS, people), scores),
        "limb_scores": np.tile(np.eye(people), (LIMBS.size, 1, 1)),
    }


def frame(points, **changed):
    count = len(points)
    keypoints = np.concatenate([points, np.full((count, JOINTS, 1), 2.0)], -1)
    low, high = points.min(1), points.max(1)
    one = {
        "keypoints": keypoints,
        "joint_mask": np.ones(JOINTS),
        "head_size": np.full(count, 20.0),
        "area": np.full(count, 9000.0),
        "boxes": np.concatenate([low, high], -1),
        "labels": np.ones(count, int),
        "crowd": np.zeros(count, bool),
        "ignore": np.zeros((1, 4)),
        "mask": np.float32(1),
    }
    return {name: np.asarray(value)[None] for name, value in (one | changed).items()}


def scored(truth, found):
    evaluator = BottomUpEvaluator(POSETRACK17, LIMBS, **RULES)
    evaluator.add(truth, {name: value[None] for name, value in found.items()})
    return evaluator.result()


def test_people_are_put_together():
    points = poses(3)
    found = assembled_people(candidates(points), LIMBS, **RULES)
    assert found.keypoints.shape == (3, JOINTS, 3)
    order = np.argsort(found.keypoints[:, 0, 0])
    np.testing.assert_allclose(found.keypoints[order, :, :2], points)
    np.testing.assert_allclose(found.scores, 15 * 0.9 + 14)
    lonely = candidates(points)
    lonely["limb_scores"][:] = 0
    assert assembled_people(lonely, LIMBS, **RULES).keypoints.shape == (0, JOINTS, 3)


def test_perfect_people_score_100():
    result = scored(frame(poses(3)), candidates(poses(3)))
    assert (result["images"], result["people"], result["found"]) == (1, 3, 3)
    assert result["posetrack_total"] == pytest.approx(100)
    assert result["ap_nose"] == pytest.approx(100) and result["oks_ap"] == pytest.approx(100)
    for name in TITLES.keys() & result.keys():  # what a run says when it is through
        assert result[TITLES[name][1]] == result["people"], name


def test_somebody_missed_and_somebody_invented():
    result = scored(frame(poses(4)), candidates(poses(3)))
    assert result["posetrack_total"] == pytest.approx(75)
    invented = scored(frame(poses(3)), candidates(poses(4)))
    assert 74 < invented["posetrack_total"] <= 100 and invented["found"] == 4
    x1, y1, x2, y2 = frame(poses(4))["boxes"][0, 3]
    ignored = np.array([[x1 - 2, y1 - 2, x2 + 2, y2 + 2]])
    assert scored(frame(poses(3), ignore=ignored), candidates(poses(4)))[
        "posetrack_total"
    ] == pytest.approx(100)


def test_joints_that_the_data_set_lacks_are_not_scored():
    mask = np.ones(JOINTS)
    nose = POSETRACK17.joints.index("nose")
    mask[nose] = 0
    truth = frame(poses(2), joint_mask=mask)
    truth["keypoints"][:, :, nose] = 0
    result = scored(truth, candidates(poses(2)))
    assert result["oks_ap"] == pytest.approx(100)
    assert result["posetrack_wri"] == pytest.approx(100) and result.get("ap_nose", 0) == 0


def test_what_is_not_known_is_left_out():
    unknown = np.full(2, np.nan)
    result = scored(frame(poses(2), head_size=unknown, area=unknown), candidates(poses(2)))
    assert not any(name.startswith(("oks_", "posetrack_")) for name in result)
    crowd = scored(frame(poses(2), crowd=np.array([False, True])), candidates(poses(1)))
    assert crowd["people"] == 1 and crowd["posetrack_total"] == pytest.approx(100)
    assert crowd["oks_ap"] == pytest.approx(100)
    padding = frame(poses(2), mask=np.float32(0))
    assert scored(padding, candidates(poses(2))) == {"images": 0, "people": 0, "found": 0}
