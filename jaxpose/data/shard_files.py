"""One npz shard of records: an uncompressed zip of npy arrays, one per field.

An array is [N, ...] where all records have the same shape, else the concatenation of all records
beside int64 [N + 1] `<field>.offsets`. Images are ENCODED JPEG bytes; nothing is pickled.
"""

import io
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from jaxpose.data.manifest import Manifest, Shard, check_shard, damage_error
from jaxpose.data.records import Field, Record, record_fields
from jaxpose.errors import DataError

OFFSETS = ".offsets"
# What a damaged zip or npy header can raise; zipfile checks each member's CRC while reading.
_DAMAGE = (zipfile.BadZipFile, ValueError, OSError, EOFError, KeyError, NotImplementedError)


def read_shard(path: Path, fields: Mapping[str, Field]) -> list[Record]:
    """Records of a shard.

    Raises:
      DataError: the file is damaged, compressed (a bomb) or lacks a field.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            columns = {name: _column(archive, name, field) for name, field in fields.items()}
    except _DAMAGE as error:
        raise DataError(f"{path}: shard is damaged ({error})") from error
    if len({len(column) for column in columns.values()}) != 1:
        raise DataError(f"{path}: shard is damaged (its fields differ in length)")
    names = list(columns)
    return [dict(zip(names, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _column(archive: zipfile.ZipFile, name: str, field: Field) -> np.ndarray | list:
    values = _array(archive, name)
    if field.kind == "str" and not field.shape:
        return values.tolist()
    if field.kind != "jpeg" and None not in field.shape:
        return values
    offsets = _array(archive, name + OFFSETS)
    bounds = zip(offsets[:-1].tolist(), offsets[1:].tolist(), strict=True)
    return [values[start:stop] for start, stop in bounds]


def _array(archive: zipfile.ZipFile, name: str) -> np.ndarray:
    """One member, its sizes checked before anything is allocated; never unpickles."""
    info = archive.getinfo(name + ".npy")
    if info.compress_type != zipfile.ZIP_STORED or info.file_size != info.compress_size:
        raise ValueError(f"{name} is compressed")
    file = io.BytesIO(archive.read(info))
    if np.lib.format.read_magic(file) != (1, 0):
        raise ValueError(f"{name} has another npy version")
    shape, _, dtype = np.lib.format.read_array_header_1_0(file)
    if dtype.hasobject:
        raise ValueError(f"{name} holds Python objects")
    return np.frombuffer(file.getbuffer()[file.tell() :], dtype).reshape(shape)


def read_window(manifest: Manifest, shards: Sequence[Shard]) -> list[Record]:
    """Records of consecutive shards, each checked against its size, count and CRC.

    Raises:
      DataError: naming the shard.
    """
    fields = record_fields(manifest.config, manifest.skeleton.size)
    records: list[Record] = []
    for shard in shards:
        check_shard(manifest, shard)
        rows = read_shard(manifest.path / shard.file, fields)
        if len(rows) != shard.records:
            raise damage_error(manifest, shard)
        records.extend(rows)
    return records
