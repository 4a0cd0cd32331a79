"""Writing npz shards without TensorFlow; the same records give the same bytes."""

import io
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from jaxpose.data.records import Field, Record, number_of_shards, shard_boundaries
from jaxpose.data.shard_files import OFFSETS


def write_split(
    folder: Path,
    prefix: str,
    records: Iterable[Record],
    fields: Mapping[str, Field],
    canvas: int,
) -> list[tuple[str, int]]:
    """Write the shards of a split; returns (file name, records) of each.

    The cuts depend on the number of records, which is known at the end: the JPEGs wait in a spool
    file, the labels in memory.
    """
    spool = folder / f"{prefix}.spool"
    lengths: list[int] = []
    labels: list[Record] = []
    with spool.open("wb") as file:
        for record in records:
            lengths.append(file.write(record["image/encoded"]))
            labels.append({k: v for k, v in record.items() if k != "image/encoded"})
    written = _cut(folder, prefix, labels, lengths, fields, canvas)
    spool.unlink()
    return written


def _cut(
    folder: Path,
    prefix: str,
    labels: Sequence[Record],
    lengths: Sequence[int],
    fields: Mapping[str, Field],
    canvas: int,
) -> list[tuple[str, int]]:
    shards = number_of_shards(len(labels), canvas)
    bounds = shard_boundaries(len(labels), shards)
    written = []
    with (folder / f"{prefix}.spool").open("rb") as spool:
        for i in range(shards):
            rows = slice(bounds[i], bounds[i + 1])
            images = [spool.read(length) for length in lengths[rows]]
            records = [
                {**label, "image/encoded": image}
                for label, image in zip(labels[rows], images, strict=True)
            ]
            name = f"{prefix}-{i:05d}-of-{shards:05d}.npz"
            write_shard(folder / name, records, fields)
            written.append((name, len(records)))
    return written


def write_shard(path: Path, records: Sequence[Record], fields: Mapping[str, Field]) -> None:
    """Write one npz shard; `shards.read_shard` gives the records back."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, field in fields.items():
            for member, array in _arrays(name, field, [record[name] for record in records]):
                buffer = io.BytesIO()
                array = np.ascontiguousarray(array)
                np.lib.format.write_array(buffer, array, version=(1, 0), allow_pickle=False)
                # A ZipInfo of its own carries no time of writing.
                archive.writestr(zipfile.ZipInfo(f"{member}.npy"), buffer.getvalue())


def _arrays(name: str, field: Field, values: list) -> list[tuple[str, np.ndarray]]:
    if field.kind == "jpeg":
        values = [np.frombuffer(value, np.uint8) for value in values]
    elif field.kind == "str":
        values = [np.array(value, np.str_) for value in values]
        if not field.shape:
            return [(name, np.stack(values))]
    elif None not in field.shape:
        return [(name, np.stack(values).astype(field.dtype))]
    offsets = np.concatenate([[0], np.cumsum([len(value) for value in values])]).astype(np.int64)
    joined = np.concatenate(values)
    if field.kind not in ("jpeg", "str"):
        joined = joined.astype(field.dtype)
    return [(name, joined), (name + OFFSETS, offsets)]
