"""Rows of the modes that need no records: the training step alone, and a network alone."""

import io
from collections.abc import Callable
from contextlib import redirect_stdout
from functools import partial
from typing import Any

import jax
import optax
from jax.sharding import Mesh
from ml_collections import ConfigDict

from jaxpose.inference.folded import folded
from jaxpose.inference.restore import Restored
from jaxpose.pipelines.benchmark_batches import completed, random_batch
from jaxpose.pipelines.benchmark_bench import Bench, speed_figures, utilisation_figures
from jaxpose.pipelines.benchmark_compile import Compilations, Program
from jaxpose.pipelines.benchmark_programs import (
    STEPS_PER_EPOCH,
    augment_program,
    predict_program,
    train_program,
)
from jaxpose.pipelines.benchmark_timing import Timing, measure
from jaxpose.tasks import make_task
from jaxpose.tasks.task import Task
from jaxpose.training.optimizer import make_optimizer
from jaxpose.training.sharding import local_rows, put_batch, replicate, replicated
from jaxpose.training.state import TrainState, init_state, variables


def step_row(bench: Bench, batch_size: int, dtype: str) -> dict[str, Any]:
    """The training step on one random batch; nothing passes between host and device meanwhile."""
    config = synthetic_config(bench, batch_size, dtype)
    task, peaks = make_task(config), bench.peaks(dtype)
    bench.phase("compiling the training step")
    program = train_program(config, task, bench.mesh)
    augment = augment_program(config, task, bench.mesh)
    batch, key = device_batch(bench, task, batch_size), make_key(bench, config)
    stepper = Stepper(program, replicate(bench.mesh, starting_state(config, task)), batch, key)
    timing, counts = _measured(bench, stepper)
    # Not donated, so it can run again and again.
    part, _ = _measured(bench, lambda: augment.run(key, batch))
    return {
        **speed_figures(timing, batch_size, bench.mesh.size),
        **utilisation_figures(program, timing.seconds, peaks),
        **program.figures(),
        **counts,
        "augment_ms": 1e3 * part.seconds,
        "augment_share": part.seconds / timing.seconds,
    }


def infer_row(bench: Bench, batch_size: int, dtype: str) -> dict[str, Any]:
    """A network's inference on one random batch, from its input pictures to joints or boxes.

    The network is the one that users run, see `inference_program`; so are the FLOPs.
    """
    config = synthetic_config(bench, batch_size, dtype)
    if config.eval.get("flip_test", False):
        bench.data += "; flip test: every image passes twice"
    task, peaks = make_task(config), bench.peaks(dtype)
    bench.phase("compiling the network")
    program, weights = inference_program(config, task, bench.mesh)
    batch = device_batch(bench, task, batch_size)
    timing, counts = _measured(bench, lambda: program.run(weights, batch))
    return {
        **speed_figures(timing, batch_size, bench.mesh.size),
        **utilisation_figures(program, timing.seconds, peaks),
        **program.figures(),
        **counts,
    }


def inference_program(config: ConfigDict, task: Task, mesh: Mesh) -> tuple[Program, Any]:
    """A network with BatchNorm folded into convolutions, as `PoseEstimator` runs it.

    Returns:
      the compiled program (variables, batch) -> predictions, and random variables on the devices.
    """
    network = folded(random_network(config, task))
    program = predict_program(network.config, network.task, mesh)
    return program, replicate(mesh, jax.device_get(network.variables))


class Stepper:
    """Calls a training step over and over: each call donates the state that the last one gave."""

    def __init__(
        self, program: Program, state: TrainState, batch: dict[str, jax.Array], key: jax.Array
    ) -> None:
        self._run, self._batch, self._key = program.run, batch, key
        self.state = state

    def __call__(self) -> dict[str, jax.Array]:
        """One step; its metrics are there when all of it is done."""
        self.state, metrics = self._run(self.state, self._batch, self._key)
        return metrics


def synthetic_config(bench: Bench, batch_size: int, dtype: str) -> ConfigDict:
    """The config of a row on random batches."""
    config = bench.row_config(batch_size, dtype)
    notes = completed(config)
    bench.data = "; ".join(["synthetic: noise and random labels", *notes])
    return config


def device_batch(bench: Bench, task: Task, batch_size: int) -> dict[str, jax.Array]:
    """A random batch on the devices, each process's share made by itself."""
    rows = local_rows(bench.mesh, batch_size)
    host = random_batch(task, rows.stop - rows.start, seed=rows.start)
    return put_batch(bench.mesh, host, task.example)


def make_key(bench: Bench, config: ConfigDict) -> jax.Array:
    """The key of a run, as training makes it."""
    return jax.jit(jax.random.key, out_shardings=replicated(bench.mesh))(config.seed)


def starting_state(config: ConfigDict, task: Task) -> TrainState:
    """The state on the host that training from scratch begins with."""
    optimizer, _, _ = make_optimizer(config.optimizer, STEPS_PER_EPOCH)
    return _silent_state(config, task, optimizer, ema=config.ema_decay > 0)


def random_network(config: ConfigDict, task: Task) -> Restored:
    """The network that training from scratch begins with, as if it were restored."""
    weights = jax.device_put(variables(_silent_state(config, task, optax.identity())))
    return Restored(config, task, weights, 0, "", partial(jax.jit(task.predict_images), weights))


def _silent_state(
    config: ConfigDict, task: Task, optimizer: optax.GradientTransformation, ema: bool = False
) -> TrainState:
    # What a detector says about missing ImageNet weights is for those who train.
    with redirect_stdout(io.StringIO()):
        value = task.initial_value
        return init_state(task.model, task.input_shape, value, optimizer, config.seed, ema=ema)


def _measured(bench: Bench, call: Callable[[], Any]) -> tuple[Timing, dict[str, int]]:
    bench.phase("measuring")
    with Compilations() as compilations, jax.transfer_guard("disallow"):
        timing = measure(call, bench.budget)
    return timing, {"compilations_while_measuring": compilations.programs}
