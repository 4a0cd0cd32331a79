"""The jitted training and prediction steps, for any number of devices and processes."""

from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax import export
from jax.sharding import Mesh

from jaxpose.tasks.task import Batch, Task
from jaxpose.training.optimizer import Schedule
from jaxpose.training.sharding import replicated, split_rows
from jaxpose.training.state import TrainState, flatten, nested

PLATFORMS = ("cpu", "cuda", "tpu")


def make_train_step(
    task: Task,
    optimizer: optax.GradientTransformationExtraArgs,
    schedule: Schedule,
    mesh: Mesh,
    *,
    ema_decay: float = 0.0,
) -> jax.stages.Wrapped:
    """One jitted, sharded training step: (state, batch, seed key) -> (state, metrics).

    The state is donated. The key of a step is fold_in(seed key, state.step), so augmentation is a
    function of (seed, step) alone, whatever the number of devices. A step whose loss, gradient
    norm, updated parameters or BatchNorm statistics are not finite changes nothing but `step`:
    the caller need not wait for the device to learn of it, no later step sees its values.

    Args:
      task: model, augmentation and loss.
      optimizer: of `make_optimizer`, over flat dicts.
      schedule: learning rate of a step, for the metrics.
      mesh: of `data_mesh`.
      ema_decay: decay of the averaged weights (`state.ema`); 0 where they are off.

    Returns:
      Jitted function; metrics are floating point scalars: loss, the parts of the loss, grad_norm
      (of this step's gradient, before clipping), learning_rate, finite (1 or 0).
    """

    @_under(mesh)
    def train_step(
        state: TrainState, batch: Batch, key: jax.Array
    ) -> tuple[TrainState, dict[str, jax.Array]]:
        inputs = task.augment(jax.random.fold_in(key, state.step), batch)
        inputs = _keep_split(inputs, mesh)
        gradients = jax.value_and_grad(_loss, has_aux=True)
        (loss, (parts, batch_stats)), grads = gradients(
            state.params, state.batch_stats, task, inputs
        )
        proposed = _update(state, grads, batch_stats, optimizer, ema_decay)
        grad_norm = jnp.linalg.norm(_one_vector(grads))
        changes = (loss, grad_norm, proposed.params, proposed.batch_stats)
        finite = jnp.isfinite(_one_vector(changes)).all()
        # The cast: flax keeps running statistics in float32 but returns them in float64 where it
        # computes so, and a state that changed its types would compile again.
        kept = jax.tree.map(
            lambda new, old: jnp.where(finite, new.astype(old.dtype), old), proposed, state
        )
        metrics = {
            **parts,
            "loss": loss,
            "grad_norm": grad_norm,
            "learning_rate": schedule(state.step),
            "finite": finite.astype(jnp.float32),
        }
        return kept._replace(step=state.step + 1), metrics

    whole = replicated(mesh)
    return jax.jit(
        train_step,
        in_shardings=(whole, split_rows(mesh), whole),
        out_shardings=(whole, whole),
        donate_argnums=0,
    )


def make_predict_step(task: Task, mesh: Mesh) -> jax.stages.Wrapped:
    """Jitted, sharded `task.predict`: (variables, batch) -> arrays split along axis 0."""
    rows = split_rows(mesh)
    predict = _under(mesh)(task.predict)
    return jax.jit(predict, in_shardings=(replicated(mesh), rows), out_shardings=rows)


def abstract_batch(task: Task, batch_size: int, mesh: Mesh) -> dict[str, jax.ShapeDtypeStruct]:
    """Shapes, dtypes and sharding of a global batch, for `.lower()` before the first one is read.

    `put_batch(mesh, host_batch, task.example)` makes batches of exactly this structure.
    """
    return {
        name: jax.ShapeDtypeStruct((batch_size, *one.shape), one.dtype, sharding=split_rows(mesh))
        for name, one in task.example.items()
    }


def lower_for_platforms(
    step: jax.stages.Wrapped, *arguments: Any, platforms: Sequence[str] = PLATFORMS
) -> export.Exported:
    """Lower a step for platforms that need not be present; arguments may be abstract."""
    return export.export(step, platforms=platforms)(*arguments)


def _under(mesh: Mesh) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Decorates a function that is traced knowing the mesh (`ops.rows.on_own_rows` asks)."""

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def inside(*arguments: Any) -> Any:
            with jax.sharding.use_abstract_mesh(mesh.abstract_mesh):
                return function(*arguments)

        return inside

    return decorate


def _loss(
    params: Mapping[str, Any], batch_stats: Mapping[str, Any], task: Task, inputs: Batch
) -> tuple[jax.Array, tuple[dict[str, jax.Array], dict[str, jax.Array]]]:
    outputs, changed = task.model.apply(
        nested(params, batch_stats), inputs["image"], train=True, mutable=["batch_stats"]
    )
    loss, parts = task.loss(outputs, inputs)
    return loss, (parts, flatten(changed.get("batch_stats", {})))


def _keep_split(inputs: Batch, mesh: Mesh) -> dict[str, jax.Array]:
    # The compiler may otherwise gather the scattered targets onto every device.
    rows = inputs["image"].shape[0]
    return {
        name: jax.lax.with_sharding_constraint(value, split_rows(mesh))
        if value.shape[:1] == (rows,)
        else value
        for name, value in inputs.items()
    }


def _update(
    state: TrainState,
    grads: dict[str, jax.Array],
    batch_stats: dict[str, jax.Array],
    optimizer: optax.GradientTransformationExtraArgs,
    ema_decay: float,
) -> TrainState:
    updates, opt_state = optimizer.update(grads, state.opt_state, state.params, step=state.step)
    params = optax.apply_updates(state.params, updates)
    if bool(state.ema) != bool(ema_decay):
        raise ValueError("averaged weights need both init_state(ema=True) and an ema_decay")
    ema = _averaged(state.ema, params, state.step, ema_decay)
    return TrainState(state.step, params, batch_stats, opt_state, ema)


def _averaged(
    ema: Mapping[str, jax.Array], params: Mapping[str, jax.Array], step: jax.Array, decay: float
) -> dict[str, jax.Array]:
    # A young average would hold on to the random start: the decay grows with the step, by the
    # `num_updates` rule of TensorFlow's ExponentialMovingAverage.
    share = 1 - jnp.minimum(decay, (1.0 + step) / (10.0 + step))
    return {
        path: average + share.astype(average.dtype) * (params[path] - average)
        for path, average in ema.items()
    }


def _one_vector(tree: Any) -> jax.Array:
    # A reduction per leaf makes XLA compile an hourglass's step for up to 7 times longer on a CPU.
    return jnp.concatenate([jnp.ravel(leaf) for leaf in jax.tree.leaves(tree)])
