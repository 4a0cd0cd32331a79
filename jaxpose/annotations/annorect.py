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
    points = _points(rect)
    keypoints = np.zeros((joints, 3))
    if not points:
        return keypoints, None
    ids = _point_ids(points, joints)
    keypoints[ids, 0], keypoints[ids, 1] = (_column(points, key) - origin for key in "xy")
    keypoints[ids, 2] = [_visibility(point) for point in points]
    scored = [point for point in points if scalar(point.get("score")) is not None]
    if not scored:
        return keypoints, None
    if len(scored) < len(points):
        raise RecordError("some points have a score and some have none")
    scores = np.zeros(joints)
    scores[ids] = _column(points, "score")
    return keypoints, scores


def _point_ids(points: list[dict[str, Any]], joints: int) -> list[int]:
    ids = [integer(scalar(present(point, "id", "point")), "point id") for point in points]
    for joint in ids:
        if not 0 <= joint < joints:
            raise RecordError(f"point id {joint} is outside 0..{joints - 1}")
    if len(set(ids)) < len(ids):
        twice = next(joint for joint in ids if ids.count(joint) > 1)
        raise RecordError(f"point id {twice} occurs twice")
    return ids


def _column(points: list[dict[str, Any]], key: str) -> np.ndarray:
    """float64 [N] of one field of all points."""
    values = [scalar(present(point, key, "point")) for point in points]
    try:
        return numbers(values, key)
    except RecordError:
        return np.array([number(value, key) for value in values])  # names the one that is none


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
