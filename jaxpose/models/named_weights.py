"""Fits the arrays of a PyTorch state dict, by name, to the variables of a Linen model.

PyTorch layout in (convolution [out, in, height, width]), Linen layout out ([height, width, in,
out]).
"""

import re
from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict

from jaxpose.errors import CheckpointError

# What PyTorch's DataParallel and training scripts put before all names of a state dict.
_WRAPPERS = ("module.", "model.")

Path = tuple[str, ...]  # collection, modules, tensor: ('params', 'vgg', 'conv1_1', 'kernel')

# Our name of a tensor -> PyTorch's.
TENSORS = {
    "kernel": "weight",
    "scale": "weight",
    "bias": "bias",
    "mean": "running_mean",
    "var": "running_var",
}

_SHOWN = 5  # names of one kind of mismatch that a message spells out


class MismatchError(CheckpointError):
    """Weights that do not fit a network; the message names a few of them.

    Attributes:
      mismatches: kind ('missing', 'unexpected', 'of wrong shape', 'not of finite numbers') -> all
        names of that kind, with both shapes where these differ.
    """

    def __init__(self, message: str, mismatches: Mapping[str, list[str]]) -> None:
        super().__init__(message)
        self.mismatches = {kind: names for kind, names in mismatches.items() if names}


def without_wrappers(weights: Mapping[str, Any]) -> Mapping[str, Any]:
    """The weights without 'module.' (DataParallel) and 'model.' where all names begin so."""
    for prefix in _WRAPPERS * 2:
        weights = without_prefix(weights, prefix)
    return weights


def without_prefix(weights: Mapping[str, Any], prefix: str) -> Mapping[str, Any]:
    """The weights without a prefix that all names have, else as they are."""
    if not all(name.startswith(prefix) for name in weights):
        return weights
    return {name.removeprefix(prefix): array for name, array in weights.items()}


def variable_shapes(model: nn.Module, side: int) -> dict[Path, tuple[int, ...]]:
    """Shapes of all variables of a model that takes square RGB images of `side` px."""
    image = jax.ShapeDtypeStruct((1, side, side, 3), jnp.float32)
    variables = jax.eval_shape(model.init, jax.random.key(0), image)
    return {path: leaf.shape for path, leaf in flatten_dict(variables).items()}


def fit(
    names: Mapping[Path, str],
    shapes: Mapping[Path, tuple[int, ...]],
    weights: Mapping[str, np.ndarray],
    ignored: str,
    mismatch: str,
) -> dict[Path, np.ndarray]:
    """Arrays of `weights` as float32 under our paths and in our layout.

    Args:
      names: path -> name in `weights`.
      shapes: path -> shape in our layout; at least the paths of `names`.
      weights: name -> array in PyTorch layout.
      ignored: regular expression of names that may be there without a path.
      mismatch: what does not fit what, the beginning of an error message.

    Raises:
      MismatchError: names missing or unexpected, shapes or values wrong; it has all of them.
    """
    expected = set(names.values())
    problems: dict[str, list[str]] = {
        "missing": [name for name in names.values() if name not in weights],
        "unexpected": [
            name for name in weights if name not in expected and not re.fullmatch(ignored, name)
        ],
        "of wrong shape": [],
        "not of finite numbers": [],
    }
    fitted = {}
    for path, name in names.items():
        if name in weights:
            fitted[path] = _convert(name, weights[name], shapes[path], problems)
    if any(problems.values()):
        raise MismatchError(_message(mismatch, problems), problems)
    return fitted


def _convert(
    name: str, array: Any, shape: tuple[int, ...], problems: dict[str, list[str]]
) -> np.ndarray:
    """One tensor in our layout; what is wrong with it is added to `problems`."""
    array = np.asarray(array)
    wanted = (shape[3], shape[2], shape[0], shape[1]) if len(shape) == 4 else shape
    if array.shape != wanted:
        problems["of wrong shape"].append(f"{name} {array.shape} instead of {wanted}")
        return array
    try:
        array = np.asarray(array, np.float32)
    except (TypeError, ValueError):
        array = np.full(wanted, np.nan, np.float32)
    if not np.isfinite(array).all():
        problems["not of finite numbers"].append(name)
    return np.ascontiguousarray(array.transpose(2, 3, 1, 0)) if len(shape) == 4 else array


def _message(mismatch: str, problems: Mapping[str, list[str]]) -> str:
    parts = []
    for kind, names in problems.items():
        if names:
            more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
            parts.append(f"{len(names)} {kind} ({', '.join(names[:_SHOWN])}{more})")
    return f"{mismatch}: {'; '.join(parts)}; check the source and the sizes of the network"


def described(model: nn.Module, *sizes: str) -> str:
    """The model with the attributes that decide which weights fit."""
    values = ", ".join(f"{size}={getattr(model, size)!r}" for size in sizes)
    return f"{type(model).__name__}({values})"
