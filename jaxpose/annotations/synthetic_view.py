"""From body heights to canvas pixels, and the filled shapes that synthetic people are made of."""

from dataclasses import dataclass

import cv2
import numpy as np

_TURN = np.linspace(0.0, 2 * np.pi, 16, endpoint=False)
_CIRCLE = np.stack([np.cos(_TURN), np.sin(_TURN)], -1)
_SHIFT = 4


@dataclass(frozen=True, eq=False)
class View:
    """Where a person stands on the canvas: canvas px = origin + height * (x, -y).

    Attributes:
      origin: [2] canvas px of the ground below the pelvis.
      height: body height in canvas px.
      tilt: radians that the camera looks down.
      light: unit-ish [2] direction on the canvas toward the light.
      number: value of the canvas's fourth channel for this person, 1..254.
    """

    origin: np.ndarray
    height: float
    tilt: float
    light: np.ndarray
    number: int

    @property
    def rotation(self) -> np.ndarray:
        """[3, 3] camera axes -> axes of the tilted camera."""
        cos, sin = np.cos(self.tilt), np.sin(self.tilt)
        return np.array([[1.0, 0.0, 0.0], [0.0, cos, -sin], [0.0, sin, cos]])

    def project(self, points: np.ndarray) -> np.ndarray:
        """Camera axes [..., 3] in body heights -> [..., 3]: canvas x, y in px and nearness."""
        turned = points @ self.rotation.T
        left, top = self.origin
        x, y = left + self.height * turned[..., 0], top - self.height * turned[..., 1]
        return np.stack([x, y, turned[..., 2]], -1)


def fill_hull(
    canvas: np.ndarray, centers: np.ndarray, radii: np.ndarray, colour: tuple[float, ...]
) -> None:
    """Fill the convex hull of circles, in place.

    Args:
      canvas: uint8 [h, w, c], changed.
      centers: [n, 2] px; radii: [n] px.
      colour: one value per channel.
    """
    rim = centers[:, None] + radii[:, None, None] * _CIRCLE
    hull = cv2.convexHull(rim.reshape(-1, 2).astype(np.float32))
    fixed = np.round(hull * (1 << _SHIFT)).astype(np.int32)
    cv2.fillConvexPoly(canvas, fixed, colour, cv2.LINE_8, _SHIFT)
