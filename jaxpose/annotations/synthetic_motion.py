"""Articulated bodies for the synthetic data: joint angles over time and forward kinematics.

Units are body heights. Body axes: x to the person's OWN left, y up, z forward. Camera axes: x to
the image's right, y up, z toward the camera; at yaw 0 the person faces the camera, so that its left
is on the image's right; at +90 degrees it faces the image's right and its left side is hidden.
"""

from dataclasses import dataclass

import numpy as np

from jaxpose.skeletons import MPII, Skeleton

SYNTHETIC = Skeleton("synthetic", (*MPII.joints, "nose"), (*MPII.limbs, ("upper_neck", "nose")))
"""What is drawn and annotated: MPII's 16 joints and the nose, a superset of PoseTrack's 15."""

_TRUNK_ANGLES = ("tip", "lean", "side", "twist", "nod", "turn", "tilt")
_ARM_ANGLES = ("arm_flex", "arm_out", "arm_roll", "elbow")
_LEG_ANGLES = ("hip_flex", "hip_out", "hip_roll", "knee")
SIDES = {"left": 1.0, "right": -1.0}
ANGLES = _TRUNK_ANGLES + tuple(
    f"{side}_{angle}" for side in SIDES for angle in _ARM_ANGLES + _LEG_ANGLES
)

Pose = dict[str, float]
"""Radians by name of `ANGLES`; absent ones are 0."""


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


def _draw_trunk(rng: np.random.Generator) -> Pose:
    lean = rng.uniform(0.4, 0.9) if rng.random() < 0.1 else rng.normal(0.05, 0.13)
    spread = {"tip": 0.3, "side": 0.3, "twist": 0.2, "turn": 0.3, "tilt": 0.15}
    pose = {name: float(rng.normal(0, sigma)) for name, sigma in spread.items()}
    return pose | {"lean": lean, "nod": float(rng.normal(0.05, 0.15)) - 0.4 * max(lean, 0.0)}


def _draw_arm(rng: np.random.Generator) -> Pose:
    """One arm: hanging, bent at the side, sideways, overhead or stretched forward."""
    modes = (
        ((-0.3, 0.3), (0.1, 0.5), (-0.2, 1.2), (0.05, 0.6)),
        ((-0.2, 0.3), (0.4, 0.9), (0.8, 1.6), (0.9, 1.8)),
        ((-0.2, 0.2), (0.8, 1.9), (0.9, 1.7), (0.0, 0.9)),
        ((-0.2, 0.2), (2.1, 2.9), (0.9, 1.7), (0.0, 0.8)),
        ((0.5, 1.3), (0.2, 0.8), (-0.2, 1.0), (0.1, 1.2)),
    )
    mode = rng.choice(5, p=(0.2, 0.13, 0.3, 0.3, 0.07))
    arm = {n: rng.uniform(*span) for n, span in zip(_ARM_ANGLES, modes[mode], strict=True)}
    # The forearm bends to either side of an arm that is bent or held sideways.
    inward = 1 <= mode <= 3 and rng.random() < 0.4
    return arm | {"arm_roll": -arm["arm_roll"]} if inward else arm


