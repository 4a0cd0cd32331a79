"""Small labels at boxes: filled with a colour, of readable size, beside one another where they fit.

Images are uint8 [h, w, 3] RGB, coordinates px.
"""

import cv2
import numpy as np

from jaxpose.drawing import Colour

_FONT = cv2.FONT_HERSHEY_SIMPLEX
_SMALLEST, _LARGEST = 9.0, 64.0
_PART_OF_IMAGE = 1 / 42
# A box smaller than this many heights of its label would vanish below it.
_SMALLEST_BOX = 3
# Rec. 601 weights; on colours brighter than this black is easier to read than white.
_LUMA = np.array([0.299, 0.587, 0.114])
_BRIGHT = 120

Place = tuple[int, int, int, int]


def draw_label(
    image: np.ndarray, text: str, box_xyxy: np.ndarray, colour: Colour, taken: list[Place]
) -> None:
    """Write a label at a box, in place, where no earlier label lies if there is such a corner.

    Args:
      image: uint8 [h, w, 3], changed. Labels wider than it are cut.
      text: ASCII.
      box_xyxy: float [4]; with nan, or if the label would hide it, nothing is written.
      colour: of the label; the text is black or white.
      taken: x, y, width, height of the labels so far; this one is added.
    """
    if not np.isfinite(box_xyxy).all():
        return
    scale, thickness = _font(image.shape)
    (width, height), below = cv2.getTextSize(text, _FONT, scale, thickness)
    pad = max(2, height // 4)
    size = (width + 2 * pad, height + max(2 * pad, pad + below))
    if max(box_xyxy[2:] - box_xyxy[:2]) < _SMALLEST_BOX * size[1]:
        return
    x, y = _free_corner(box_xyxy, size, image.shape, taken)
    taken.append((x, y, *size))
    image[y : y + size[1], x : x + size[0]] = colour
    ink = (0, 0, 0) if _LUMA @ colour > _BRIGHT else (255, 255, 255)
    cv2.putText(image, text, (x + pad, y + pad + height), _FONT, scale, ink, thickness, cv2.LINE_AA)


def _font(shape: tuple[int, ...]) -> tuple[float, int]:
    """Font scale and thickness for an image (h, w, ...): 1/42 of its shorter side, 9 to 64 px."""
    pixels = float(np.clip(min(shape[:2]) * _PART_OF_IMAGE, _SMALLEST, _LARGEST))
    (_, unit), _ = cv2.getTextSize("0", _FONT, 1.0, 1)  # OpenCV 4 and 5 differ in their fonts
    scale = pixels / unit
    return scale, max(1, round(1.6 * scale))


def _free_corner(
    box_xyxy: np.ndarray, size: tuple[int, int], shape: tuple[int, ...], taken: list[Place]
) -> tuple[int, int]:
    """Upper left corner of a label inside the image: above the box, else at its other corners."""
    x1, y1, x2, y2 = np.asarray(box_xyxy, np.float64)
    width, height = size
    wishes = [(x1, y1 - height), (x2 - width, y1 - height), (x1, y2), (x2 - width, y2)]
    wishes += [(x1, y1), (x2 - width, y1), (x1, y2 - height), (x2 - width, y2 - height)]
    limit = np.maximum(np.array(shape[1::-1]) - size, 0)
    corners = [tuple(np.clip(np.round(wish), 0, limit).astype(int).tolist()) for wish in wishes]
    free = (corner for corner in corners if not any(_meet((*corner, *size), t) for t in taken))
    return next(free, corners[0])


def _meet(one: Place, other: Place) -> bool:
    """Whether two places x, y, width, height share a pixel."""
    return all(
        one[axis] < other[axis] + other[axis + 2] and other[axis] < one[axis] + one[axis + 2]
        for axis in (0, 1)
    )
