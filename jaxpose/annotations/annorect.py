"""The `annorect` record that MPII's Matlab file and PoseTrack17's annolist share.

Every scalar may be wrapped in a list of one, as PoseTrack17's JSON does, or bare, as Matlab
structs come out; a missing value may be an absent field or an empty list.
"""

from typing import Any

import numpy as np

from jaxpose.annotations.matlab import as_list
from jaxpose.annotations.schema import OCCLUDED, VISIBLE
from jaxpose.annotations.validation import (
    RecordError,
    box_from_corners,
    flag,
    integer,
    mapping,
    number,
    numbers,
    present,
)

_CORNERS = ("x1", "y1", "x2", "y2")


def scalar(value: Any) -> Any:
    """A value without its list of one; None for an empty list."""
    if type(value) is list and len(value) <= 1:
        return value[0] if value else None
    return value


def optional_number(fields: dict[str, Any], key: str) -> float | None:
    """A number that may be absent."""
    value = scalar(fields.get(key))
    return None if value is None else number(value, key)


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
    points = _points(rect)
    keypoints = np.zeros((joints, 3))
    if not points:
        return keypoints, None
    ids = _point_ids(points, joints)
    keypoints[ids, :2] = points_xy(points, origin)
    keypoints[ids, 2] = [_visibility(point) for point in points]
    scored = sum(scalar(point.get("score")) is not None for point in points)
    if not scored:
        return keypoints, None
    if scored < len(points):
        raise RecordError("some points have a score and some have none")
    scores = np.zeros(joints)
    scores[ids] = _column(points, "score")
    return keypoints, scores


def points_xy(points: list[dict[str, Any]], origin: int) -> np.ndarray:
    """float64 [N, 2] of the x and y of N structs, 0-based; `origin` is 1 for Matlab coordinates."""
    return np.column_stack([_column(points, key) for key in "xy"]) - origin


def _point_ids(points: list[dict[str, Any]], joints: int) -> np.ndarray:
    ids = _column(points, "id", "point id")
    outside = (ids % 1 != 0) | (ids < 0) | (ids >= joints)
    if outside.any():
        wrong = integer(float(ids[outside][0]), "point id")
        raise RecordError(f"point id {wrong} is outside 0..{joints - 1}")
    ids = ids.astype(np.int64)
    counts = np.bincount(ids)
    if counts.max() > 1:
        raise RecordError(f"point id {counts.argmax()} occurs twice")
    return ids


def _column(points: list[dict[str, Any]], key: str, name: str | None = None) -> np.ndarray:
    """float64 [N] of one field of N structs."""
    try:  # a call for each of millions of values would take most of the reading
        values = [value for (value,) in [point[key] for point in points]]
    except (KeyError, TypeError, ValueError):
        values = [scalar(present(point, key, "point")) for point in points]
    try:
        return numbers(values, name or key)
    except RecordError:
        return np.array([number(v, name or key) for v in values])  # names the one that is none


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
