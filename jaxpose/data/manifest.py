"""`manifest.json` beside the shards: what a built data set holds, checked when it is opened.

A data set counts as built only with its manifest, which is written last, in the same rename.
"""

import hashlib
import json
import os
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jaxpose.errors import DataError
from jaxpose.skeletons import Skeleton

SCHEMA_VERSION = 2
VERSION = "1.0.0"
FILE_NAME = "manifest.json"
FORMATS = {"records": "tfrecord", "shards": "npz"}
_TFRECORD_HEADER = struct.Struct("<QI")
_REBUILD = "delete the folder and build it again with tools/build_records.py"


@dataclass(frozen=True)
class Shard:
    """One file of records: name, number of records, size in bytes, SHA-256 in hex."""

    file: str
    records: int
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Split:
    """What one split holds.

    Attributes:
      records: their number.
      shards: in order.
      most_boxes: largest number of persons or objects in one record.
      most_ignored: largest number of ignore polygons in one record; 0 for config `people`.
    """

    records: int
    shards: tuple[Shard, ...]
    most_boxes: int = 0
    most_ignored: int = 0


@dataclass(frozen=True)
class Manifest:
    """What one built data set holds.

    Attributes:
      path: folder of the shards.
      dataset: name; config: `people` or `images`; format: `tfrecord` or `npz`.
      canvas: side of the canvas in px.
      skeleton: joint set of the keypoints.
      classes: names of the categories; `class_id` of a record counts in them, from 0.
      source_digest: SHA-256 over what it was built from.
      notes: assumptions of the reader and counts of what was left out, for the protocol.
      splits: by name, e.g. `train`.
    """

    path: Path
    dataset: str
    config: str
    format: str
    canvas: int
    skeleton: Skeleton
    classes: tuple[str, ...]
    source_digest: str
    notes: tuple[str, ...]
    splits: Mapping[str, Split]

    def split(self, name: str) -> Split:
        """The split of this name; raises DataError naming those that exist."""
        if name not in self.splits:
            raise DataError(f"{self.path}: no split {name!r}; it holds {sorted(self.splits)}")
        return self.splits[name]


def record_folder(
    data_dir: str | Path, dataset: str, config: str = "people", format: str = "records"
) -> Path:
    """Where a built data set lies: TFDS's own layout, `<config>-shards` for npz shards."""
    config_folder = config + ("-shards" if format == "shards" else "")
    return Path(data_dir).expanduser() / dataset / config_folder / VERSION


def file_digest(path: Path) -> str:
    """SHA-256 of a file in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def describe_shard(path: Path, records: int) -> Shard:
    """The manifest's entry of a shard on disk."""
    return Shard(path.name, records, path.stat().st_size, file_digest(path))


