"""Geometry of one annotated person that the formats leave implicit."""

import numpy as np

from jaxpose.annotations.schema import Person

# How far a person's box reaches beyond the keypoint extent: left, top, right and bottom, in widths
# and heights of the extent. PoseTrack18's boxes are exactly the extent x 1.3.
BoxOffsets = tuple[float, float, float, float]
BOX_OFFSETS: BoxOffsets = (0.15, 0.15, 0.15, 0.15)
# MPII: head size = 0.6 x diagonal of the head box = 25 x raw scale in every validation row.
HEAD_SIZE_PER_DIAGONAL = 0.6
HEAD_SIZE_PER_RAW_SCALE = 25.0


def keypoint_extent(keypoints: np.ndarray) -> np.ndarray:
    """Smallest xyxy box around the annotated keypoints.

    Args:
      keypoints: [K, 3] (x, y, v) in px.

    Returns:
      float64 [4] in px; nan where nothing is annotated.
    """
    points = keypoints[keypoints[:, 2] > 0, :2]
    if not len(points):
        return np.full(4, np.nan)
    return np.concatenate([points.min(0), points.max(0)]).astype(np.float64)


def person_box(person: Person, offsets: BoxOffsets = BOX_OFFSETS) -> tuple[np.ndarray, str]:
    """The person's box in source px, and where it comes from.

    Args:
      person: whose box.
      offsets: how far the box reaches beyond the keypoint extent, see `BOX_OFFSETS`.

    Returns:
      (float64 [4] xyxy, 'annotated'), or (keypoint extent and `offsets`, not clipped,
      'keypoints') where the set has no person boxes; nan without keypoints either.
    """
    if person.box_xyxy is not None:
        return np.asarray(person.box_xyxy, np.float64), "annotated"
    extent = keypoint_extent(person.keypoints)
    margins = np.array(offsets) * np.tile(extent[2:] - extent[:2], 2)
    return extent + margins * (-1, -1, 1, 1), "keypoints"


def box_rule(offsets: BoxOffsets) -> str:
    """How `person_box` makes a box, in words: `keypoint extent x 1.3` where all sides are alike."""
    if len(set(offsets)) == 1:
        return f"keypoint extent x {1 + 2 * offsets[0]:g}"
    sides = zip(("left", "top", "right", "bottom"), offsets, strict=True)
    return "keypoint extent and " + " ".join(f"{share:g} {side}" for side, share in sides)


def head_size(person: Person) -> float:
    """PCKh's head size in px: 0.6 x head box diagonal, else 25 x MPII raw scale, else nan."""
    if person.head_box is not None:
        x1, y1, x2, y2 = person.head_box
        return float(HEAD_SIZE_PER_DIAGONAL * np.hypot(x2 - x1, y2 - y1))
    if person.scale is not None:
        return float(HEAD_SIZE_PER_RAW_SCALE * person.scale)
    return float("nan")


def head_size_rule(person: Person) -> str:
    """Which field `head_size` uses: 'head_box', 'scale', or '' where it is nan."""
    if person.head_box is not None:
        return "head_box"
    return "" if person.scale is None else "scale"
