"""The train state: flat dicts keyed by parameter path, and its initialisation on the host.

Flat dicts because every call of the jitted step flattens its arguments: 2,100 leaves take 6 to 8 ms
as flat dicts, twice that as the nested dicts of flax.
"""

import hashlib
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import numpy as np
import optax
from flax import traverse_util

InitialValue = Callable[[str, tuple[int, ...], np.random.Generator], np.ndarray]
_RUNNING = {"mean": np.zeros, "var": np.ones}  # BatchNorm's running statistics at the start


class TrainState(NamedTuple):
    """Everything that training changes; paths are such as 'stem/conv/kernel'.

    Attributes:
      step: int32 0-d, training steps done.
      params: path -> parameter.
      batch_stats: path -> running mean or variance of BatchNorm.
      opt_state: state of the optimizer, over flat dicts of the same paths.
      ema: path -> exponential moving average of the parameter; empty where that is off.
    """

    step: Any
    params: dict[str, Any]
    batch_stats: dict[str, Any]
    opt_state: Any
    ema: dict[str, Any]


def flatten(tree: Mapping[str, Any]) -> dict[str, Any]:
    """Nested dict of a Linen collection -> flat dict, paths joined by '/'."""
    return traverse_util.flatten_dict(tree, sep="/")


def unflatten(flat: Mapping[str, Any]) -> dict[str, Any]:
    """The inverse of `flatten`."""
    return traverse_util.unflatten_dict(flat, sep="/")


def variables(state: TrainState, ema: bool = False) -> dict[str, Any]:
    """Nested dict for `model.apply`; `ema` takes the averaged weights where the state has them."""
    return nested(state.ema if ema and state.ema else state.params, state.batch_stats)


def nested(params: Mapping[str, Any], batch_stats: Mapping[str, Any]) -> dict[str, Any]:
    """Nested dict for `model.apply` from the two flat ones."""
    return {"params": unflatten(params), "batch_stats": unflatten(batch_stats)}


def abstract_variables(
    model: nn.Module, input_shape: tuple[int, ...]
) -> tuple[dict[str, jax.ShapeDtypeStruct], dict[str, jax.ShapeDtypeStruct]]:
    """Shapes and dtypes of a model's parameters and BatchNorm statistics, as flat dicts.

    Nothing is computed: the model is only traced, on one float32 image of `input_shape` (H, W, C).
    """
    image = jax.ShapeDtypeStruct((1, *input_shape), np.float32)
    shapes = jax.eval_shape(lambda x: model.init(jax.random.key(0), x, train=False), image)
    return flatten(shapes["params"]), flatten(shapes.get("batch_stats", {}))


def init_state(
    model: nn.Module,
    input_shape: tuple[int, ...],
    initial_value: InitialValue,
    optimizer: optax.GradientTransformation,
    seed: int,
    ema: bool = False,
) -> TrainState:
    """Initial state on the host, as NumPy arrays; place it with `sharding.replicate`.

    Shapes come from an abstract trace and values from NumPy (one generator per path, seeded by
    `seed` and the path: no value depends on another's presence), because jitting the random
    initialisation of an hourglass compiles for a minute.

    Args:
      model: Linen module with collections `params` and, perhaps, `batch_stats`.
      input_shape: (H, W, C) of the network input.
      initial_value: (path, shape, generator) -> value of one parameter.
      optimizer: of `make_optimizer`.
      seed: >= 0.
      ema: whether to keep averaged weights; they start equal to the parameters.

    Raises:
      ValueError: if `initial_value` returns another shape, or for statistics other than
        BatchNorm's mean and var.
    """
    params_shapes, stats_shapes = abstract_variables(model, input_shape)
    params = {
        path: _parameter(path, shape, initial_value, seed) for path, shape in params_shapes.items()
    }
    return TrainState(
        step=np.zeros((), np.int32),
        params=params,
        batch_stats={path: _statistic(path, shape) for path, shape in stats_shapes.items()},
        opt_state=jax.device_get(optimizer.init(params)),
        ema={path: value.copy() for path, value in params.items()} if ema else {},
    )


def _parameter(
    path: str, shape: jax.ShapeDtypeStruct, initial_value: InitialValue, seed: int
) -> np.ndarray:
    path_number = int.from_bytes(hashlib.sha256(path.encode()).digest()[:16], "big")
    value = initial_value(path, shape.shape, np.random.default_rng([seed, path_number]))
    if np.shape(value) != shape.shape:
        raise ValueError(f"initial value of {path} has shape {np.shape(value)}, not {shape.shape}")
    return np.asarray(value, shape.dtype)


def _statistic(path: str, shape: jax.ShapeDtypeStruct) -> np.ndarray:
    name = path.rsplit("/", 1)[-1]
    if name not in _RUNNING:
        raise ValueError(f"no initial value is known for {path}")
    return _RUNNING[name](shape.shape, shape.dtype)