def write_manifest(manifest: Manifest) -> None:
    """Write `manifest.json` into its folder, atomically and durably."""
    skeleton = manifest.skeleton
    content = {
        "schema_version": SCHEMA_VERSION,
        "dataset": manifest.dataset,
        "config": manifest.config,
        "format": manifest.format,
        "canvas": manifest.canvas,
        "skeleton": {"name": skeleton.name, "joints": skeleton.joints, "limbs": skeleton.limbs},
        "classes": manifest.classes,
        "source_digest": manifest.source_digest,
        "notes": manifest.notes,
        "splits": {
            name: vars(split) | {"shards": [vars(shard) for shard in split.shards]}
            for name, split in manifest.splits.items()
        },
    }
    temporary = manifest.path / f"{FILE_NAME}.tmp"
    with temporary.open("w", encoding="utf-8") as file:
        json.dump(content, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    temporary.rename(manifest.path / FILE_NAME)


def read_manifest(path: str | Path) -> Manifest:
    """Read the manifest of a record folder without looking at its shards.

    Raises:
      DataError: there is none, or it is damaged or of another schema version.
    """
    folder = Path(path)
    file = folder / FILE_NAME
    if not file.is_file():
        raise DataError(f"{folder}: no {FILE_NAME}, so no data set was built here completely")
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        version = content["schema_version"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise DataError(f"{file}: damaged ({type(error).__name__}); {_REBUILD}") from error
    if version != SCHEMA_VERSION:
        reads = f"schema {version}, this version reads {SCHEMA_VERSION}"
        raise DataError(f"{file}: {reads}; {_REBUILD}")
    try:
        return _parsed(folder, content)
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise DataError(f"{file}: damaged ({type(error).__name__}: {error}); {_REBUILD}") from error


def _parsed(folder: Path, content: Mapping[str, Any]) -> Manifest:
    skeleton = content["skeleton"]
    limbs = tuple((str(a), str(b)) for a, b in skeleton["limbs"])
    return Manifest(
        path=folder,
        dataset=str(content["dataset"]),
        config=str(content["config"]),
        format=str(content["format"]),
        canvas=int(content["canvas"]),
        skeleton=Skeleton(skeleton["name"], tuple(skeleton["joints"]), limbs),
        classes=_parsed_classes(content["classes"]),
        source_digest=str(content["source_digest"]),
        notes=tuple(content["notes"]),
        splits={name: _parsed_split(split) for name, split in content["splits"].items()},
    )


def _parsed_classes(names: Any) -> tuple[str, ...]:
    if not isinstance(names, list) or not names or len(set(names)) < len(names):
        raise ValueError("no list of different class names")
    return tuple(map(str, names))


def _parsed_split(content: Mapping[str, Any]) -> Split:
    shards = tuple(
        Shard(str(s["file"]), int(s["records"]), int(s["bytes"]), str(s["sha256"]))
        for s in content["shards"]
    )
    if any(Path(shard.file).name != shard.file or shard.records < 1 for shard in shards):
        raise ValueError("a shard's name or count is impossible")
    if sum(shard.records for shard in shards) != content["records"]:
        raise ValueError("the shards' counts do not add up")
    most = {name: int(content[name]) for name in ("most_boxes", "most_ignored")}
    if min(most.values()) < 0:
        raise ValueError("a largest number is negative")
    return Split(int(content["records"]), shards, **most)


def open_records(path: str | Path) -> Manifest:
    """Open a built data set: every shard must exist with the size and count of the manifest.

    Raises:
      DataError: naming the first shard that is missing, cut, empty or of another count.
    """
    manifest = read_manifest(path)
    for split in manifest.splits.values():
        for shard in split.shards:
            check_shard(manifest, shard)
    return manifest


def check_shard(manifest: Manifest, shard: Shard) -> None:
    """Raises DataError unless the shard exists with its size and number of records."""
    path = manifest.path / shard.file
    if not path.is_file():
        raise DataError(f"{path}: shard is missing; {_REBUILD}")
    size = path.stat().st_size
    if size != shard.bytes:
        raise DataError(f"{path}: shard has {size} bytes instead of {shard.bytes}; {_REBUILD}")
    if manifest.format == "tfrecord" and count_tfrecords(path) != shard.records:
        raise DataError(f"{path}: shard does not hold {shard.records} records; {_REBUILD}")


def count_tfrecords(path: Path) -> int:
    """Records of a TFRecord file, found by hopping from length to length; -1 where one lies.

    Format (TensorFlow's `record_writer`): uint64 length, uint32 CRC, data, uint32 CRC.
    """
    size, position, count = path.stat().st_size, 0, 0
    with path.open("rb", buffering=0) as file:
        while position < size:
            header = os.pread(file.fileno(), _TFRECORD_HEADER.size, position)
            if len(header) < _TFRECORD_HEADER.size:
                return -1
            position += _TFRECORD_HEADER.size + _TFRECORD_HEADER.unpack(header)[0] + 4
            count += 1
    return count if position == size else -1


def damaged_shard(manifest: Manifest, shards: tuple[Shard, ...]) -> Shard | None:
    """The first of these shards whose content does not have its digest (reads them whole)."""
    for shard in shards:
        check_shard(manifest, shard)
        if file_digest(manifest.path / shard.file) != shard.sha256:
            return shard
    return None


def damage_error(manifest: Manifest, shard: Shard) -> DataError:
    """The error for a shard whose content changed."""
    return DataError(f"{manifest.path / shard.file}: shard is damaged; {_REBUILD}")
