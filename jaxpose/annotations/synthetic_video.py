"""Plans and renders one synthetic video: who stands where, what hides them."""

from dataclasses import dataclass

import cv2
import numpy as np

from jaxpose.annotations.synthetic_look import Look, draw_look
from jaxpose.annotations.synthetic_motion import (
    Body,
    Motion,
    draw_body,
    pose_body,
)
from jaxpose.annotations.synthetic_people import draw_person
from jaxpose.annotations.synthetic_poses import draw_angles, draw_facing
from jaxpose.annotations.synthetic_scene import (
    Occluder,
    draw_background,
    draw_occluder,
    draw_occluder_plan,
)
from jaxpose.annotations.synthetic_view import View

OVERSAMPLING = 2
"""Canvas px per image px; reducing the canvas smooths the edges."""


@dataclass(frozen=True, eq=False)
class Actor:
    """One person of a video.

    Attributes:
      body, look, motion: see there; the motion covers all frames.
      ground: float64 [T, 2] image px below the pelvis.
      height: body height in image px.
      annotated: False for bystanders, who get an ignore region instead.
    """

    body: Body
    look: Look
    motion: Motion
    ground: np.ndarray
    height: float
    annotated: bool = True


@dataclass(frozen=True, eq=False)
class Plan:
    """Everything that a video's frames are rendered from.

    Attributes:
      size: width and height of the frames in px.
      actors: their places in the list are the track ids.
      occluders: foreground objects, in canvas px.
      background: uint8 canvas [h, >= w, 3], wider than the frame where the camera pans.
      pan: int [T] left edge of the frame on the background.
      tilt, light, gain: the camera's tilt (radians), light direction [2], brightness.
      labelled: bool [T].
      grain: int16 [h, w + 64, 1] sensor noise, shifted from frame to frame.
    """

    size: tuple[int, int]
    actors: tuple[Actor, ...]
    occluders: tuple[Occluder, ...]
    background: np.ndarray
    pan: np.ndarray
    tilt: float
    light: np.ndarray
    gain: float
    labelled: np.ndarray
    grain: np.ndarray


def plan_video(rng: np.random.Generator, frames: int, size: tuple[int, int]) -> Plan:
    """Draw people, motions, objects and background of a video of `frames` frames."""
    width, height = size
    actors = _draw_actors(rng, frames, size)
    occluders = tuple(
        draw_occluder_plan(rng, OVERSAMPLING * a.ground[0], OVERSAMPLING * a.height)
        for a in actors
        if a.annotated and rng.random() < 0.25
    )
    slack = int(0.1 * width) * OVERSAMPLING
    background = draw_background(rng, (OVERSAMPLING * width + slack, OVERSAMPLING * height))
    turn = rng.uniform(0, 2 * np.pi) + np.arange(frames) * rng.uniform(0, 0.2)
    light = np.array([rng.choice((-0.6, 0.6)), -0.8])
    labelled = np.ones(frames, bool)
    if frames > 3 and rng.random() < 0.5:
        labelled[rng.integers(frames)] = False
    return Plan(
        size=size,
        actors=actors,
        occluders=occluders,
        background=background,
        pan=np.round(slack * (0.5 + 0.5 * np.sin(turn))).astype(int),
        tilt=rng.uniform(0.0, 0.22),
        light=light,
        gain=rng.uniform(0.8, 1.15),
        labelled=labelled,
        grain=rng.normal(0, rng.uniform(1, 4), (height, width + 64, 1)).astype(np.int16),
    )


def _draw_actors(rng: np.random.Generator, frames: int, size: tuple[int, int]) -> tuple[Actor, ...]:
    """One to four people side by side, who may cross, and sometimes a bystander behind them."""
    width, height = size
    count = int(rng.choice(4, p=(0.38, 0.37, 0.17, 0.08))) + 1
    tallest = height * (0.74, 0.7, 0.6, 0.52)[count - 1]
    places = (np.arange(count) + rng.uniform(0.25, 0.75, count)) * width / count
    actors = []
    for place in places:
        tall = rng.uniform(0.38 * height, tallest)
        base = rng.uniform(max(0.66 * height, 1.06 * tall), 1.04 * height)
        actors.append(_draw_actor(rng, frames, tall, (float(place), base), width))
    if rng.random() < 0.25:
        tall = rng.uniform(0.2, 0.3) * height
        spot = (rng.uniform(0.05, 0.95) * width, rng.uniform(0.55, 0.68) * height)
        actors.append(_draw_actor(rng, frames, tall, spot, width, annotated=False))
    return tuple(actors)


def _draw_actor(
    rng: np.random.Generator,
    frames: int,
    height: float,
    spot: tuple[float, float],
    width: int,
    annotated: bool = True,
) -> Actor:
    walking = bool(rng.random() < 0.12)
    body, look, time = draw_body(rng), draw_look(rng), np.arange(frames)
    facing = draw_facing(rng, walking)
    if walking:
        # They go where they look; the pace is that of the strides, seen from the front less of it.
        speed = height * np.sin(facing) * rng.uniform(0.02, 0.06)
        yaw = np.full(frames, facing)
    else:
        speed = height * rng.normal(0, 0.006)
        yaw = facing + time * rng.normal(0, 0.04)
    margin = 0.16 * height
    x = np.clip(spot[0] + speed * time, margin, width - margin)
    motion = pose_body(body, draw_angles(rng, frames, walking), yaw)
    ground = np.stack([x, np.full(frames, spot[1])], -1)
    return Actor(body, look, motion, ground, height, annotated)


def view_of(plan: Plan, actor: Actor, frame: int, oversampling: int, number: int = 0) -> View:
    """Where an actor stands on a canvas of `oversampling` px per image px."""
    # Image and canvas both count from pixel centres.
    origin = (actor.ground[frame] + 0.5) * oversampling - 0.5
    return View(origin, actor.height * oversampling, plan.tilt, plan.light, number)


def render(plan: Plan, frame: int) -> tuple[np.ndarray, np.ndarray]:
    """Render one frame.

    Returns:
      The image uint8 [h, w, 3] RGB, and who is seen at each canvas px, uint8
      [OVERSAMPLING * h, OVERSAMPLING * w]: 1 + index of the actor, 255 objects, 0 background.
    """
    width, height = plan.size
    canvas = np.zeros((OVERSAMPLING * height, OVERSAMPLING * width, 4), np.uint8)
    left = plan.pan[frame]
    canvas[..., :3] = plan.background[:, left : left + canvas.shape[1]]
    layers: list[tuple[float, int, Actor | Occluder]] = [
        (OVERSAMPLING * float(actor.ground[frame, 1]), index + 1, actor)
        for index, actor in enumerate(plan.actors)
    ]
    layers += [(occluder.bottom, 0, occluder) for occluder in plan.occluders]
    for _, number, layer in sorted(layers, key=lambda layer: layer[:2]):
        if isinstance(layer, Actor):
            view = view_of(plan, layer, frame, OVERSAMPLING, number)
            draw_person(canvas, layer.body, layer.look, layer.motion, frame, view)
        else:
            draw_occluder(canvas, layer)
    small = cv2.resize(canvas, (width, height), interpolation=cv2.INTER_AREA)[..., :3]
    shift = (frame * 37) % 64
    lit = small * np.float32(plan.gain) + plan.grain[:, shift : shift + width]
    return np.clip(lit, 0, 255).astype(np.uint8), canvas[..., 3]
