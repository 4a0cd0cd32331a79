"""A 15-joint network scored on sets of 17 and of 14 joints, against loops over joint names.

OKS AP over the joints both have, and PCK@0.2 of the person box's longer side.
"""

import numpy as np
import pytest

from jaxpose.evaluation.pose import PoseEvaluator
from jaxpose.skeletons import COCO, LSP, POSETRACK17, conversion, convert_keypoints

PEOPLE = 60
# COCO's constants (k = 2 sigma): https://cocodataset.org/#keypoints-eval
SIGMA = {"nose": 0.026, "shoulder": 0.079, "elbow": 0.072, "wrist": 0.062, "hip": 0.107,
         "knee": 0.087, "ankle": 0.089, "head_bottom": 0.029, "head_top": 0.026}  # fmt: skip


@pytest.fixture(params=[(COCO, 13), (LSP, 14)], ids=["coco", "lsp"])
def scored(request):
    """Data set, number of common joints, annotations [N, K, 3], boxes, areas and predictions."""
    skeleton, common = request.param
    rng = np.random.default_rng(3)
    corner, sides = rng.uniform(0, 50, (PEOPLE, 2)), rng.uniform(40, 200, (PEOPLE, 2))
    boxes = np.concatenate([corner, corner + sides], 1)
    points = corner[:, None] + rng.random((PEOPLE, skeleton.size, 2)) * sides[:, None]
    flags = rng.integers(0, 3, (PEOPLE, skeleton.size, 1))
    annotated = np.concatenate([points, flags], -1) * (flags > 0)
    target = convert_keypoints(annotated, skeleton, POSETRACK17)[..., :2]
    error = rng.normal(0, 1, target.shape) * rng.choice([1, 4, 40], (PEOPLE, 1, 1))
    scores = rng.random((PEOPLE, POSETRACK17.size))
    return skeleton, common, annotated, boxes, sides.prod(1) * 0.5, target + error, scores


def result(skeleton, annotated, boxes, areas, points, scores):
    """What the evaluator says, fed as the records of such a set are, with padding."""
    rows = np.r_[np.arange(PEOPLE), 0]
    mask = conversion(skeleton, POSETRACK17) >= 0
    evaluator = PoseEvaluator(POSETRACK17)
    batch = {
        "keypoints": convert_keypoints(annotated, skeleton, POSETRACK17)[rows],
        "joint_mask": np.tile(mask, (PEOPLE + 1, 1)).astype(np.float32),
        "head_size": np.full(PEOPLE + 1, np.nan),
        "box_xyxy": boxes[rows],
        "area": areas[rows],
        "mask": np.r_[np.ones(PEOPLE), 0],
        "id": np.array([f"set/{row}#0" for row in rows], object),
    }
    evaluator.add(batch, {"points": points[rows], "scores": scores[rows]})
    return evaluator.result()


def pairs(skeleton):
    """(name, index in the network, index in the set) of each common joint."""
    names = ["head_bottom" if joint == "neck" else joint for joint in skeleton.joints]
    return [(j, k, names.index(j)) for k, j in enumerate(POSETRACK17.joints) if j in names]


def test_pck_equals_a_loop(scored):
    skeleton, common, annotated, boxes, areas, points, scores = scored
    found = result(skeleton, annotated, boxes, areas, points, scores)
    assert found["joints"] == common == len(pairs(skeleton)) and found["people"] == PEOPLE
    percents = {}
    for name, k, place in pairs(skeleton):
        right = total = 0
        for n in range(PEOPLE):
            x, y, flag = annotated[n, place]
            if flag:
                x1, y1, x2, y2 = boxes[n]
                near = np.hypot(points[n, k, 0] - x, points[n, k, 1] - y)
                total, right = total + 1, right + (near <= 0.2 * max(x2 - x1, y2 - y1))
        percents[f"pck_{name}"] = 100 * right / total
    assert 20 < np.mean(list(percents.values())) < 95
    assert {n: v for n, v in found.items() if n.startswith("pck_")} == pytest.approx(percents)
    assert found["pck"] == pytest.approx(np.mean(list(percents.values())))


def average_precision(hits, scores):
    """COCO's: 101 recalls, the best precision at that recall or a higher one."""
    order = np.argsort(-scores, kind="mergesort")
    right = np.cumsum(hits[order])
    precision, recall = right / np.arange(1, len(hits) + 1), right / len(hits)
    reached = [precision[recall >= level - 1e-12] for level in np.linspace(0, 1, 101)]
    return np.mean([best.max() if len(best) else 0.0 for best in reached])


def test_oks_ap_equals_a_loop(scored):
    """One person and one pose a picture, so that every pose meets its own person."""
    skeleton, _, annotated, boxes, areas, points, scores = scored
    similarity = []
    for n in range(PEOPLE):
        terms = []
        for name, k, place in pairs(skeleton):
            x, y, flag = annotated[n, place]
            if flag:
                sigma = SIGMA[name.removeprefix("left_").removeprefix("right_")]
                squared = (points[n, k, 0] - x) ** 2 + (points[n, k, 1] - y) ** 2
                terms.append(np.exp(-squared / (2 * areas[n] * (2 * sigma) ** 2)))
        assert terms
        similarity.append(np.mean(terms))
    similarity, people = np.array(similarity), scores.mean(1)
    precisions = [
        average_precision(similarity >= level, people) for level in np.linspace(0.5, 0.95, 10)
    ]
    found = result(skeleton, annotated, boxes, areas, points, scores)
    assert 10 < 100 * np.mean(precisions) < 90
    assert found["oks_ap"] == pytest.approx(100 * np.mean(precisions), abs=1e-6)
    assert found["oks_ap50"] == pytest.approx(100 * precisions[0], abs=1e-6)
