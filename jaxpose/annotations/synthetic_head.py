"""Draws the head of a synthetic person: an ellipsoid, cast ray by ray, with face and hair on it.

The face lies on one side only, so that a head tells where its person looks at any yaw.
"""

import numpy as np

from jaxpose.annotations.synthetic_look import Look
from jaxpose.annotations.synthetic_motion import Body
from jaxpose.annotations.synthetic_view import View, fill_hull

_EYES = np.array([[-0.36, 0.08, 0.93], [0.36, 0.08, 0.93]])
_MOUTH = np.array([0.0, -0.5, 0.86])


def head_axes(body: Body) -> np.ndarray:
    """Half axes [3] of the head along its own x, y, z, in body heights."""
    return np.array([body.head_width / 2, body.head / 2, 0.078])


def head_center(body: Body, neck: np.ndarray, head: np.ndarray) -> np.ndarray:
    """Middle of the head from its lower end [..., 3] and its rotation [..., 3, 3]."""
    return neck + head @ np.array([0.0, body.head / 2, 0.01])


def head_box_half(body: Body, head: np.ndarray) -> np.ndarray:
    """Half width and half height [..., 2] of the box around the turned head, in body heights."""
    reach = np.sqrt(np.sum((head * head_axes(body)) ** 2, axis=-1))
    return reach[..., :2]


def _cast(
    axes: np.ndarray, head: np.ndarray, x: np.ndarray, y: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Where rays along the viewing direction meet the ellipsoid first.

    Returns:
      Points [h, w, 3] on the unit ball of the head's own axes, and a bool mask [h, w].
    """
    quadric = head @ np.diag(axes**-2.0) @ head.T
    half_b = quadric[0, 2] * x + quadric[1, 2] * y
    c = quadric[0, 0] * x * x + 2 * quadric[0, 1] * x * y + quadric[1, 1] * y * y - 1.0
    root = half_b * half_b - quadric[2, 2] * c
    z = (np.sqrt(np.maximum(root, 0.0)) - half_b) / quadric[2, 2]
    return np.stack([x, y, z], -1) @ (head / axes), root >= 0


def _paint(look: Look, ball: np.ndarray) -> np.ndarray:
    """Colours [h, w, 3] by place on the head's unit ball."""
    x, y, z = ball[..., 0], ball[..., 1], ball[..., 2]
    colours = np.empty(ball.shape, np.float32)
    colours[:] = look.skin
    sideburn = 0.05 if look.long_hair else -0.25
    hair = (y > look.hairline - 0.25 * (1 - z)) | ((z < sideburn) & (y > -0.45))
    if look.long_hair:
        hair |= z < sideburn
    colours[hair] = look.hair
    for eye in _EYES:
        distance = np.linalg.norm(ball - eye, axis=-1)
        colours[distance < 0.22] = (245, 245, 245)
        colours[distance < 0.13] = (25, 25, 35)
    mouth = (np.abs(x - _MOUTH[0]) < 0.3) & (np.abs(y - _MOUTH[1]) < 0.07) & (z > 0.5)
    colours[mouth] = (150, 50, 55)
    return colours


def draw_head(
    canvas: np.ndarray,
    body: Body,
    look: Look,
    center: np.ndarray,
    head: np.ndarray,
    view: View,
) -> None:
    """Draw a head onto the canvas, in place.

    Args:
      canvas: uint8 [h, w, 4].
      body: proportions.
      look: colours.
      center: [3] middle of the head, camera axes, body heights.
      head: [3, 3] rotation, head axes -> camera axes.
      view: place, size and light of the person.
    """
    behind = view.project(_nose(body, center, head))[1, 2] < view.project(center)[2]
    for part in (_draw_nose, _draw_skull) if behind else (_draw_skull, _draw_nose):
        part(canvas, body, look, center, head, view)


def _draw_skull(
    canvas: np.ndarray, body: Body, look: Look, center: np.ndarray, head: np.ndarray, view: View
) -> None:
    axes = head_axes(body)
    tilted = view.rotation @ head
    at = view.project(center)[:2]
    reach = view.height * axes.max() + 2
    low = np.maximum(np.floor(at - reach), 0).astype(int)
    high = np.minimum(np.ceil(at + reach) + 1, canvas.shape[1::-1]).astype(int)
    if np.any(low >= high):
        return
    x = (np.arange(low[0], high[0]) - at[0]) / view.height
    y = -(np.arange(low[1], high[1]) - at[1]) / view.height
    grid_x, grid_y = np.meshgrid(x, y)
    ball, inside = _cast(axes, tilted, grid_x, grid_y)
    lit = (grid_x * view.light[0] - grid_y * view.light[1]) / axes[0]
    rim = np.clip((1 - np.hypot(grid_x / axes[0], grid_y / axes[1])) * 5, 0.65, 1.0)
    shade = np.clip(0.92 + 0.16 * lit, 0.7, 1.1) * rim
    patch = canvas[low[1] : high[1], low[0] : high[0]]
    shaded = np.clip(_paint(look, ball) * shade[..., None], 0, 255)
    patch[inside, :3] = shaded[inside].astype(np.uint8)
    patch[inside, 3] = view.number


def _nose(body: Body, center: np.ndarray, head: np.ndarray) -> np.ndarray:
    """Root and tip of the nose [2, 3]."""
    return center + np.array([[0.0, 0.0, 0.072], [0.0, -0.08 * body.head, 0.085]]) @ head.T


def _draw_nose(
    canvas: np.ndarray, body: Body, look: Look, center: np.ndarray, head: np.ndarray, view: View
) -> None:
    at = view.project(_nose(body, center, head))[:, :2]
    dark = tuple(0.78 * c for c in look.skin)
    fill_hull(canvas, at, view.height * np.array([0.006, 0.011]), (*dark, float(view.number)))
