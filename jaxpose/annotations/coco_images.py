"""The `images` entries of COCO-shaped documents, with PoseTrack18's video fields."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from jaxpose.annotations.schema import Frame, Person, Rejections
from jaxpose.annotations.validation import (
    RecordError,
    flag,
    identifier,
    integer,
    mapping,
    numbers,
    present,
    refusing,
    relative_name,
    sequence,
)


@dataclass
class ImageEntry:
    """An image record and what the annotations add to it."""

    frame: Frame
    persons: list[Person] = field(default_factory=list)
    tracks: set[int] = field(default_factory=set)


def record_name(kind: str, index: int, record: Any) -> str:
    """Place and id of a record, for rejections."""
    known = isinstance(record, dict) and isinstance(record.get("id"), (int, str))
    return f"{kind}[{index}]" + (f" (id {record['id']!r:.40})" if known else "")


def read_images(records: list[Any], path: Path, rejections: Rejections) -> dict[str, ImageEntry]:
    """Entries by image id, in file order; refused ones are left out."""
    images: dict[str, ImageEntry] = {}
    positions: Counter[str] = Counter()
    for index, record in enumerate(records):
        name = record_name("images", index, record)
        with refusing(rejections, path, name):
            fields = mapping(record, "image")
            video_id = _video_id(fields)
            # Counted before anything can be refused: a position is that in the file.
            position = positions[video_id]
            positions[video_id] += 1
            image_id = identifier(present(fields, "id", "image"), "image id")
            if image_id in images:
                raise RecordError(f"image id {image_id} occurs twice")
            frame = Frame(
                filename=relative_name(present(fields, "file_name", "image"), "file_name"),
                image_id=image_id,
                width=_side(fields, "width"),
                height=_side(fields, "height"),
                video_id=video_id,
                frame_index=position if video_id else -1,
                is_labeled=flag(fields.get("is_labeled", True), "is_labeled"),
                ignore_polygons=_ignore_polygons(fields, name, path, rejections),
            )
            images[image_id] = ImageEntry(frame)
    return images


def _video_id(fields: dict[str, Any]) -> str:
    """PoseTrack18's folder name, such as 000342_mpii_test, where vid_id is its leading number.

    The folder's name, unlike the number, is unique and is that of the annotation file.
    """
    if fields.get("vid_id") is None:
        return ""
    video_id = identifier(fields["vid_id"], "vid_id")
    parts = str(fields.get("file_name")).replace("\\", "/").split("/")
    folder = parts[-2] if len(parts) > 1 else ""
    return folder if folder.startswith(video_id + "_") else video_id


def _side(fields: dict[str, Any], key: str) -> int | None:
    if fields.get(key) is None:
        return None
    side = integer(fields[key], key)
    if side < 1:
        raise RecordError(f"image {key} is {side}")
    return side


def _ignore_polygons(
    fields: dict[str, Any], name: str, path: Path, rejections: Rejections
) -> tuple[np.ndarray, ...]:
    xs, ys = (
        _coordinate_lists(fields.get(f"ignore_regions_{axis}"), f"ignore_regions_{axis}")
        for axis in "xy"
    )
    if len(xs) != len(ys):
        raise RecordError(f"{len(xs)} ignore_regions_x but {len(ys)} ignore_regions_y")
    polygons = []
    for index, (x, y) in enumerate(zip(xs, ys, strict=True)):
        with refusing(rejections, path, f"{name}.ignore_regions[{index}]"):
            if len(x) != len(y):
                raise RecordError(f"{len(x)} x but {len(y)} y coordinates")
            if len(x):
                polygons.append(np.stack([x, y], 1))
    return tuple(polygons)


def _coordinate_lists(value: Any, name: str) -> list[np.ndarray]:
    """One array per polygon, from a list of lists or from the flat list of a single polygon."""
    lists = sequence(value or [], name)
    if lists and not any(isinstance(item, list) for item in lists):
        lists = [lists]
    return [numbers(item, name) for item in lists]
