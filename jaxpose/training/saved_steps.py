"""The steps of a checkpoint directory as they lie on disk: list, read and verify them.

Only reads, so it also serves evaluation and inference beside a run that is still training.
"""

import json
import os
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
import orbax.checkpoint as ocp
import tensorstore as ts
from absl import logging
from etils import epath

from jaxpose.training.digests import DamageError, check_arrays, check_seal

LATE_METRICS = "late_metrics.json"


class Loaded(NamedTuple):
    """One verified step. `digest` (SHA-256 of the manifest) identifies it, contents included."""

    step: int
    arrays: dict[str, np.ndarray]
    metadata: dict[str, Any]
    metrics: dict[str, float]
    digest: str


def absolute(path: epath.PathLike) -> epath.Path:
    """Return the absolute path; a URL such as gs://bucket/run stays as it is."""
    given = epath.Path(path)
    return given if "://" in os.fspath(given) else given.absolute()


def list_steps(directory: epath.PathLike) -> list[int]:
    """Return the steps (ascending) that have a folder in `directory`, intact or not."""
    root = epath.Path(directory)
    if not root.is_dir():
        return []
    return sorted(int(path.name) for path in root.iterdir() if path.name.isdecimal())


def read_manifest(step_folder: epath.PathLike) -> dict[str, Any]:
    """Return the manifest of one step folder; raises DamageError when it is not as written."""
    folder = epath.Path(step_folder)
    try:
        document = ocp.JsonCheckpointHandler().restore(folder / "metadata")
    except Exception as error:  # whatever a damaged file leads to is damage
        raise DamageError(f"metadata ({first_line(error)})") from error
    manifest = check_seal(document, int(folder.name), str(folder))
    return manifest | {"metrics": manifest["metrics"] | _late_metrics(folder)}


def _late_metrics(folder: epath.Path) -> dict[str, float]:
    """Metrics of an evaluation that was made up for after the step had been written."""
    file = folder / LATE_METRICS
    if not file.exists():
        return {}
    try:
        return {str(name): float(value) for name, value in json.loads(file.read_text()).items()}
    except (OSError, ValueError, TypeError, AttributeError) as error:
        logging.warning("%s is damaged and was left out: %s", file, first_line(error))
        return {}


def read_step(
    step_folder: epath.PathLike, wanted: Callable[[str], bool] = lambda name: True
) -> Loaded:
    """Read one step folder and verify it; only the arrays whose names are `wanted`.

    Raises DamageError naming what is missing or differs.
    """
    folder = absolute(step_folder)
    manifest = read_manifest(folder)
    entries = {name: entry for name, entry in manifest["arrays"].items() if wanted(name)}
    arrays = _read_arrays(folder / "state", entries)
    check_arrays(arrays, manifest["arrays"])
    metadata, metrics = manifest["metadata"], manifest["metrics"]
    return Loaded(int(folder.name), arrays, metadata, metrics, manifest["sha256"])


def newest_intact(directory: epath.PathLike) -> Loaded | None:
    """Return the newest verified step; each damaged one before it is reported in one line."""
    for step in reversed(list_steps(directory)):
        try:
            return read_step(epath.Path(directory) / str(step))
        except DamageError as damage:
            logging.warning(
                "CHECKPOINT STEP %d IS DAMAGED: %s; falling back to the one before", step, damage
            )
    return None


def _read_arrays(folder: epath.Path, entries: Mapping[str, Any]) -> dict[str, np.ndarray]:
    # TensorStore itself, in the layout in which Orbax saves a flat dict. Orbax's own restore waits
    # for all processes, of which one that found damage would never come, and leaves a traceback
    # for each of the other arrays.
    context = ts.Context({"cache_pool": {"total_bytes_limit": 100_000_000}})  # for the index
    database = {"driver": "ocdbt", "base": f"{folder.as_uri()}/"}
    opening = {}
    for name in entries:
        spec = {"driver": "zarr", "kvstore": database | {"path": f"{name}/"}}
        opening[name] = ts.open(spec, open=True, context=context)
    reading = {}
    for name, future in opening.items():
        store = _result(name, future)
        if list(store.shape) != entries[name]["shape"]:  # before memory is reserved for it
            raise DamageError(f"array {name} (shape {store.shape})")
        reading[name] = store.read()
    return {name: _result(name, future) for name, future in reading.items()}


def _result(name: str, future: Any) -> Any:
    try:
        return future.result()
    except Exception as error:  # TensorStore raises many kinds for damaged files
        raise DamageError(f"array {name} ({first_line(error)})") from error


def first_line(error: BaseException) -> str:
    """Return an error's type and the first line of its message, shortened in the middle."""
    text = next(iter(str(error).strip().splitlines()), "")
    # TensorStore appends its whole specification; the cause is what stands before it.
    text = text.split(" [tensorstore_spec")[0]
    if len(text) > 220:
        text = f"{text[:80]} ... {text[-130:]}"
    return f"{type(error).__name__}: {text}"


def best_of(manifests: Mapping[int, Mapping[str, Any]], metric: str | None) -> int | None:
    """Return the step with the highest finite `metric` (the newest of equals), None without."""
    scores = {
        step: manifest["metrics"][metric]
        for step, manifest in manifests.items()
        if metric in manifest["metrics"] and np.isfinite(manifest["metrics"][metric])
    }
    return max(scores, key=lambda step: (scores[step], step)) if scores else None
