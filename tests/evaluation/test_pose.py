"""The pose evaluator: padding, masks, which scores appear when, and hand-computed values."""

import numpy as np
import pytest

from jaxpose.evaluation.pose import PoseEvaluator
from jaxpose.skeletons import COCO, MPII


def batch_of(skeleton, rows=4, area=np.nan, head_size=10.0, seed=0):
    rng = np.random.default_rng(seed)
    points = rng.uniform(10, 90, (rows, skeleton.size, 2))
    keypoints = np.concatenate([points, np.full((rows, skeleton.size, 1), 2)], -1)
    return {
        "keypoints": keypoints.astype(np.float32),
        "joint_mask": np.ones((rows, skeleton.size), np.float32),
        "head_size": np.full(rows, head_size, np.float32),
        "box_xyxy": np.tile(np.array([0, 0, 100, 100], np.float32), (rows, 1)),
        "area": np.full(rows, area, np.float32),
        "mask": np.ones(rows, np.float32),
        "id": np.array([f"set/{i // 2}#{i % 2}" for i in range(rows)], object),
    }


def perfect(batch, shift=0.0):
    points = batch["keypoints"][..., :2] + np.array([shift, 0.0])
    return {"points": points, "scores": np.full(points.shape[:2], 0.9)}


def test_perfect_predictions_score_100_and_padding_is_ignored():
    evaluator = PoseEvaluator(COCO)
    batch = batch_of(COCO, area=3000.0)
    predictions = perfect(batch)
    batch["mask"][3] = 0
    predictions["points"][3] = 1e6
    evaluator.add(batch, predictions)
    result = evaluator.result()
    assert result["people"] == 3 and result["joints"] == 17
    assert result["pckh"] == result["pck"] == 100
    assert result["oks_ap"] == pytest.approx(100)


def test_threshold_is_half_a_head_and_a_fifth_of_the_box():
    for shift, expected in ((5.0, 100), (5.1, 0)):
        evaluator = PoseEvaluator(COCO)
        batch = batch_of(COCO)
        batch["keypoints"] = batch["keypoints"].round()
        evaluator.add(batch, perfect(batch, shift))
        result = evaluator.result()
        assert result["pckh"] == expected and result["pck"] == 100
        assert "oks_ap" not in result  # no areas, no OKS


def test_without_head_boxes_there_is_no_pckh():
    evaluator = PoseEvaluator(COCO)
    batch = batch_of(COCO, head_size=np.nan)
    evaluator.add(batch, perfect(batch))
    assert "pckh" not in evaluator.result()


def test_joints_that_the_set_lacks_or_left_out_do_not_count():
    evaluator = PoseEvaluator(COCO)
    batch = batch_of(COCO, area=3000.0)
    predictions = perfect(batch)
    batch["joint_mask"][:, 0] = 0
    batch["keypoints"][:, 5, 2] = 0
    predictions["points"][:, [0, 5]] += 500
    evaluator.add(batch, predictions)
    result = evaluator.result()
    assert result["joints"] == 16 and result["pckh"] == 100
    assert result["oks_ap"] == pytest.approx(100)
    assert "pckh_nose" not in result and "pckh_left_shoulder" not in result
    # Everyone is of one size; pycocotools says -1 of the others.
    assert result["oks_ap_m"] == pytest.approx(100) and "oks_ap_l" not in result
    assert result["pckh_people"] == len(batch["mask"]) == result["oks_people"]


def test_mpii_mean_leaves_out_pelvis_and_thorax():
    evaluator = PoseEvaluator(MPII)
    batch = batch_of(MPII)
    predictions = perfect(batch)
    wrong = [MPII.joints.index("pelvis"), MPII.joints.index("thorax")]
    predictions["points"][:, wrong] += 500
    evaluator.add(batch, predictions)
    result = evaluator.result()
    assert result["pckh"] == 100 and result["pckh_pelvis"] == 0


def test_a_diverged_network_scores_zero_instead_of_failing():
    evaluator = PoseEvaluator(COCO)
    batch = batch_of(COCO, area=3000.0)
    predictions = {name: np.full_like(v, np.nan) for name, v in perfect(batch).items()}
    evaluator.add(batch, predictions)
    result = evaluator.result()
    assert result["pckh"] == 0 and result["oks_ap"] < 5
    assert PoseEvaluator(COCO).result() == {"people": 0}