def _draw_legs(rng: np.random.Generator) -> tuple[Pose, Pose]:
    """Both legs: standing, striding, squatting, one knee raised, astride, lunging sideways."""
    draw = rng.uniform
    mode = rng.choice(6, p=(0.2, 0.15, 0.15, 0.1, 0.2, 0.2))
    stand = {"hip_flex": draw(-0.1, 0.1), "hip_out": draw(0.0, 0.15), "knee": draw(0.0, 0.15)}
    if mode == 0:
        return stand, stand | {"hip_out": draw(0.0, 0.25)}
    if mode == 1:
        front, rear = draw(0.3, 0.9), draw(0.2, 0.6)
        return (
            {"hip_flex": front, "knee": draw(0.1, 0.8), "hip_out": draw(0, 0.2)},
            {"hip_flex": -rear, "knee": draw(0.1, 0.7), "hip_out": draw(0, 0.2)},
        )
    if mode == 2:
        flex, out = draw(0.7, 1.3), draw(0.5, 1.0)
        bent = {"hip_flex": flex, "knee": flex * draw(1.3, 1.5), "hip_out": out}
        return bent, bent | {"hip_out": out * draw(0.6, 1.3)}
    if mode == 3:
        raised = {"hip_flex": draw(0.7, 1.5), "knee": draw(0.6, 1.9), "hip_out": draw(0.1, 0.9)}
        return raised, stand
    wide = {"hip_out": draw(0.25, 0.6), "knee": draw(0.0, 0.3), "hip_flex": draw(0.0, 0.3)}
    if mode == 4:
        return wide, wide | {"hip_out": draw(0.2, 0.6)}
    bent = {"hip_flex": draw(0.6, 1.2), "knee": draw(0.9, 1.7), "hip_out": draw(0.4, 0.9)}
    return bent, wide | {"hip_out": draw(0.5, 0.8)}


def _sided(side: str, pose: Pose) -> Pose:
    return {f"{side}_{name}": value for name, value in pose.items()}


def draw_pose(rng: np.random.Generator) -> Pose:
    """Draw one body pose; each side draws from the same distributions."""
    first, second = _draw_legs(rng)
    if rng.random() < 0.5:
        first, second = second, first
    limbs = _sided("left", _draw_arm(rng) | first) | _sided("right", _draw_arm(rng) | second)
    return _draw_trunk(rng) | limbs


def draw_facing(rng: np.random.Generator, walking: bool) -> float:
    """Draw a yaw in radians: mostly toward the camera, some away from it, some in profile."""
    side = float(rng.choice((-1.0, 1.0)))
    if walking:
        return side * rng.uniform(0.3, 1.6)
    middle, spread = ((0.0, 0.4), (np.pi, 0.35), (side * np.pi / 2, 0.3))[
        rng.choice(3, p=(0.78, 0.14, 0.08))
    ]
    return middle + rng.normal(0, spread)


def _walking(rng: np.random.Generator, poses: int) -> list[Pose]:
    """Alternating strides; each arm swings with the leg of the other side."""
    stride, bend = rng.uniform(0.4, 0.7), rng.uniform(0.3, 1.6)
    trunk = _draw_trunk(rng) | {"lean": rng.uniform(0.0, 0.2), "twist": 0.0, "tip": 0.0}
    busy = str(rng.choice(("left", "right", "neither")))
    carrying = _sided(busy, _draw_arm(rng)) if busy in SIDES else {}
    steps = []
    for step in range(poses):
        front, rear = ("left", "right") if step % 2 else ("right", "left")
        pose = trunk | _sided(front, {"hip_flex": stride, "knee": 0.15, "arm_flex": -stride})
        pose |= _sided(rear, {"hip_flex": -0.7 * stride, "knee": 0.5, "arm_flex": stride})
        pose |= {"left_elbow": bend, "right_elbow": bend, "left_arm_out": 0.1}
        steps.append(pose | {"right_arm_out": 0.1} | carrying)
    return steps


def draw_angles(rng: np.random.Generator, frames: int, walking: bool) -> dict[str, np.ndarray]:
    """Draw a smooth motion: key poses joined by half cosines.

    Returns:
      float64 [frames] radians for every name of `ANGLES`.
    """
    interval = rng.uniform(4.0, 6.0) if walking else rng.uniform(7.0, 11.0)
    time = np.arange(frames) / interval + rng.random()
    count = int(time[-1]) + 2
    poses = _walking(rng, count) if walking else [draw_pose(rng) for _ in range(count)]
    keys = np.array([[pose.get(name, 0.0) for name in ANGLES] for pose in poses])
    before = time.astype(int)
    weight = ((1 - np.cos(np.pi * (time - before))) / 2)[:, None]
    mixed = keys[before] * (1 - weight) + keys[before + 1] * weight
    return dict(zip(ANGLES, mixed.T, strict=True))
