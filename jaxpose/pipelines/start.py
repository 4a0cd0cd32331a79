"""Where a run starts, in this order: resume, `init_from`, scratch.

`init_from` names a workdir, its `checkpoints` folder, one step's folder, a single file of
tools/export_weights.py, a name of `jaxpose.zoo.list()`, or a URL.
"""

import shutil
from pathlib import Path

import jax
import numpy as np
import optax
from ml_collections import ConfigDict

from jaxpose.errors import CheckpointError
from jaxpose.tasks.task import Task
from jaxpose.training.checkpoint import Checkpoints
from jaxpose.training.leaves import unflatten_like
from jaxpose.training.state import TrainState, init_state
from jaxpose.training.weight_file import read_weight_file
from jaxpose.training.weights import load_weights, merge_weights
from jaxpose.zoo.finding import find


def starting_state(
    config: ConfigDict,
    task: Task,
    optimizer: optax.GradientTransformation,
    checkpoints: Checkpoints,
) -> tuple[TrainState, int]:
    """Host state to start from and its step.

    Raises:
      CheckpointError: checkpoints exist but none is intact or fits, or `init_from` is damaged or
        does not fit (its leaves of other shape are listed; `config.init_skip` names those to leave
        as drawn).
    """
    loaded = checkpoints.restore()
    # Values that a checkpoint replaces are not drawn: a file of base weights may be gone by then.
    drawn = loaded is None and (not config.init_from or bool(config.init_skip))
    state = init_state(
        task.model,
        task.input_shape,
        task.initial_value if drawn else _zeros,
        optimizer,
        config.seed,
        ema=config.ema_decay > 0,
    )
    if loaded is not None:
        print(f"resuming from step {loaded.step} of {checkpoints.directory}")
        return unflatten_like(state, loaded.arrays, where=f"step {loaded.step}"), loaded.step
    if config.init_from:
        return _fine_tuned(config, state), 0
    if jax.process_index() == 0:
        print("starting from scratch")
    return state, 0


def _zeros(path: str, shape: tuple[int, ...], generator: np.random.Generator) -> np.ndarray:
    del path, generator
    return np.zeros(shape, np.float32)


def _fine_tuned(config: ConfigDict, state: TrainState) -> TrainState:
    file = find(config.init_from)
    weights = read_weight_file(file).weights if file.is_file() else load_weights(file)
    # Parameters and statistics differ in their paths, so one skip list serves both at once.
    merged, report = merge_weights(
        state.params | state.batch_stats,
        weights.params | weights.batch_stats,
        tuple(config.init_skip),
        where=config.init_from,
    )
    print(
        f"starting from {config.init_from} step {weights.step}: {len(report.taken)} leaves taken, "
        f"{len(report.kept)} left as drawn, {len(report.unused)} not wanted"
    )
    params = {path: merged[path] for path in state.params}
    return state._replace(
        params=params,
        batch_stats={path: merged[path] for path in state.batch_stats},
        ema={path: value.copy() for path, value in params.items()} if state.ema else {},
    )


def check_space(folder: Path, state: TrainState, max_to_keep: int) -> None:
    """Raises CheckpointError unless the checkpoints that the run keeps fit on the disk."""
    one = sum(leaf.nbytes for leaf in jax.tree.leaves(state))
    # The best one and the one being written come on top; those on disk already have their place.
    held = len(list((folder / "checkpoints").glob("[0-9]*")))
    needed = max(1, max_to_keep + 2 - held) * one
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise CheckpointError(
            f"{folder}: {needed / 1e6:.0f} MB needed for checkpoints of "
            f"{one / 1e6:.0f} MB each, {free / 1e6:.0f} MB free; free some, choose another "
            "--workdir, or lower --config.checkpoint.max_to_keep"
        )
