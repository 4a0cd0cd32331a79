"""One `data` axis over all devices: batches are split along it, everything else is replicated.

jit with NamedSharding is the one code path for 1 device, 8 devices and several processes. BatchNorm
statistics are those of the global batch by construction.
"""

import os
from collections.abc import Collection, Mapping, Sequence
from itertools import count
from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec
from orbax.checkpoint import multihost

from jaxpose.errors import UsageError

DATA_AXIS = "data"
_WAITS = count()
_HOST_KINDS = "OSU"  # objects and strings (ids) have no place on a device


def distributed_start(
    mode: str,
    *,
    coordinator: str | None = None,
    processes: int | None = None,
    process: int | None = None,
    heartbeat_seconds: int = 30,
    option: str = "config.distributed",
) -> bool:
    """Join the other processes of a job; must come before anything else that touches jax.

    On SLURM, Open MPI, Kubernetes and Cloud TPU all of it is detected. Elsewhere every process
    needs the address of process 0, their number and its own number, as arguments or as
    JAX_COORDINATOR_ADDRESS (host:port), JAX_NUM_PROCESSES and JAX_PROCESS_ID.

    Args:
      mode: 'off' (one process) or 'auto'.
      coordinator: host:port of process 0.
      processes: number of processes of the job.
      process: number of this process, from 0.
      heartbeat_seconds: silence after which a process counts as dead; jax's own 100 s keep the
        others waiting that long.
      option: what errors call the mode.

    Returns:
      True if this process is now part of a job.

    Raises:
      UsageError: for another mode, or if the job cannot be detected or joined.
    """
    if mode == "off":
        return False
    if mode != "auto":
        raise UsageError(f"{option} is {mode!r}; use 'off' or 'auto'")
    if jax.distributed.is_initialized():
        return True
    try:
        jax.distributed.initialize(
            coordinator,
            _number("JAX_NUM_PROCESSES", processes),
            _number("JAX_PROCESS_ID", process),
            heartbeat_timeout_seconds=heartbeat_seconds,
        )
    except (ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise UsageError(
            f"{option}=auto: cannot start the job: {reason} (outside SLURM, Open MPI, Kubernetes "
            "and Cloud TPU set JAX_COORDINATOR_ADDRESS, JAX_NUM_PROCESSES and JAX_PROCESS_ID, or "
            f"use {option}=off)"
        ) from error
    return True


def _number(variable: str, value: int | None) -> int | None:
    text = os.environ.get(variable, "")
    if value is not None or not text:
        return value
    if not text.isdecimal():
        raise UsageError(f"environment variable {variable} is {text!r}; it must be a whole number")
    return int(text)


def wait_for_processes(name: str, seconds: int = 3600) -> None:
    """Wait until every process of the job is here; does nothing where there is only one.

    Through the coordination service, not a collective: those of CPUs give up after half a minute,
    which one process may compile longer than another.
    """
    if jax.process_count() > 1:
        key = f"jaxpose {next(_WAITS)}: {name}"  # a key serves once; all processes wait in order
        multihost.get_barrier_sync_fn()(key=key, timeout_ms=1000 * seconds)


def data_mesh(devices: Sequence[jax.Device] | None = None) -> Mesh:
    """Mesh with the one axis `data` over `devices` (default: all devices of all processes).

    Devices are ordered by process, so process p holds the p-th part of every global batch. The axis
    is Auto: Explicit axes reject the scatters of target rendering and box matching.
    """
    devices = jax.devices() if devices is None else devices
    ordered = sorted(devices, key=lambda device: (device.process_index, device.id))
    return Mesh(np.array(ordered), (DATA_AXIS,), axis_types=(AxisType.Auto,))


def replicated(mesh: Mesh) -> NamedSharding:
    """Sharding of the state, keys and metrics: a whole copy on every device."""
    return NamedSharding(mesh, PartitionSpec())


def split_rows(mesh: Mesh) -> NamedSharding:
    """Sharding of a batch: axis 0 in equal parts over the devices."""
    return NamedSharding(mesh, PartitionSpec(DATA_AXIS))


def local_rows(mesh: Mesh, batch_size: int) -> slice:
    """Rows of a global batch of `batch_size` that this process reads and decodes.

    Raises:
      UsageError: if the batch cannot be split evenly over the devices of the mesh.
    """
    if batch_size < 1 or batch_size % mesh.size:
        raise UsageError(
            f"a batch of {batch_size} cannot be split over {mesh.size} devices; "
            f"make the batch size a multiple of {mesh.size}"
        )
    per_device = batch_size // mesh.size
    here = [device.process_index == jax.process_index() for device in mesh.devices.flat]
    first = here.index(True)
    return slice(first * per_device, (first + sum(here)) * per_device)


def put_batch(
    mesh: Mesh, host_batch: Mapping[str, Any], names: Collection[str] | None = None
) -> dict[str, jax.Array]:
    """Global device arrays, split along axis 0, from this process's rows of each array.

    Args:
      mesh: mesh of `data_mesh`.
      host_batch: name -> array [local rows, ...]; object and string arrays (ids) are left out.
      names: names to put on the devices (default: all); `task.example` gives those of a step.

    Returns:
      name -> array [global rows, ...].

    Raises:
      UsageError: if the rows cannot be split evenly over the devices.
      ValueError: if the arrays differ in their number of rows.
    """
    arrays = {
        name: array
        for name, array in ((name, np.asarray(value)) for name, value in host_batch.items())
        if array.dtype.kind not in _HOST_KINDS and (names is None or name in names)
    }
    rows = {name: array.shape[:1] for name, array in arrays.items()}
    if len(set(rows.values())) > 1 or () in rows.values():
        raise ValueError(f"arrays of a batch must have equally many rows, got {rows}")
    local_devices = len(mesh.local_devices)
    for (found,) in set(rows.values()):
        if found == 0 or found % local_devices:
            raise UsageError(
                f"a batch of {found} rows cannot be split over the {local_devices} devices of "
                f"this process; make the batch size a multiple of {mesh.size}"
            )
    return jax.make_array_from_process_local_data(split_rows(mesh), arrays)


def replicate(mesh: Mesh, tree: Any) -> Any:
    """Put equal host values of all processes on every device; the tree keeps its structure."""
    if jax.process_count() == 1:
        return jax.device_put(tree, replicated(mesh))
    return jax.tree.map(
        lambda leaf: jax.make_array_from_process_local_data(
            replicated(mesh), np.asarray(leaf), np.shape(leaf)
        ),
        tree,
    )


def abstract(tree: Any, sharding: NamedSharding) -> Any:
    """Shapes, dtypes and sharding of a tree of arrays, for `.lower()` and as a restore target."""
    return jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding), tree
    )


def local_values(tree: Any) -> Any:
    """NumPy copies of this process's rows of split arrays, and of the whole of replicated ones."""
    return jax.tree.map(_local_value, tree)


def _local_value(array: jax.Array) -> np.ndarray:
    if array.is_fully_addressable:
        return np.asarray(array)
    if array.is_fully_replicated:
        return np.asarray(array.addressable_data(0))
    shards = sorted(array.addressable_shards, key=lambda shard: shard.index[0].start or 0)
    return np.concatenate(jax.device_get([shard.data for shard in shards]))
