"""Checks that every reader shares: typed access to parsed values and the limits of a record.

A check raises `RecordError` with the reason alone. `refusing` turns it into a named rejection of
one record, `in_file` into a `DataError` of the whole file.
"""

import re
import reprlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from jaxpose.annotations.schema import VISIBLE, AnnotationSet, Person, Rejections
from jaxpose.errors import DataError
from jaxpose.skeletons import Skeleton

# A point further out than ten image sides is a broken number, not a person at the border.
FAR_IN_IMAGE_SIDES = 10
# JPEG cannot store a longer side; used where a format does not tell the image size.
LONGEST_SIDE = 65_535

# Control characters, line ends, and lone surrogates, which no file name can hold.
UNWRITABLE = re.compile("[\x00-\x1f\x7f\x85\u2028\u2029\ud800-\udfff]")


def shown(value: Any) -> str:
    """A value as error messages show it: short, on one line."""
    text = reprlib.repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


class RecordError(Exception):
    """Why one record is refused; the caller adds the file and the record."""


@contextmanager
def refusing(rejections: Rejections, file: str | Path, record: str) -> Iterator[None]:
    """Hand a `RecordError` of the block to `rejections`, which may raise `DataError`."""
    try:
        yield
    except RecordError as error:
        rejections.add(file, record, str(error))


@contextmanager
def in_file(file: str | Path) -> Iterator[None]:
    """Turn a `RecordError` of the block into a `DataError` that names the file."""
    try:
        yield
    except RecordError as error:
        raise DataError(f"{file}: {error}") from None


def number(value: Any, name: str) -> float:
    """A finite float; raises RecordError for anything else, booleans and strings included."""
    if type(value) not in (int, float):
        raise RecordError(f"{name} is {shown(value)}, not a number")
    try:
        result = float(value)
    except OverflowError:
        result = float("inf")
    if not np.isfinite(result):
        raise RecordError(f"{name} is not a finite number")
    return result


def integer(value: Any, name: str) -> int:
    """An int64-sized int; raises RecordError for a fraction or anything that is not a number."""
    result = number(value, name)
    if not result.is_integer() or abs(result) >= 2.0**63:
        raise RecordError(f"{name} is {shown(value)}, not an integer")
    return int(value)


def flag(value: Any, name: str) -> bool:
    """A truth value stored as 0, 1, true or false."""
    if value not in (0, 1) or type(value) not in (int, float, bool):
        raise RecordError(f"{name} is {shown(value)}, neither 0 nor 1")
    return bool(value)


def text(value: Any, name: str) -> str:
    """A non-empty string that can be written as UTF-8 on one line."""
    if not isinstance(value, str) or not value:
        raise RecordError(f"{name} is {shown(value)}, not a text")
    if UNWRITABLE.search(value):
        raise RecordError(f"{name} {shown(value)} holds control characters")
    return value


def identifier(value: Any, name: str) -> str:
    """An id, a number or a text, as text."""
    return text(value, name) if isinstance(value, str) else str(integer(value, name))


def mapping(value: Any, name: str) -> dict[str, Any]:
    """A JSON object or Matlab struct."""
    if not isinstance(value, dict):
        raise RecordError(f"{name} is {shown(value)}, not an object with named fields")
    return value


def sequence(value: Any, name: str) -> list[Any]:
    """A JSON list."""
    if not isinstance(value, list):
        raise RecordError(f"{name} is {shown(value)}, not a list")
    return value


def present(fields: dict[str, Any], key: str, name: str) -> Any:
    """The value of a field that must be there."""
    if key not in fields:
        raise RecordError(f"{name} has no field {key}, only {shown(list(fields))}")
    return fields[key]


def numbers(value: Any, name: str, count: int | None = None) -> np.ndarray:
    """float64 [count] of finite numbers; raises RecordError for another length or type."""
    values = sequence(value, name)
    if count is not None and len(values) != count:
        raise RecordError(f"{name} holds {len(values)} numbers, expected {count}")
    if not set(map(type, values)) <= {int, float}:
        raise RecordError(f"{name} holds something that is not a number: {shown(values)}")
    try:
        result = np.array(values, np.float64)
    except OverflowError:
        raise RecordError(f"{name} holds a number that is not finite") from None
    if not np.isfinite(result).all():
        raise RecordError(f"{name} holds a number that is not finite")
    return result


