"""Checkpoints: asynchronous, digest-verified Orbax steps that fall back past damage.

A step is the folder `<directory>/<step>` as Orbax writes it, with two items: `state`, a flat dict
of arrays, and `metadata`, the manifest of digests.py. Everything is written from host memory as
plain NumPy, so a step restores on any number of devices and processes.
"""

import json
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp
from absl import logging
from etils import epath
from jax.experimental import multihost_utils

from jaxpose.errors import CheckpointError
from jaxpose.training.digests import DamageError, seal
from jaxpose.training.orbax_writer import orbax_writer
from jaxpose.training.retention import delete_step, set_aside, surplus, sweep
from jaxpose.training.saved_steps import (
    LATE_METRICS,
    Loaded,
    absolute,
    best_of,
    first_line,
    list_steps,
    newest_intact,
    read_manifest,
    read_step,
)
from jaxpose.training.workdir import free_space, write_atomic

_NOTHING_SAVED = -1
_NOTHING_INTACT = -2


class Checkpoints:
    """The steps of one training run, for the run that holds the lock of its workdir.

    Keeps the newest `max_to_keep` steps and, where `best_metric` names one, the step whose metric
    is highest. Opening sweeps what a killed run left half written or half deleted. Under
    jax.distributed every process makes the same calls on shared storage; process 0 writes.
    """

    def __init__(
        self,
        directory: epath.PathLike,
        max_to_keep: int = 3,
        best_metric: str | None = None,
        asynchronous: bool = True,
    ):
        if max_to_keep < 1:
            raise ValueError(f"max_to_keep must be at least 1, got {max_to_keep}")
        self.directory = absolute(directory)
        self._max_to_keep = max_to_keep
        self.best_metric = best_metric
        self._asynchronous = asynchronous
        self._pending: tuple[int, str] | None = None
        self._manifests: dict[int, dict[str, Any] | None] = {}
        self._make_directory()
        self._writer = orbax_writer()

    def _make_directory(self) -> None:
        if jax.process_index() == 0:
            try:
                self.directory.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise CheckpointError(f"cannot use {self.directory}: {error}") from error
            sweep(self.directory)

    def steps(self) -> list[int]:
        """Return the finished steps, ascending; a save still being written is not among them."""
        return list_steps(self.directory)

    def latest_step(self) -> int | None:
        """Return the newest step, one still being written included; None before the first."""
        pending = [] if self._pending is None else [self._pending[0]]
        return max([*self.steps(), *pending], default=None)

    def best_step(self) -> int | None:
        """Return the step with the best metric, or None; unreadable steps are left out."""
        return best_of(self._known_manifests(), self.best_metric)

    def metrics(self, step: int) -> dict[str, float]:
        """Return the metrics of a finished step; empty where it was never evaluated."""
        manifest = self._known_manifests().get(step)
        return dict(manifest["metrics"]) if manifest is not None else {}

    def add_metrics(self, step: int, metrics: Mapping[str, float]) -> None:
        """Write the metrics of a finished step that was saved before its evaluation ended."""
        if jax.process_index() == 0:
            values = {name: float(value) for name, value in metrics.items()}
            write_atomic(self.directory / str(step) / LATE_METRICS, json.dumps(values))
            self._manifests.pop(step, None)

    def _known_manifests(self) -> dict[int, dict[str, Any]]:
        known = {}
        for step in self.steps():
            if step not in self._manifests:
                self._manifests[step] = self._manifest_or_none(step)
            manifest = self._manifests[step]
            if manifest is not None:
                known[step] = manifest
        return known

    def _manifest_or_none(self, step: int) -> dict[str, Any] | None:
        try:
            return read_manifest(self.directory / str(step))
        except (DamageError, CheckpointError) as error:
            logging.warning("CHECKPOINT STEP %d IS DAMAGED: %s", step, error)
            return None

    def save(
        self,
        step: int,
        arrays: Mapping[str, Any],
        metadata: Mapping[str, Any],
        metrics: Mapping[str, float] | None = None,
    ) -> bool:
        """Copy the arrays to the host and start writing step `step`; False if it exists already.

        `arrays` is a flat dict of NumPy or (fully replicated) jax arrays, which may be donated as
        soon as this returns; `metadata` consists of JSON types. Raises CheckpointError when this
        save or the one before it failed; older steps stay, and a later call tries again.
        """
        self.wait()
        if step in self.steps():
            return False
        host = {name: np.asarray(array) for name, array in arrays.items()}
        manifest = seal(step, host, metadata, metrics, self.best_metric)
        needed = sum(array.nbytes for array in host.values())
        self._pending = (step, f"{needed:,} bytes needed, {free_space(self.directory)} free before")
        items = ocp.args.Composite(
            state=ocp.args.PyTreeSave(host), metadata=ocp.args.JsonSave(manifest)
        )
        try:
            self._writer.save(self.directory / str(step), args=items)
        except Exception as error:  # Orbax and TensorStore raise many kinds
            raise self._failed(error) from error
        if not self._asynchronous:
            self.wait()
        return True

    def wait(self) -> None:
        """Wait for the save in progress, check that it is on disk, and delete surplus steps.

        Raises CheckpointError when the save failed; the steps before it are untouched.
        """
        if self._pending is None:
            return
        step = self._pending[0]
        try:
            self._writer.wait_until_finished()
            if jax.process_index() == 0:  # Orbax may forget an error it has raised once
                self._manifests[step] = read_manifest(self.directory / str(step))
        except Exception as error:
            raise self._failed(error) from error
        self._pending = None
        self._delete_surplus()

    def _failed(self, error: Exception) -> CheckpointError:
        assert self._pending is not None
        step, space = self._pending
        self._pending = None
        if jax.process_index() == 0:
            sweep(self.directory)  # a torn save must not go on filling the disk
        return CheckpointError(
            f"step {step} was not saved in {self.directory}: {space}; steps on disk: "
            f"{self.steps() or 'none'}; {first_line(error)}"
        )

    def _delete_surplus(self) -> None:
        if jax.process_index() == 0:
            for step in surplus(self.steps(), self._max_to_keep, self.best_step()):
                delete_step(self.directory, step)

    def restore(self, step: int | None = None) -> Loaded | None:
        """Return the newest intact step, or exactly `step`; None when nothing was ever saved.

        A damaged newest step is reported in one line, set aside in the folder `damaged` together
        with everything newer than what is returned, and the step before it is taken. Raises
        CheckpointError when steps exist but none is intact, or when the wanted `step` is missing
        or damaged. All processes agree on one step.
        """
        self.wait()
        if step is not None:
            return self._read_exactly(step)
        loaded = newest_intact(self.directory)
        found = _NOTHING_INTACT if self.steps() else _NOTHING_SAVED
        agreed = self._agree(found if loaded is None else loaded.step)
        if agreed == _NOTHING_INTACT:
            raise CheckpointError(
                f"no checkpoint in {self.directory} is intact (steps {self.steps()}): put back a "
                "copy, or start again with another --workdir"
            )
        if agreed == _NOTHING_SAVED:
            return None
        if loaded is None or loaded.step != agreed:
            loaded = self._read_exactly(agreed)
        self._set_aside([newer for newer in self.steps() if newer > agreed])
        return loaded

    def _read_exactly(self, step: int) -> Loaded:
        if step not in self.steps():
            have = f"available: {self.steps() or 'none'}"
            raise CheckpointError(f"no step {step} in {self.directory}; {have}")
        try:
            return read_step(self.directory / str(step))
        except DamageError as damage:
            raise CheckpointError(
                f"step {step} in {self.directory} is damaged: {damage}; steps: {self.steps()}"
            ) from damage

    def _agree(self, step: int) -> int:
        if jax.process_count() == 1:
            return step
        found = multihost_utils.process_allgather(np.int32(step))
        if found.min() == _NOTHING_SAVED < found.max():
            raise CheckpointError(
                f"some processes see no checkpoint in {self.directory} and others do: the workdir "
                "must be on storage that all of them share"
            )
        return int(found.min())

    def _set_aside(self, steps: list[int]) -> None:
        self._manifests.clear()
        if steps and jax.process_index() == 0:
            set_aside(self.directory, steps)
        if jax.process_count() > 1:
            multihost_utils.sync_global_devices("jaxpose: damaged steps set aside")

    def close(self) -> None:
        """Wait for the save in progress (errors as in `wait`) and release Orbax's threads."""
        try:
            self.wait()
        finally:
            self._writer.close()

    def __enter__(self) -> "Checkpoints":
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        self.close()
