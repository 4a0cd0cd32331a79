"""One file that holds a trained network: its weights and its configuration, to hand on.

An npz without pickle: every array under 'params/...' or 'batch_stats/...', and `document`, JSON
with the configuration, the training step, the metrics and a digest over it all.
"""

import hashlib
import io
import json
import os
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from etils import epath

from jaxpose.errors import CheckpointError
from jaxpose.training.digests import array_digest
from jaxpose.training.saved_steps import first_line
from jaxpose.training.weights import Weights

SCHEMA_VERSION = 1
_PARAMS, _STATISTICS = "params/", "batch_stats/"
# What a damaged zip, npy header or document can raise; a header's shape may ask for any memory.
_DAMAGE = (
    zipfile.BadZipFile,
    OSError,
    EOFError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    RuntimeError,
    MemoryError,
)


class Handed(NamedTuple):
    """What such a file holds; `config` is the JSON text of the training run's configuration."""

    weights: Weights
    config: str


def write_weight_file(path: str | Path, weights: Weights, config: str, half: bool = False) -> None:
    """Write weights and configuration into one file, whole or not at all.

    Args:
      path: of the file; an existing one is replaced.
      weights: of `load_weights`.
      config: JSON text, the workdir's config.json.
      half: store parameters as float16, half the size (statistics keep their type). They come
        back as float32, rounded to 11 bits.

    Raises:
      CheckpointError: it cannot be written, or a parameter is beyond float16.
    """
    params = {name: stored(name, value, half) for name, value in weights.params.items()}
    arrays = {_PARAMS + name: value for name, value in params.items()}
    arrays |= {_STATISTICS + name: np.asarray(v) for name, v in weights.batch_stats.items()}
    document = {
        "schema_version": SCHEMA_VERSION,
        "step": weights.step,
        "averaged": weights.averaged,
        "metrics": weights.metrics,
        "config": json.loads(config),
    }
    document["sha256"] = _digest(document, arrays)
    text = np.frombuffer(json.dumps(document).encode(), np.uint8)
    write_arrays(path, {"document": text} | arrays)


def write_arrays(path: str | Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write an npz, whole or not at all; an existing file is replaced.

    Raises:
      CheckpointError: it cannot be written.
    """
    target, buffer = Path(path), io.BytesIO()
    np.savez(buffer, **arrays)  # type: ignore[arg-type]
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        temporary.write_bytes(buffer.getvalue())
        temporary.replace(target)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise CheckpointError(f"cannot write {target}: {error.strerror or error}") from error


def read_weight_file(path: str | Path) -> Handed:
    """Read and verify a file of `write_weight_file`; parameters come back as float32.

    Raises:
      CheckpointError: it is missing, damaged, of another schema, or no such file at all.
    """
    try:
        content = epath.Path(path).read_bytes()
        _check_sizes(content)
        with np.load(io.BytesIO(content), allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        document = json.loads(arrays.pop("document").tobytes())
        version, expected = document["schema_version"], document.pop("sha256")
    except _DAMAGE as error:
        raise CheckpointError(f"{path} is no intact weight file: {first_line(error)}") from error
    if version != SCHEMA_VERSION:
        raise CheckpointError(f"{path}: schema {version}, this jaxpose reads {SCHEMA_VERSION}")
    if _digest(document, arrays) != expected:
        raise CheckpointError(f"{path} is damaged: its digest differs from its content")
    params = {
        name.removeprefix(_PARAMS): value.astype(np.float32) if value.dtype == "f2" else value
        for name, value in arrays.items()
        if name.startswith(_PARAMS)
    }
    statistics = {
        name.removeprefix(_STATISTICS): value
        for name, value in arrays.items()
        if name.startswith(_STATISTICS)
    }
    weights = Weights(
        step=int(document["step"]),
        params=params,
        batch_stats=statistics,
        averaged=bool(document["averaged"]),
        metadata={},
        metrics=document["metrics"],
        digest=expected,
    )
    return Handed(weights, json.dumps(document["config"]))


def _check_sizes(content: bytes) -> None:
    """Refuse what would unpack to more than the file holds (a zip bomb), before unpacking it."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = archive.infolist()
    for member in members:
        if member.compress_type != zipfile.ZIP_STORED or member.file_size != member.compress_size:
            raise ValueError(f"{member.filename} is compressed")
    if sum(member.file_size for member in members) > len(content):  # members that overlap
        raise ValueError("it unpacks to more bytes than it has")


def stored(name: str, value: Any, half: bool) -> np.ndarray:
    """A parameter as it is written: float16 with `half`.

    Raises:
      CheckpointError: values beyond float16.
    """
    array = np.asarray(value)
    if not half or not np.issubdtype(array.dtype, np.floating):
        return array
    if not np.all(np.abs(array) <= np.finfo(np.float16).max):
        raise CheckpointError(f"{name} has values beyond float16; write it without half precision")
    return array.astype(np.float16)


def _digest(document: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> str:
    described = {
        name: [array_digest(array), list(array.shape), str(array.dtype)]
        for name, array in arrays.items()
    }
    text = json.dumps([document, described], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
