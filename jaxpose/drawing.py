"""Boxes, skeletons and sheets of pictures (NumPy and cv2). All functions return new images.

Images are uint8 [h, w, 3], RGB; coordinates are px with integers at pixel centres.
"""

from collections.abc import Sequence

import cv2
import numpy as np

from jaxpose.skeletons import Skeleton

Colour = tuple[int, int, int]

LEFT: Colour = (0, 190, 255)
RIGHT: Colour = (255, 95, 60)
MIDDLE: Colour = (255, 215, 0)
TRUTH: Colour = (235, 235, 235)

FIXED_BITS = 4
_LARGEST = 1 << 20


def side_colour(*joints: str) -> Colour:
    """Colour of a joint or limb: left, right, or middle where both sides or none take part."""
    left = any(joint.startswith("left_") for joint in joints)
    right = any(joint.startswith("right_") for joint in joints)
    if left == right:
        return MIDDLE
    return LEFT if left else RIGHT


def visible_joints(
    keypoints: np.ndarray, scores: np.ndarray | None = None, threshold: float = 0.0
) -> np.ndarray:
    """Which joints can be drawn.

    Args:
      keypoints: [K, 2] or [K, 3] with a flag, 0 where there is no such joint.
      scores: [K] or None.
      threshold: least score.

    Returns:
      bool [K]: finite, flagged and scored at least `threshold`.
    """
    shown = np.isfinite(keypoints[:, :2]).all(-1)
    if keypoints.shape[1] > 2:
        shown &= keypoints[:, 2] > 0
    if scores is not None:
        shown &= np.asarray(scores) >= threshold
    return shown


