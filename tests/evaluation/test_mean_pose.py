"""The mean-pose baseline on a hand-computed pair."""

import numpy as np

from jaxpose.evaluation.mean_pose import mean_pose, place_pose


def test_mean_of_box_fractions_leaves_out_unannotated_joints():
    boxes = np.array([[0, 0, 10, 20], [100, 100, 120, 110]], float)
    keypoints = np.array(
        [[[5, 10, 2], [10, 0, 1], [0, 0, 0]], [[105, 110, 2], [0, 0, 0], [0, 0, 0]]], float
    )
    pose = mean_pose(keypoints, boxes)
    np.testing.assert_allclose(pose, [[(0.5 + 0.25) / 2, (0.5 + 1) / 2], [1, 0], [0.5, 0.5]])
    placed = place_pose(pose, boxes)
    np.testing.assert_allclose(placed[0], [[3.75, 15], [10, 0], [5, 10]])
    np.testing.assert_allclose(placed[1, 1], [120, 100])
