"""Articulated bodies for the synthetic data: segment lengths and forward kinematics.

Units are body heights. Body axes: x to the person's OWN left, y up, z forward. Camera axes: x to
the image's right, y up, z toward the camera; at yaw 0 the person faces the camera, so that its left
is on the image's right; at +90 degrees it faces the image's right and its left side is hidden.
"""

from dataclasses import dataclass

import numpy as np

from jaxpose.skeletons import MPII, Skeleton

SYNTHETIC = Skeleton("synthetic", (*MPII.joints, "nose"), (*MPII.limbs, ("upper_neck", "nose")))
"""What is drawn and annotated: MPII's 16 joints and the nose, a superset of PoseTrack's 15."""

TRUNK_ANGLES = ("tip", "lean", "side", "twist", "nod", "turn", "tilt")
ARM_ANGLES = ("arm_flex", "arm_out", "arm_roll", "elbow")
LEG_ANGLES = ("hip_flex", "hip_out", "hip_roll", "knee")
SIDES = {"left": 1.0, "right": -1.0}
ANGLES = TRUNK_ANGLES + tuple(
    f"{side}_{angle}" for side in SIDES for angle in ARM_ANGLES + LEG_ANGLES
)


@dataclass(frozen=True)
class Body:
    """Segment lengths of one person in body heights; `girth` scales all thicknesses.

    The head box (`head` x `head_width`) has about 0.24 of the keypoints' height as its diagonal, so
    that MPII's crop side of 6 diagonals holds the body as it does in the real set (a crop 1.43
    times as large as the keypoint box).
    """

    girth: float = 1.0
    shank: float = 0.235
    thigh: float = 0.245
    trunk: float = 0.29
    neck: float = 0.05
    head: float = 0.183
    head_width: float = 0.14
    shoulder: float = 0.115
    hip: float = 0.062
    upper_arm: float = 0.165
    forearm: float = 0.15
    foot: float = 0.085


@dataclass(frozen=True, eq=False)
class Motion:
    """T posed frames of one body.

    Attributes:
      points: float64 [T, 3] in camera axes by joint name of `SYNTHETIC`, and `left_toe`,
        `right_toe`, `left_hand`, `right_hand`; the ground is y = 0, the pelvis at x = z = 0.
      torso, head: float64 [T, 3, 3] rotations, body axes -> camera axes.
    """

    points: dict[str, np.ndarray]
    torso: np.ndarray
    head: np.ndarray


def draw_body(rng: np.random.Generator) -> Body:
    """Draw a person's proportions: every segment within 8 percent of the mean, girth within 18."""
    names = ("shank", "thigh", "trunk", "head", "head_width", "shoulder", "upper_arm", "forearm")
    lengths = {name: getattr(Body(), name) * rng.uniform(0.92, 1.08) for name in names}
    return Body(girth=rng.uniform(0.85, 1.18), **lengths)


def _rotation(axis: str, angle: np.ndarray) -> np.ndarray:
    """Right-handed rotations [T, 3, 3] about an axis by angles [T]."""
    i, j = {"x": (1, 2), "y": (2, 0), "z": (0, 1)}[axis]
    matrix = np.broadcast_to(np.eye(3), (len(angle), 3, 3)).copy()
    matrix[:, i, i] = matrix[:, j, j] = np.cos(angle)
    matrix[:, j, i] = np.sin(angle)
    matrix[:, i, j] = -matrix[:, j, i]
    return matrix


def pose_body(body: Body, angles: dict[str, np.ndarray], yaw: np.ndarray) -> Motion:
    """Forward kinematics.

    Args:
      body: segment lengths.
      angles: float64 [T] radians for every name of `ANGLES`.
      yaw: float64 [T] radians, 0 facing the camera, growing toward the image's right.

    Returns:
      The posed body standing on the ground.
    """
    pelvis_axes = _rotation("z", angles["tip"]) @ _rotation("y", yaw)
    torso = pelvis_axes @ _rotation("z", angles["side"]) @ _rotation("x", angles["lean"])
    torso = torso @ _rotation("y", angles["twist"])
    head = torso @ _rotation("y", angles["turn"]) @ _rotation("x", angles["nod"])
    head = head @ _rotation("z", angles["tilt"])
    points = {"pelvis": np.zeros((len(yaw), 3))}
    points["thorax"] = torso @ np.array([0.0, body.trunk, 0.0])
    points["upper_neck"] = points["thorax"] + torso @ np.array([0.0, body.neck, 0.012])
    points["head_top"] = points["upper_neck"] + head @ np.array([0.0, body.head, 0.0])
    nose = np.array([0.0, 0.42 * body.head, 0.088])
    points["nose"] = points["upper_neck"] + head @ nose
    for side, sign in SIDES.items():
        points |= _arm(body, angles, side, sign, points["thorax"], torso)
        points |= _leg(body, angles, side, sign, pelvis_axes)
    lowest = np.minimum(points["left_ankle"][:, 1], points["right_ankle"][:, 1])
    lift = np.stack([0 * lowest, 0.035 - lowest, 0 * lowest], -1)
    return Motion({name: at + lift for name, at in points.items()}, torso, head)


def _arm(
    body: Body,
    angles: dict[str, np.ndarray],
    side: str,
    sign: float,
    thorax: np.ndarray,
    torso: np.ndarray,
) -> dict[str, np.ndarray]:
    upper = torso @ _rotation("x", -angles[f"{side}_arm_flex"])
    upper = upper @ _rotation("z", sign * angles[f"{side}_arm_out"])
    upper = upper @ _rotation("y", sign * angles[f"{side}_arm_roll"])
    lower = upper @ _rotation("x", -angles[f"{side}_elbow"])
    shoulder = thorax + torso @ np.array([sign * body.shoulder, -0.015, 0.0])
    elbow = shoulder + upper @ np.array([0.0, -body.upper_arm, 0.0])
    return {
        f"{side}_shoulder": shoulder,
        f"{side}_elbow": elbow,
        f"{side}_wrist": elbow + lower @ np.array([0.0, -body.forearm, 0.0]),
        f"{side}_hand": elbow + lower @ np.array([0.0, -body.forearm - 0.04, 0.0]),
    }


def _leg(
    body: Body, angles: dict[str, np.ndarray], side: str, sign: float, pelvis_axes: np.ndarray
) -> dict[str, np.ndarray]:
    upper = pelvis_axes @ _rotation("x", -angles[f"{side}_hip_flex"])
    upper = upper @ _rotation("z", sign * angles[f"{side}_hip_out"])
    upper = upper @ _rotation("y", sign * angles[f"{side}_hip_roll"])
    lower = upper @ _rotation("x", angles[f"{side}_knee"])
    hip = pelvis_axes @ np.array([sign * body.hip, -0.01, 0.0])
    knee = hip + upper @ np.array([0.0, -body.thigh, 0.0])
    ankle = knee + lower @ np.array([0.0, -body.shank, 0.0])
    toe = ankle + lower @ np.array([0.0, -0.3 * body.foot, body.foot])
    names = ("hip", "knee", "ankle", "toe")
    return {f"{side}_{name}": at for name, at in zip(names, (hip, knee, ankle, toe), strict=True)}