def relative_name(value: Any, name: str) -> str:
    """A path relative to some root, with forward slashes and no way out of that root.

    Raises:
      RecordError: for an absolute path, a drive, a NUL or a `..` part.
    """
    path = text(value, name).replace("\\", "/")
    parts = path.split("/")
    kept = [part for part in parts if part not in ("", ".")]
    if path.startswith("/") or re.match(r"[A-Za-z]:", "/".join(kept)):
        raise RecordError(f"{name} {shown(value)} is an absolute path")
    if ".." in parts:
        raise RecordError(f"{name} {shown(value)} leads out of its folder")
    if not kept:
        raise RecordError(f"{name} {shown(value)} names no file")
    return "/".join(kept)


def box_from_xywh(value: Any, name: str) -> np.ndarray:
    """float64 [4] xyxy from COCO's top-left corner, width and height; negative sizes are refused.

    A zero size passes: it is up to the reader what a box without area means.
    """
    x, y, width, height = numbers(value, name, 4)
    if width < 0 or height < 0:
        raise RecordError(f"{name} has a negative size: {width:g} x {height:g}")
    return np.array([x, y, x + width, y + height])


def box_from_corners(corners: list[float], name: str) -> np.ndarray:
    """float64 [4] xyxy; raises RecordError where x2 < x1 or y2 < y1."""
    x1, y1, x2, y2 = corners
    if x2 < x1 or y2 < y1:
        raise RecordError(f"{name} has a negative size: {x2 - x1:g} x {y2 - y1:g}")
    return np.array(corners, np.float64)


def has_area(box: np.ndarray, width: int | None = None, height: int | None = None) -> bool:
    """Whether an xyxy box covers some area, of the image where its size is known."""
    x1, y1, x2, y2 = box
    if width is not None and height is not None:
        x1, y1, x2, y2 = max(x1, 0.0), max(y1, 0.0), min(x2, width), min(y2, height)
    return bool(x2 > x1 and y2 > y1)


def checked_keypoints(keypoints: np.ndarray) -> np.ndarray:
    """Keypoints [K, 3] with x = y = 0 where not annotated; v outside 0, 1, 2 is refused."""
    flags = keypoints[:, 2]
    if not np.isin(flags, (0, 1, VISIBLE)).all():
        raise RecordError(f"visibility is {flags[~np.isin(flags, (0, 1, 2))][0]:g}, not 0, 1 or 2")
    return np.where(flags[:, None] > 0, keypoints, 0.0)


def check_within_reach(person: Person, width: int | None = None, height: int | None = None) -> None:
    """Refuse coordinates and sizes absurd for the image: more than ten of its longer sides.

    Where the format does not store the image size, the longest side that JPEG can hold counts.
    """
    side = LONGEST_SIDE if width is None or height is None else max(width, height)
    if (person.scale or 0) * 200 > FAR_IN_IMAGE_SIDES * side:
        raise RecordError(f"scale {person.scale:g} (in 200 px) is absurdly large")
    if (person.area or 0) > (FAR_IN_IMAGE_SIDES * side) ** 2:
        raise RecordError(f"area {person.area:g} is absurdly large")
    parts = [person.keypoints[:, :2].ravel(), person.box_xyxy, person.head_box, person.center]
    values = np.concatenate([part for part in parts if part is not None])
    if values.size and np.abs(values).max() > FAR_IN_IMAGE_SIDES * side:
        worst = values[np.abs(values).argmax()]
        raise RecordError(f"coordinate {worst:g} lies absurdly far outside the image")


def check_track(track_id: int, seen: set[int]) -> None:
    """Refuse a track id (-1: none) that another person of the same frame has, else note it."""
    if track_id >= 0 and track_id in seen:
        raise RecordError(f"track_id {track_id} occurs twice in its frame")
    seen.add(track_id)


def require_joints(annotation_set: AnnotationSet, skeleton: Skeleton, target: str | Path) -> None:
    """Raise DataError unless the set has the joints that a format fixes."""
    if annotation_set.skeleton.joints != skeleton.joints:
        found = annotation_set.skeleton.name
        raise DataError(
            f"{target}: this format holds {skeleton.name} joints, the set has {found}; convert it"
        )
