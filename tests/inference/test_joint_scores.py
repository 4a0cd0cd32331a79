"""Scores of joints by rule; duplicate poses against a brute-force twin."""

import math

import numpy as np
import pytest

from jaxpose.inference.joint_scores import JOINT_SCORES, distinct_poses, pairwise_oks

SIGMAS = np.array([0.026, 0.079, 0.107])


def test_rules():
    peaks, boxes = np.array([[0.5, -0.1], [0.25, 1.0]]), np.array([0.5, 0.2])
    expected = {
        "peak": peaks,
        "box": [[0.5, 0.5], [0.2, 0.2]],
        "peak_times_box": [[0.25, -0.05], [0.05, 0.2]],
    }
    assert expected.keys() == JOINT_SCORES.keys()
    for name, rule in JOINT_SCORES.items():
        np.testing.assert_allclose(rule(peaks, boxes), expected[name])


def test_oks_by_hand():
    """Joints 0, 3 and 4 px apart, poses of 50 and 150 px^2: s^2 = 100."""
    poses = np.array([[[0, 0], [0, 0], [0, 0]], [[0, 0], [3, 0], [0, 4]]])
    found = pairwise_oks(poses, np.array([50.0, 150.0]), SIGMAS)
    terms = [
        math.exp(-d * d / (2 * 100 * (2 * k) ** 2)) for d, k in zip((0, 3, 4), SIGMAS, strict=True)
    ]
    np.testing.assert_allclose(found, [[1, sum(terms) / 3], [sum(terms) / 3, 1]])


def brute_force(poses, areas, scores, threshold):
    kept = []
    for i in sorted(range(len(poses)), key=lambda i: (-scores[i], i)):
        for j in kept:
            total = 0.0
            for k, sigma in enumerate(SIGMAS):
                d2 = ((poses[i, k] - poses[j, k]) ** 2).sum()
                total += math.exp(-d2 / (areas[i] + areas[j]) / (2 * sigma) ** 2)
            if total / len(SIGMAS) > threshold:
                break
        else:
            kept.append(i)
    return [i in kept for i in range(len(poses))]


@pytest.mark.parametrize("threshold", [0.0, 0.3, 0.7, 1.0])
def test_suppression_equals_brute_force(threshold):
    rng = np.random.default_rng(3)
    dropped = 0
    for count in [0, 1, 2, 5, 30] * 8:
        centers = rng.uniform(0, 60, (count, 1, 2))
        poses = centers + rng.uniform(0, 8, (count, len(SIGMAS), 2))
        areas = rng.uniform(50, 4000, count)
        scores = rng.integers(0, 4, count) / 4  # with ties
        kept = distinct_poses(pairwise_oks(poses, areas, SIGMAS), scores, threshold)
        assert kept.tolist() == brute_force(poses, areas, scores, threshold)
        dropped += count - kept.sum()
    assert (dropped > 0) == (threshold < 1)