def line_width(image: np.ndarray, keypoints: np.ndarray, shown: np.ndarray) -> int:
    """Line width in px: 1/60 of the person's extent, at least 1, at most 1/50 of the image."""
    if not shown.any():
        return 1
    extent = np.ptp(keypoints[shown, :2], axis=0).max()
    return int(np.clip(round(float(extent) / 60), 1, max(1, min(image.shape[:2]) // 50)))


def fixed_point(point: Sequence[float] | np.ndarray) -> tuple[int, int]:
    """x, y in 1/16 px, as cv2 takes them with `FIXED_BITS`; absurdly far points stay in range."""
    x, y = (round(min(max(float(v), -_LARGEST), _LARGEST) * (1 << FIXED_BITS)) for v in point[:2])
    return x, y


def draw_skeleton(
    image: np.ndarray,
    keypoints: np.ndarray,
    skeleton: Skeleton,
    scores: np.ndarray | None = None,
    threshold: float = 0.0,
    colour: Colour | None = None,
    width: int | None = None,
) -> np.ndarray:
    """Draw limbs and joints of one person.

    Args:
      image: uint8 [h, w, 3].
      keypoints: [K, 2] or [K, 3]; see `visible_joints`.
      skeleton: names and limbs of the K joints.
      scores: [K] or None.
      threshold: joints with a lower score, and their limbs, are left out.
      colour: of everything; by side without it.
      width: line width in px; `line_width` without it.
    """
    drawn = np.ascontiguousarray(image).copy()
    shown = visible_joints(keypoints, scores, threshold)
    width = line_width(image, keypoints, shown) if width is None else width
    for a, b in skeleton.limb_indices:
        if shown[a] and shown[b]:
            paint = colour or side_colour(skeleton.joints[a], skeleton.joints[b])
            ends = fixed_point(keypoints[a]), fixed_point(keypoints[b])
            cv2.line(drawn, *ends, paint, width, cv2.LINE_AA, FIXED_BITS)
    radius = round((0.5 * width + 1) * (1 << FIXED_BITS))
    for k in np.flatnonzero(shown):
        paint = colour or side_colour(skeleton.joints[k])
        cv2.circle(drawn, fixed_point(keypoints[k]), radius, paint, -1, cv2.LINE_AA, FIXED_BITS)
    return drawn


def draw_prediction(
    image: np.ndarray,
    predicted: np.ndarray,
    truth: np.ndarray,
    skeleton: Skeleton,
    scores: np.ndarray | None = None,
    threshold: float = 0.0,
    caption: str = "",
) -> np.ndarray:
    """Draw a prediction, coloured by side, over the ground truth in thin white.

    Args:
      image: uint8 [h, w, 3].
      predicted: [K, 2] or [K, 3].
      truth: [K, 3]; joints with flag 0 are not drawn.
      skeleton: of both.
      scores, threshold: of the prediction.
      caption: written at the top.
    """
    drawn = draw_skeleton(image, truth, skeleton, colour=TRUTH, width=1)
    drawn = draw_skeleton(drawn, predicted, skeleton, scores, threshold)
    return draw_caption(drawn, caption) if caption else drawn


def draw_box(
    image: np.ndarray,
    box_xyxy: np.ndarray,
    colour: Colour = MIDDLE,
    width: int = 1,
    caption: str = "",
) -> np.ndarray:
    """Draw a box [4] in px, with a caption above its left corner; a box with nan is left out."""
    drawn = np.ascontiguousarray(image).copy()
    if not np.isfinite(box_xyxy).all():
        return drawn
    low, high = fixed_point(np.asarray(box_xyxy[:2])), fixed_point(np.asarray(box_xyxy[2:]))
    cv2.rectangle(drawn, low, high, colour, width, cv2.LINE_AA, FIXED_BITS)
    if not caption:
        return drawn
    at = np.clip(np.round(box_xyxy[:2]).astype(int), 0, np.array(image.shape[1::-1]) - 1)
    return _write(drawn, caption, (int(at[0]), max(int(at[1]) - 3, 10)), colour)


def draw_polygon(image: np.ndarray, polygon: np.ndarray, colour: Colour = TRUTH) -> np.ndarray:
    """Draw the outline of a polygon [N, 2] in px, such as an ignore region."""
    drawn = np.ascontiguousarray(image).copy()
    corners = np.array([fixed_point(corner) for corner in polygon], np.int32)
    return cv2.polylines(drawn, [corners], True, colour, 1, cv2.LINE_AA, FIXED_BITS)


def draw_caption(image: np.ndarray, caption: str) -> np.ndarray:
    """Write a line of text into the upper left corner."""
    return _write(np.ascontiguousarray(image).copy(), caption, (3, 11), TRUTH)


def _write(image: np.ndarray, text: str, at: tuple[int, int], colour: Colour) -> np.ndarray:
    """Text with a dark rim, readable on anything; cv2's fonts hold ASCII only."""
    plain = text.encode("ascii", "replace").decode()
    # Not thick text below thin: OpenCV 5 sets thick letters wider apart.
    rim = [(x, y) for x in (-1, 0, 1) for y in (-1, 0, 1) if (x, y) != (0, 0)]
    for shift, paint in [*((shift, (0, 0, 0)) for shift in rim), ((0, 0), colour)]:
        place = (at[0] + shift[0], at[1] + shift[1])
        cv2.putText(image, plain, place, cv2.FONT_HERSHEY_SIMPLEX, 0.36, paint, 1, cv2.LINE_AA)
    return image


def sheet(
    tiles: Sequence[np.ndarray],
    columns: int,
    captions: Sequence[str] | None = None,
    gap: int = 2,
) -> np.ndarray:
    """Lay tiles out row by row on a dark sheet.

    Args:
      tiles: uint8 [h, w, 3] each; cells take the largest height and width.
      columns: tiles in a row.
      captions: one for each tile, or None.
      gap: px between cells.

    Returns:
      uint8 [H, W, 3]; a single dark pixel where there are no tiles.

    Raises:
      ValueError: no columns, or another number of captions than of tiles.
    """
    if columns < 1:
        raise ValueError(f"columns is {columns}, expected at least 1")
    if captions is not None:
        tiles = [draw_caption(tile, c) for tile, c in zip(tiles, captions, strict=True)]
    if not tiles:
        return np.zeros((1, 1, 3), np.uint8)
    height = max(tile.shape[0] for tile in tiles) + gap
    width = max(tile.shape[1] for tile in tiles) + gap
    columns = min(columns, len(tiles))
    rows = -(-len(tiles) // columns)
    page = np.full((rows * height - gap, columns * width - gap, 3), 24, np.uint8)
    for i, tile in enumerate(tiles):
        top, left = i // columns * height, i % columns * width
        page[top : top + tile.shape[0], left : left + tile.shape[1]] = tile
    return page
