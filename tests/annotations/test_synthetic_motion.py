import numpy as np
import pytest

from jaxpose.annotations.synthetic import video_plan
from jaxpose.annotations.synthetic_motion import SYNTHETIC, Body, pose_body
from jaxpose.annotations.synthetic_poses import draw_angles
from jaxpose.skeletons import MPII, POSETRACK17, POSETRACK18, conversion

SIZE = (192, 144)


def test_the_superset_fills_every_target_joint_but_the_ears():
    for target in (MPII, POSETRACK17, POSETRACK18):
        missing = np.flatnonzero(conversion(SYNTHETIC, target) < 0)
        assert all("ear" in target.joints[k] for k in missing)


def test_upright_body_has_its_segment_lengths(upright):
    at = {name: points[0] for name, points in upright([0.0]).points.items()}
    body = Body()
    assert at["left_ankle"][1] == pytest.approx(0.035)
    assert at["left_knee"][1] - at["left_ankle"][1] == pytest.approx(body.shank)
    assert at["left_hip"][1] - at["left_knee"][1] == pytest.approx(body.thigh)
    assert at["left_shoulder"][0] - at["right_shoulder"][0] == pytest.approx(2 * body.shoulder)
    assert at["head_top"][1] - at["upper_neck"][1] == pytest.approx(body.head)
    bent = upright([0.0], left_elbow=np.pi / 2, left_arm_out=np.pi / 2)
    assert bent.points["left_elbow"][0, 0] == pytest.approx(body.shoulder + body.upper_arm)
    # The forearm of a stretched-out arm, bent by 90 degrees, points forward.
    assert bent.points["left_wrist"][0, 2] == pytest.approx(body.forearm)


def test_left_is_on_the_images_right_only_of_those_who_face_the_camera(upright):
    yaw = np.radians([0, 30, 90, 150, 180, -90])
    points = upright(yaw).points
    for joint in ("shoulder", "hip", "knee", "ankle"):
        apart = points[f"left_{joint}"] - points[f"right_{joint}"]
        assert np.sign(np.round(apart[:, 0], 6)).tolist() == [1, 1, 0, -1, -1, 0]
        # Facing the image's right hides the left side, facing its left hides the right side.
        assert np.sign(np.round(apart[:, 2], 6))[[2, 5]].tolist() == [-1, 1]
    ahead = points["nose"] - points["upper_neck"]
    assert np.sign(np.round(ahead[:, 0], 6)).tolist() == [0, 1, 1, 1, 0, -1]
    assert np.sign(np.round(ahead[[0, 4], 2], 6)).tolist() == [1, -1]


def test_bones_keep_their_length_in_every_pose():
    rng = np.random.default_rng(0)
    for walking in (False, True):
        points = pose_body(Body(), draw_angles(rng, 40, walking), rng.uniform(-3, 3, 40)).points
        for a, b, length in (
            ("left_shoulder", "left_elbow", Body().upper_arm),
            ("right_elbow", "right_wrist", Body().forearm),
            ("right_hip", "right_knee", Body().thigh),
            ("left_knee", "left_ankle", Body().shank),
            ("pelvis", "thorax", Body().trunk),
        ):
            np.testing.assert_allclose(np.linalg.norm(points[a] - points[b], axis=-1), length)
        lowest = np.minimum(points["left_ankle"][:, 1], points["right_ankle"][:, 1])
        np.testing.assert_allclose(lowest, 0.035)


def test_motion_is_smooth_and_poses_vary():
    steps, poses = [], []
    for index in range(12):
        plan = video_plan(3, "train", index, 12, SIZE)
        for actor in plan.actors:
            points = np.stack([actor.motion.points[name] for name in SYNTHETIC.joints], 1)
            steps.append(np.linalg.norm(np.diff(points[..., :2], axis=0), axis=-1).max())
            poses.append(points[0])
    assert max(steps) < 0.35 and np.median(steps) > 0.03
    spread = np.std(poses, axis=0)[:, :2].max(-1)
    names = list(SYNTHETIC.joints)
    assert spread[[names.index(f"{s}_wrist") for s in ("left", "right")]].min() > 0.15
