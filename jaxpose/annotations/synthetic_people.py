"""Draws one posed person of the synthetic data: shaded limbs, garments, a head with a face.

Colours belong to a person's skin, hair and garments, never to a joint or a side: what tells left
from right is the pose and the facing (face, shirt front and shoe tips show only from the front).
Parts are drawn from the farthest to the nearest on a canvas whose fourth channel holds the number
of the person, so that joints hidden by others can be told from visible ones.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from jaxpose.annotations.synthetic_head import draw_head, head_center
from jaxpose.annotations.synthetic_look import Colour, Look
from jaxpose.annotations.synthetic_motion import SIDES, Body, Motion
from jaxpose.annotations.synthetic_view import View, fill_hull


@dataclass(frozen=True, eq=False)
class Part:
    """The convex hull of balls, in one colour.

    Attributes:
      centers: [n, 3] camera axes, body heights. radii: [n] body heights.
      bias: added to the mean nearness, so that a sleeve covers its arm.
    """

    centers: np.ndarray
    radii: np.ndarray
    colour: Colour
    bias: float = 0.0


def _shaded(colour: Colour, factor: float, number: int) -> tuple[float, ...]:
    return (*(min(255.0, c * factor) for c in colour), float(number))


def _draw_part(canvas: np.ndarray, part: Part, view: View) -> None:
    at = view.project(part.centers)[:, :2]
    radii = part.radii * view.height
    lit = at + 0.35 * radii[:, None] * view.light
    fill_hull(canvas, at, radii, _shaded(part.colour, 0.62, view.number))
    fill_hull(canvas, at + 0.1 * (lit - at), 0.88 * radii, _shaded(part.colour, 0.9, view.number))
    fill_hull(canvas, lit, 0.45 * radii, _shaded(part.colour, 1.06, view.number))


def draw_person(
    canvas: np.ndarray, body: Body, look: Look, motion: Motion, frame: int, view: View
) -> None:
    """Draw one frame of a motion onto the canvas, in place.

    Args:
      canvas: uint8 [h, w, 4], RGB and the number of the person on top.
      body: proportions.
      look: colours and garments.
      motion: posed frames.
      frame: which of them.
      view: place, size and light.
    """
    points = {name: at[frame] for name, at in motion.points.items()}
    torso, head = motion.torso[frame], motion.head[frame]
    center = head_center(body, points["upper_neck"], head)
    parts = [*_limbs(body, look, points), *_trunk(body, look, points, torso)]
    if look.long_hair:
        parts.append(_hanging_hair(body, look, center, head))
    nearness = [view.project(part.centers)[:, 2].mean() + part.bias for part in parts]
    nearness.append(view.project(center)[2])
    for index in np.argsort(nearness, kind="stable"):
        if index < len(parts):
            _draw_part(canvas, parts[index], view)
        else:
            draw_head(canvas, body, look, center, head, view)


def _hanging_hair(body: Body, look: Look, center: np.ndarray, head: np.ndarray) -> Part:
    ends = np.array([[0.0, 0.0, -0.03], [0.0, -0.6 * body.head, -0.045]])
    return Part(center + ends @ head.T, np.array([0.06, 0.05]), look.hair)


def _along(points: dict[str, np.ndarray], names: tuple[str, ...], share: float) -> np.ndarray:
    """Polyline through the named points, cut at a share of its pieces."""
    chain = [points[name] for name in names]
    cut = share * (len(chain) - 1)
    whole = int(cut)
    kept = chain[: whole + 1]
    if cut > whole:
        kept.append(chain[whole] + (cut - whole) * (chain[whole + 1] - chain[whole]))
    return np.array(kept)


def _tube(
    chain: np.ndarray, radii: tuple[float, ...], colour: Colour, bias: float
) -> Iterator[Part]:
    """One part per piece of a polyline, with the radii of its points."""
    for i in range(len(chain) - 1):
        yield Part(chain[i : i + 2], np.array(radii[i : i + 2]), colour, bias)


def _limbs(body: Body, look: Look, points: dict[str, np.ndarray]) -> Iterator[Part]:
    g = body.girth
    for side in SIDES:
        arm = (f"{side}_shoulder", f"{side}_elbow", f"{side}_wrist")
        leg = (f"{side}_hip", f"{side}_knee", f"{side}_ankle")
        hand = np.array([points[f"{side}_wrist"], points[f"{side}_hand"]])
        foot = np.array([points[f"{side}_ankle"], points[f"{side}_toe"]])
        yield from _tube(_along(points, arm, 1), (0.042 * g, 0.037 * g, 0.031 * g), look.skin, 0.02)
        yield Part(hand, np.array([0.031, 0.036]) * g, look.skin, 0.025)
        sleeve = _along(points, arm, look.sleeve)
        yield from _tube(sleeve, (0.049 * g, 0.044 * g, 0.038 * g), look.shirt, 0.03)
        yield from _tube(_along(points, leg, 1), (0.052 * g, 0.04 * g, 0.028 * g), look.skin, 0.0)
        cloth = _along(points, leg, 0.15 if look.skirt else look.leg)
        yield from _tube(cloth, (0.06 * g, 0.048 * g, 0.037 * g), look.trousers, 0.003)
        yield Part(foot, np.array([0.034, 0.028]) * g, look.shoes, 0.006)


def _trunk(
    body: Body, look: Look, points: dict[str, np.ndarray], torso: np.ndarray
) -> Iterator[Part]:
    g = body.girth
    thorax, pelvis = points["thorax"], points["pelvis"]
    shoulders = [points[f"{side}_shoulder"] for side in SIDES]
    hips = [points[f"{side}_hip"] for side in SIDES]
    chest = thorax + torso @ np.array([0.0, -0.07, 0.008])
    waist = [pelvis + torso @ np.array([sign * 0.05 * g, 0.05, 0.0]) for sign in SIDES.values()]
    inner = [0.85 * s + 0.15 * thorax for s in shoulders]
    yield Part(np.array([*hips, pelvis]), np.array([0.055, 0.055, 0.06]) * g, look.trousers, 0.0)
    if look.skirt:
        hem = [0.35 * hip + 0.65 * points[f"{s}_knee"] for s, hip in zip(SIDES, hips, strict=True)]
        widths = np.array([0.055, 0.055, 0.07, 0.07]) * g
        yield Part(np.array([*hips, *hem]), widths, look.trousers, 0.02)
    radii = np.array([0.034, 0.034, 0.07, 0.05, 0.05]) * g
    yield Part(np.array([*inner, chest, *waist]), radii, look.shirt, 0.002)
    yield Part(np.array([thorax, points["upper_neck"]]), np.array([0.034, 0.032]) * g, look.skin)
    if look.bib:
        yield _patch(thorax, torso, (-0.05, -0.17), 0.03, 0.055 * g, look.second)
    yield _patch(thorax, torso, (-0.005, -0.035), 0.012, 0.05 * g, look.skin)
    if look.backpack:
        yield _patch(thorax, torso, (-0.03, -0.2), 0.04, -0.085 * g, look.second)


def _patch(
    thorax: np.ndarray,
    torso: np.ndarray,
    span: tuple[float, float],
    half_width: float,
    forward: float,
    colour: Colour,
) -> Part:
    """Something worn on the chest (forward > 0) or on the back: hidden by the trunk otherwise."""
    corners = [(x, y, forward) for y in span for x in (-half_width, half_width)]
    depth = 0.012 if forward > 0 else 0.03
    return Part(thorax + np.array(corners) @ torso.T, np.full(4, depth), colour)
