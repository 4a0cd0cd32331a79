"""What synthetic people do: random key poses, walking, facing, and smooth motion between them."""

import numpy as np

from jaxpose.annotations.synthetic_motion import ANGLES, ARM_ANGLES, SIDES

Pose = dict[str, float]
"""Radians by name of `ANGLES`; absent ones are 0."""


def _draw_trunk(rng: np.random.Generator) -> Pose:
    lean = rng.uniform(0.4, 0.9) if rng.random() < 0.1 else rng.normal(0.05, 0.13)
    spread = {"tip": 0.25, "side": 0.25, "twist": 0.2, "turn": 0.3, "tilt": 0.15}
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
    mode = rng.choice(5, p=(0.22, 0.1, 0.32, 0.32, 0.04))
    arm = {n: rng.uniform(*span) for n, span in zip(ARM_ANGLES, modes[mode], strict=True)}
    # The forearm bends to either side of an arm that is bent or held sideways.
    inward = 1 <= mode <= 3 and rng.random() < 0.25
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
    middle, spread = ((0.0, 0.4), (np.pi, 0.3), (side * np.pi / 2, 0.3))[
        rng.choice(3, p=(0.88, 0.08, 0.04))
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
