"""The `annorect` record that MPII's Matlab file and PoseTrack17's annolist share.

Every scalar may be wrapped in a list of one, as PoseTrack17's JSON does, or bare, as Matlab
structs come out; a missing value may be an absent field or an empty list.
"""

from typing import Any

import numpy as np

from jaxpose.annotations.matlab import as_list
from jaxpose.annotations.schema import NOT_ANNOTATED, OCCLUDED, VISIBLE
from jaxpose.annotations.validation import (
    RecordError,
    box_from_corners,
    flag,
    integer,
    mapping,
    number,
    present,
)

_CORNERS = ("x1", "y1", "x2", "y2")


def scalar(value: Any) -> Any:
    """A value without its list of one; None for an empty list."""
    if isinstance(value, list) and len(value) <= 1:
        return value[0] if value else None
    return value


def optional_number(fields: dict[str, Any], key: str) -> float | None:
    """A number that may be absent."""
    value = scalar(fields.get(key))
    return None if value is None else number(value, key)


def point_xy(fields: dict[str, Any], origin: int) -> tuple[float, float]:
    """The x and y of a struct, 0-based; `origin` is 1 for Matlab coordinates."""
    x, y = (number(scalar(present(fields, key, "point")), key) - origin for key in "xy")
    return x, y


def head_box(rect: dict[str, Any], origin: int) -> np.ndarray | None:
    """float64 [4] xyxy of x1..y2, 0-based; None where absent or of zero size."""
    corners = [optional_number(rect, key) for key in _CORNERS]
    known = [corner - origin for corner in corners if corner is not None]
    if not known:
        return None
    if len(known) < len(_CORNERS):
        missing = _CORNERS[corners.index(None)]
        raise RecordError(f"head box has no field {missing}")
    box = box_from_corners(known, "head box")
    # A box of zero size holds no head; PCKh could not divide by it.
    return None if (box[:2] == box[2:]).all() else box


def head_box_fields(box: np.ndarray | None, origin: int) -> dict[str, float]:
    """x1..y2 for writing; empty without a head box."""
    return {} if box is None else {k: float(v) + origin for k, v in zip(_CORNERS, box, strict=True)}


def read_points(
    rect: dict[str, Any], joints: int, origin: int
) -> tuple[np.ndarray, np.ndarray | None]:
    """The points of a rect by joint id.

    Returns:
      Keypoints float64 [K, 3], and joint scores float64 [K] if the points have scores, else None.

    Raises:
      RecordError: an id outside 0..K-1 or given twice, a field that is missing or of wrong type.
    """
    keypoints = np.zeros((joints, 3))
    scores = np.full(joints, np.nan)
    for point in _points(rect):
        joint = integer(scalar(present(point, "id", "point")), "point id")
        if not 0 <= joint < joints:
            raise RecordError(f"point id {joint} is outside 0..{joints - 1}")
        if keypoints[joint, 2] != NOT_ANNOTATED:
            raise RecordError(f"point id {joint} occurs twice")
        keypoints[joint] = (*point_xy(point, origin), _visibility(point))
        score = optional_number(point, "score")
        scores[joint] = np.nan if score is None else score
    return keypoints, _joint_scores(scores, keypoints[:, 2] > 0)


def _points(rect: dict[str, Any]) -> list[dict[str, Any]]:
    points: list[dict[str, Any]] = []
    for group in as_list(rect.get("annopoints")):
        found = mapping(group, "annopoints").get("point")
        points += [mapping(point, "point") for point in as_list(found)]
    return points


def _visibility(point: dict[str, Any]) -> int:
    value = scalar(point.get("is_visible"))
    if value is None or value == "":
        return VISIBLE  # MPII leaves it out for head top and neck
    if value in ("0", "1"):
        value = int(value)
    return VISIBLE if flag(value, "is_visible") else OCCLUDED


def _joint_scores(scores: np.ndarray, annotated: np.ndarray) -> np.ndarray | None:
    scored = np.isfinite(scores)
    if not scored.any():
        return None
    if (scored != annotated).any():
        raise RecordError("some points have a score and some have none")
    return np.where(scored, scores, 0.0)
