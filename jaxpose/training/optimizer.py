"""Optimizers, step schedule, weight decay, clipping and accumulation from `config.optimizer`."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import optax
from ml_collections import ConfigDict

from jaxpose.errors import UsageError

Schedule = Callable[[Any], jax.Array]
_ADAM_DECAYS = (0.9, 0.999)  # Kingma and Ba 2015, algorithm 1


def make_optimizer(
    config: ConfigDict, steps_per_epoch: float
) -> tuple[optax.GradientTransformationExtraArgs, Schedule, str]:
    """Optimizer of a run, its learning rate as a function of the training step, and both in words.

    The rules are those of torch.optim.{RMSprop, SGD, Adam}: eps stands outside the root, weight
    decay is added to the (clipped) gradient before the rule, and momentum gathers directions that
    the learning rate scales afterwards. The learning rate follows the step given to
    `optimizer.update(grads, opt_state, params, step=...)`, not a count of updates: its drops
    stay at the stated training steps, whatever is accumulated or skipped.

    Args:
      config: fields name ('rmsprop', 'sgd', 'adam'), learning_rate, drop_epochs or drop_steps,
        drop_factor, warmup_steps, weight_decay (kernels only), clip_norm (of the global gradient
        norm; 0: off), accumulate (training steps per update), momentum (0: none; beta1 of adam,
        there 0 means 0.9), decay (of rmsprop), eps.
      steps_per_epoch: training steps of one epoch, possibly a fraction.

    Raises:
      UsageError: for an unknown name or a value out of range.
    """
    _check(config)
    boundaries = drop_boundaries(config, steps_per_epoch)
    schedule = step_schedule(config, boundaries)
    parts = [_rule(config), _scale_by_learning_rate(schedule)]
    if config.weight_decay:
        parts.insert(0, optax.add_decayed_weights(config.weight_decay, mask=decayed))
    if config.clip_norm:
        parts.insert(0, optax.clip_by_global_norm(config.clip_norm))
    optimizer = optax.chain(*parts)
    if config.accumulate > 1:
        # optax gathers in float32 otherwise, also where the parameters are float64.
        steps = optax.MultiSteps(
            optimizer, config.accumulate, accumulator_dtype=jnp.result_type(float)
        )
        optimizer = optax.GradientTransformationExtraArgs(steps.init, steps.update)
    return optimizer, schedule, _describe(config, boundaries)


def drop_boundaries(config: ConfigDict, steps_per_epoch: float) -> dict[int, str]:
    """First training steps (0-based) of each lower learning rate -> how the config states them.

    Raises:
      UsageError: if drops are given twice, out of order, or two of them fall on one step.
    """
    if config.drop_epochs and config.drop_steps:
        raise UsageError(
            "config.optimizer has both drop_epochs and drop_steps; set one of them to ()"
        )
    if config.drop_steps:
        boundaries = {int(step): "" for step in config.drop_steps}
    else:
        boundaries = {
            round(epoch * steps_per_epoch): f" (epoch {epoch:g})" for epoch in config.drop_epochs
        }
    given = config.drop_steps or config.drop_epochs
    if list(boundaries) != sorted(boundaries) or len(boundaries) != len(given):
        raise UsageError(
            f"config.optimizer drops the learning rate at steps {list(boundaries)} (given as "
            f"{tuple(given)}); these must increase"
        )
    if any(step < 1 for step in boundaries):
        raise UsageError(f"config.optimizer drops the learning rate before step 1: {tuple(given)}")
    return boundaries


def step_schedule(config: ConfigDict, boundaries: Mapping[int, str]) -> Schedule:
    """Learning rate of a training step (0-based): constant, dropped by a factor at each boundary.

    Warm-up multiplies it by (step + 1) / warmup_steps up to 1, so it leaves the boundaries alone.
    """
    drops = {step: float(config.drop_factor) for step in boundaries}
    constant = optax.piecewise_constant_schedule(float(config.learning_rate), drops)
    warmup = int(config.warmup_steps)

    def schedule(step: Any) -> jax.Array:
        rate = jnp.asarray(constant(step))
        return rate * jnp.minimum(1.0, (step + 1) / warmup) if warmup else rate

    return schedule


def decayed(params: Mapping[str, Any]) -> dict[str, bool]:
    """Which parameters weight decay acts on: kernels, never biases, scales or BatchNorm's."""
    return {path: path.rsplit("/", 1)[-1] == "kernel" for path in params}


def _rule(config: ConfigDict) -> optax.GradientTransformation:
    momentum, eps = float(config.momentum), float(config.eps)
    if config.name == "adam":
        beta1, beta2 = _ADAM_DECAYS
        return optax.scale_by_adam(momentum or beta1, beta2, eps)
    trace = optax.trace(momentum) if momentum else optax.identity()
    if config.name == "sgd":
        return trace
    return optax.chain(
        optax.scale_by_rms(decay=float(config.decay), eps=eps, eps_in_sqrt=False), trace
    )


def _scale_by_learning_rate(schedule: Schedule) -> optax.GradientTransformationExtraArgs:
    def update(
        updates: Any, state: Any, params: Any = None, *, step: Any, **extra: Any
    ) -> tuple[Any, Any]:
        del params, extra
        rate = -schedule(step)
        return jax.tree.map(lambda u: rate.astype(u.dtype) * u, updates), state

    return optax.GradientTransformationExtraArgs(lambda _: optax.EmptyState(), update)


def _check(config: ConfigDict) -> None:
    if config.name not in ("rmsprop", "sgd", "adam"):
        raise UsageError(
            f"config.optimizer.name is {config.name!r}; known are 'rmsprop', 'sgd' and 'adam'"
        )
    ranges = {
        "learning_rate": config.learning_rate > 0,
        "drop_factor": config.drop_factor > 0,
        "warmup_steps": config.warmup_steps >= 0,
        "weight_decay": config.weight_decay >= 0,
        "clip_norm": config.clip_norm >= 0,
        "accumulate": config.accumulate >= 1,
        "momentum": 0 <= config.momentum < 1,
        "decay": 0 <= config.decay < 1,
        "eps": config.eps > 0,
    }
    for name, good in ranges.items():
        if not good:
            raise UsageError(f"config.optimizer.{name} is {config[name]}, which is out of range")


def _describe(config: ConfigDict, boundaries: Mapping[int, str]) -> str:
    text = f"{config.name}, learning rate {config.learning_rate:g}"
    if config.warmup_steps:
        text += f" after a warm-up of {config.warmup_steps} steps"
    if boundaries:
        places = " and ".join(f"step {step}{epoch}" for step, epoch in boundaries.items())
        text += f", x{config.drop_factor:g} at {places}"
    if config.accumulate > 1:
        text += f", one update per {config.accumulate} steps"
    return text
