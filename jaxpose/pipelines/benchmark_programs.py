"""The programs that are measured: a config's training step and its inference, compiled."""

from collections.abc import Callable
from typing import Any

import jax
import optax
from jax.sharding import Mesh
from ml_collections import ConfigDict

from jaxpose.pipelines.benchmark_compile import Program, asked_flops, build
from jaxpose.tasks.task import Task
from jaxpose.training.optimizer import make_optimizer
from jaxpose.training.sharding import abstract, data_mesh, replicated
from jaxpose.training.state import TrainState, abstract_variables, nested
from jaxpose.training.step import abstract_batch, make_predict_step, make_train_step

# Of a run without records; at which steps the learning rate drops costs nothing.
STEPS_PER_EPOCH = 1000.0

Call = tuple[jax.stages.Wrapped, tuple[Any, ...]]


def train_program(config: ConfigDict, task: Task, mesh: Mesh) -> Program:
    """The training step of a config, for a state of `init_state` and batches of its size.

    Its `flops` are those of the same step without rematerialisation: model FLOPs, of which `mfu` is
    made, leave out what is computed a second time (PaLM, appendix B).
    """
    return _compiled(_train_call, config, task, mesh, counted=_without_remat(task))


def augment_program(config: ConfigDict, task: Task, mesh: Mesh) -> Program:
    """The part of the training step that makes the network's input and labels, by itself."""
    return _compiled(_augment_call, config, task, mesh)


def predict_program(config: ConfigDict, task: Task, mesh: Mesh) -> Program:
    """A config's inference on batches of its evaluation, as `jaxpose.evaluate` runs it.

    Config and task of `inference.folded.folded` give what the estimator runs.
    """
    return _compiled(_predict_call, config, task, mesh)


def _train_call(config: ConfigDict, task: Task, mesh: Mesh) -> Call:
    optimizer, schedule, _ = make_optimizer(config.optimizer, STEPS_PER_EPOCH)
    step = make_train_step(task, optimizer, schedule, mesh, ema_decay=config.ema_decay)
    state = abstract_state(task, optimizer, ema=config.ema_decay > 0)
    batch = abstract_batch(task, config.batch_size, mesh)
    return step, (abstract(state, replicated(mesh)), batch, abstract_key(mesh))


def _augment_call(config: ConfigDict, task: Task, mesh: Mesh) -> Call:
    batch = abstract_batch(task, config.batch_size, mesh)
    return jax.jit(task.augment), (abstract_key(mesh), batch)


def _predict_call(config: ConfigDict, task: Task, mesh: Mesh) -> Call:
    variables = nested(*abstract_variables(task.model, task.input_shape))
    batch = abstract_batch(task, config.eval.batch_size, mesh)
    return make_predict_step(task, mesh), (abstract(variables, replicated(mesh)), batch)


def _without_remat(task: Task) -> Task:
    model: Any = task.model
    if not getattr(model, "remat", False):
        return task
    return task._replace(model=model.clone(remat=False))


def _compiled(
    call: Callable[[ConfigDict, Task, Mesh], Call],
    config: ConfigDict,
    task: Task,
    mesh: Mesh,
    counted: Task | None = None,
) -> Program:
    counted = counted or task

    def count() -> float | None:
        try:
            host = jax.local_devices(backend="cpu")[:1]
        except RuntimeError:  # JAX_PLATFORMS leaves the CPU out
            return None
        step, arguments = call(config, counted, data_mesh(host))
        return asked_flops(step.trace(*arguments))

    step, arguments = call(config, task, mesh)
    repeats = counted is not task
    return build(step, *arguments, devices=mesh.size, count=count, repeats=repeats)


def abstract_state(
    task: Task, optimizer: optax.GradientTransformation, ema: bool = False
) -> TrainState:
    """Shapes and dtypes of what `init_state` fills."""
    params, statistics = abstract_variables(task.model, task.input_shape)
    step: Any = jax.ShapeDtypeStruct((), "int32")
    averaged = dict(params) if ema else {}
    return TrainState(step, params, statistics, jax.eval_shape(optimizer.init, params), averaged)


def abstract_key(mesh: Mesh) -> jax.ShapeDtypeStruct:
    """Shape, dtype and sharding of a run's PRNG key."""
    key = jax.eval_shape(jax.random.key, 0)
    return jax.ShapeDtypeStruct(key.shape, key.dtype, sharding=replicated(mesh))
