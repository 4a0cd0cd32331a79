"""One npz shard of records: an uncompressed zip of npy arrays, one per field.

An array is [N, ...] where all records have the same shape, else the concatenation of all records
beside int64 [N + 1] `<field>.offsets`. Images are ENCODED JPEG bytes; nothing is pickled.
"""

import re
import struct
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from jaxpose.data.manifest import Manifest, Shard, check_shard, damage_error
from jaxpose.data.records import Field, Record, record_fields
from jaxpose.errors import DataError

OFFSETS = ".offsets"
# An npy file of version 1.0 in C order, numbers or text only. NumPy's own reader is not used: it
# evaluates the header with `ast`, which fails in threads (SystemError, CPython 3.11).
_NPY_HEADER = re.compile(
    rb"\x93NUMPY\x01\x00..\{'descr': '(?P<dtype>[<|][fiubU]\d+)', 'fortran_order': False, "
    rb"'shape': \((?P<shape>[\d, ]*)\), \} *\n",
    re.DOTALL,
)
# What a damaged zip or npy header can raise; zipfile checks each member's CRC while reading.
_DAMAGE = (
    zipfile.BadZipFile,
    struct.error,
    ValueError,
    TypeError,
    LookupError,
    OSError,
    EOFError,
    RuntimeError,
)


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
    data = archive.read(info)
    header = _NPY_HEADER.match(data)
    if header is None:
        raise ValueError(f"{name} is no plain npy array")
    shape = [int(length) for length in header["shape"].split(b",") if length.strip()]
    dtype = np.dtype(header["dtype"].decode())
    return np.frombuffer(memoryview(data)[header.end() :], dtype).reshape(shape)


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
