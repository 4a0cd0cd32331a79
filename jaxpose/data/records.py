"""Fields of one record: the same flat dict in TFRecords and in npz shards.

`people` holds one annotated person a record, `images` whole frames with all their persons or
objects. Absent values are explicit: nan, -1 or ''. Sets without joints have no field `keypoints`:
TensorFlow divides by zero where it parses lists of an empty shape, and the process dies.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

Record = dict[str, Any]
CONFIGS = ("people", "images")
_NOMINAL_BYTES_PER_PIXEL = 0.4
_SHARD_BYTES = 32 << 20


@dataclass(frozen=True)
class Field:
    """Kind `f32`, `i32`, `bool`, `str` or `jpeg`, and shape of one field; None = any length."""

    kind: str
    shape: tuple[int | None, ...] = ()

    @property
    def dtype(self) -> np.dtype:
        """NumPy dtype of a numeric field."""
        return np.dtype({"f32": np.float32, "i32": np.int32, "bool": np.bool_}[self.kind])


_FRAME_FIELDS = {
    "image/encoded": Field("jpeg"),
    "image/id": Field("str"),
    "image/filename": Field("str"),
    "image/height": Field("i32"),
    "image/width": Field("i32"),
    "image/matrix": Field("f32", (2, 3)),
    "image/valid": Field("f32", (4,)),
    "video/id": Field("str"),
    "frame/index": Field("i32"),
    "is_labeled": Field("bool"),
    "dataset": Field("str"),
    "ignore/xy": Field("f32", (None, 2)),
    "ignore/lengths": Field("i32", (None,)),
}


def _person_fields(joints: int) -> dict[str, Field]:
    keypoints = {"keypoints": Field("f32", (joints, 3))} if joints else {}
    return keypoints | {
        "index": Field("i32"),
        "box_xyxy": Field("f32", (4,)),
        "box_source": Field("str"),
        "head_box": Field("f32", (4,)),
        "head_size": Field("f32"),
        "center": Field("f32", (2,)),
        "scale": Field("f32"),
        "track_id": Field("i32"),
        "iscrowd": Field("bool"),
        "difficult": Field("bool"),
        "area": Field("f32"),
        "category": Field("str"),
        "class_id": Field("i32"),
    }


def record_fields(config: str, joints: int) -> dict[str, Field]:
    """Fields of a record: `person/...` for config `people`, lists `people/...` for `images`."""
    persons = _person_fields(joints)
    if config == "people":
        return _FRAME_FIELDS | {f"person/{name}": field for name, field in persons.items()}
    lists = {name: Field(field.kind, (None, *field.shape)) for name, field in persons.items()}
    return _FRAME_FIELDS | {f"people/{name}": field for name, field in lists.items()}


def number_of_shards(records: int, canvas: int) -> int:
    """Shards of a split: about 32 MiB each at 0.4 bytes a canvas pixel (quality 95, full canvas).

    A function of the counts alone, so that TFRecords and npz shards are cut at the same records.
    """
    per_shard = max(1, round(_SHARD_BYTES / (_NOMINAL_BYTES_PER_PIXEL * canvas**2)))
    return -(-records // per_shard)


def shard_boundaries(records: int, shards: int) -> list[int]:
    """First record of each shard, and the number of records at the end (TFDS's rule)."""
    return [first_record(records, shards, i) for i in range(shards + 1)]


def first_record(records: int, shards: int, shard: int) -> int:
    """One entry of `shard_boundaries`."""
    return round(records * shard / shards)
