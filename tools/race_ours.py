"""Our side of tools/compare_torch.py: networks as calls that wait; PyTorch is not imported."""

import gc
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from race_inputs import CLASSES, JOINTS, RATE, SIDES, pictures, targets

from jaxpose.inference.folded import folded_variables
from jaxpose.models import hourglass, ssd
from jaxpose.training.state import flatten, init_state, nested


def hardware(threads: int) -> str:
    """What computes, for one line."""
    device = jax.devices()[0]
    return f"{device.platform} ({device.device_kind}), {threads} CPU threads, jax {jax.__version__}"


def release() -> None:
    """Free what a race held; programs that were compiled stay."""
    gc.collect()


def contender(
    setting: str, network: str, mode: str, batch: int, dtype: str, width: float
) -> Callable[[], None]:
    """A call of our network; `mode` is 'forward', with BatchNorm folded, or 'train'.

    There is one `setting`, 'jaxpose'.
    """
    size, computed = SIDES[network], jnp.dtype(dtype)
    model: Any
    if network == "hourglass":
        features = int(256 * width)
        model = hourglass.StackedHourglass(JOINTS, features=features, dtype=computed)
        initial = hourglass.initial_value
    else:
        model = ssd.SSD(size, CLASSES, width=width, dtype=computed)
        initial = ssd.initial_value
    optimizer = _optimizer(network)
    state = init_state(model, (size, size, 3), initial, optimizer, seed=0)
    images = jax.device_put(pictures(batch, size).astype(np.float32))
    if mode == "forward":
        if network == "hourglass":  # the SSD has no BatchNorm
            model = model.clone(folded=True)
        variables = jax.device_put(folded_variables(nested(state.params, state.batch_stats)))
        run = jax.jit(model.apply)
        return lambda: jax.block_until_ready(run(variables, images))
    wanted = jax.device_put(targets(network, batch, size))
    return _step(model, optimizer, jax.device_put(state[1:4]), images, wanted)


def _optimizer(network: str) -> optax.GradientTransformation:
    if network == "hourglass":
        return optax.rmsprop(RATE, decay=0.99, eps=1e-8)
    return optax.sgd(RATE, momentum=0.9)


def _step(
    model: Any, optimizer: optax.GradientTransformation, state: Any, images: Any, wanted: Any
) -> Callable[[], None]:
    def loss(params: Any, stats: Any) -> Any:
        variables = nested(params, stats)
        outputs, changed = model.apply(variables, images, train=True, mutable=["batch_stats"])
        if isinstance(outputs, tuple):
            return _box_loss(*outputs, *wanted), changed
        return ((outputs - wanted[0]) ** 2).mean((1, 2, 3, 4)).sum(), changed

    def step(state: Any) -> Any:
        params, stats, opt_state = state
        grads, changed = jax.grad(loss, has_aux=True)(params, stats)
        updates, opt_state = optimizer.update(grads, opt_state, params)
        kept = flatten(changed.get("batch_stats", {}))  # none in an SSD
        return optax.apply_updates(params, updates), kept, opt_state

    run, held = jax.jit(step, donate_argnums=0), [state]

    def call() -> None:
        held[0] = jax.block_until_ready(run(held[0]))

    return call


def _box_loss(logits: Any, offsets: Any, labels: Any, boxes: Any) -> Any:
    entropy = optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()
    distance = optax.huber_loss(offsets, boxes).sum(-1)
    return entropy + (distance * (labels > 0)).sum() / (labels > 0).sum()
