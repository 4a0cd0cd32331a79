"""Geometry of one annotated person that the formats leave implicit."""

import numpy as np

from jaxpose.annotations.schema import Person

# PoseTrack18's boxes are the keypoint extent enlarged by exactly this factor in each dimension.
KEYPOINT_BOX_FACTOR = 1.3
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


def person_box(person: Person, factor: float = KEYPOINT_BOX_FACTOR) -> tuple[np.ndarray, str]:
    """The person's box in source px, and where it comes from.

    Args:
      person: whose box.
      factor: on the keypoint extent, in each dimension.

    Returns:
      (float64 [4] xyxy, 'annotated'), or (keypoint extent x `factor` about the same centre, not
      clipped, 'keypoints') where the set has no person boxes; nan without keypoints either.
    """
    if person.box_xyxy is not None:
        return np.asarray(person.box_xyxy, np.float64), "annotated"
    extent = keypoint_extent(person.keypoints)
    margin = (factor - 1) / 2 * (extent[2:] - extent[:2])
    return np.concatenate([extent[:2] - margin, extent[2:] + margin]), "keypoints"


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
