"""Weights of other hourglass implementations, by name, into our parameters.

A table gives for every layer of ours the name that a source uses. PyTorch layout in (convolution
[out, in, height, width]), Linen layout out ([height, width, in, out]).
"""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict

from jaxpose.errors import CheckpointError, UsageError
from jaxpose.models.hourglass import StackedHourglass

_SHOWN = 5  # names of one kind of mismatch that a message spells out


class _Source(NamedTuple):
    """Names of one implementation.

    Attributes:
      places: path of a residual block or a single layer of ours -> its name there; besides the
        <names> that a path binds, `inward` counts levels from the innermost one (0) and `nested`
        is one 'low2.' for every level outside this one.
      layers: our name of a layer inside a residual block -> its name there.
      ignored: names (regular expression) that its files hold and the network does not use.
    """

    places: Mapping[str, str]
    layers: Mapping[str, str]
    ignored: str


_LAYERS = {f"{kind}{n}": f"{kind}{n}" for kind in ("bn", "conv") for n in (1, 2, 3)}
_WRAPPED_LAYERS = {
    **{ours: ours + ".conv" if ours.startswith("conv") else ours for ours in _LAYERS},
    "skip": "skip_layer.conv",
}

# A counter of PyTorch's BatchNorm, without effect where the momentum is a number.
_COUNTER = r"(.*\.)?num_batches_tracked"

SOURCES: Mapping[str, _Source] = {
    # princeton-vl/pose-hg-train, src/models/hg.lua
    "pose_hg_train": _Source(
        places={
            "stem/conv": "pre.0.conv",
            "stem/bn": "pre.0.bn",
            "stem/res1": "pre.1",
            "stem/res2": "pre.3",
            "stem/res3": "pre.4",
            "stack<s>/hourglass/level<level>_<branch>/block<b>": "hg.{s}.{nested}{branch}.{b}",
            "stack<s>/features/block<b>": "ll.{s}.{b}",
            "stack<s>/linear_conv": "lin.{s}.conv",
            "stack<s>/linear_bn": "lin.{s}.bn",
            "stack<s>/heatmaps": "out.{s}.conv",
            "stack<s>/merge_features": "ll_.{s}.conv",
            "stack<s>/merge_heatmaps": "out_.{s}.conv",
        },
        layers=_WRAPPED_LAYERS,
        ignored=_COUNTER,
    ),
    # bearpaw/pytorch-pose, pose/models/hourglass.py
    "pytorch_pose": _Source(
        places={
            "stem/conv": "conv1",
            "stem/bn": "bn1",
            "stem/res<n>": "layer{n}.0",
            "stack<s>/hourglass/level<level>_up1/block<b>": "hg.{s}.hg.{inward}.0.{b}",
            "stack<s>/hourglass/level<level>_low1/block<b>": "hg.{s}.hg.{inward}.1.{b}",
            "stack<s>/hourglass/level<level>_low3/block<b>": "hg.{s}.hg.{inward}.2.{b}",
            "stack<s>/hourglass/level<level>_low2/block<b>": "hg.{s}.hg.{inward}.3.{b}",
            "stack<s>/features/block<b>": "res.{s}.{b}",
            "stack<s>/linear_conv": "fc.{s}.0",
            "stack<s>/linear_bn": "fc.{s}.1",
            "stack<s>/heatmaps": "score.{s}",
            "stack<s>/merge_features": "fc_.{s}",
            "stack<s>/merge_heatmaps": "score_.{s}",
        },
        layers={**_LAYERS, "skip": "downsample.0"},
        ignored=_COUNTER,
    ),
    # princeton-vl/pytorch_stacked_hourglass: one block everywhere, so its names have no number
    "princeton": _Source(
        places={
            "stem/conv": "pre.0.conv",
            "stem/bn": "pre.0.bn",
            "stem/res1": "pre.1",
            "stem/res2": "pre.3",
            "stem/res3": "pre.4",
            "stack<s>/hourglass/level<level>_<branch>/block0": "hgs.{s}.0.{nested}{branch}",
            "stack<s>/features/block0": "features.{s}.0",
            "stack<s>/linear_conv": "features.{s}.1.conv",
            "stack<s>/linear_bn": "features.{s}.1.bn",
            "stack<s>/heatmaps": "outs.{s}.conv",
            "stack<s>/merge_features": "merge_features.{s}.conv.conv",
            "stack<s>/merge_heatmaps": "merge_preds.{s}.conv.conv",
        },
        layers=_WRAPPED_LAYERS,
        # Registered in every block, called only where the number of channels changes.
        ignored=r"(pre\.3|features\.\d+\.0|hgs\..+)\.skip_layer\.conv\.(weight|bias)|" + _COUNTER,
    ),
}

# Our name of a tensor -> PyTorch's.
_TENSORS = {
    "kernel": "weight",
    "scale": "weight",
    "bias": "bias",
    "mean": "running_mean",
    "var": "running_var",
}


def load_named_weights(
    model: StackedHourglass, weights: Mapping[str, np.ndarray], source: str
) -> dict[str, Any]:
    """Variables of `model` from the weights of another implementation.

    Args:
      model: the network; its sizes and stem must be those of the weights.
      weights: name -> array in PyTorch layout, names as in the source's state dict
        ('conv1.weight', 'pre.0.conv.weight').
      source: 'pose_hg_train', 'pytorch_pose' or 'princeton'.

    Returns:
      {'params': ..., 'batch_stats': ...}, nested dicts of float32 NumPy arrays.

    Raises:
      UsageError: unknown source.
      CheckpointError: names missing or unexpected, shapes or values wrong; all of them in one
        message.
    """
    if source not in SOURCES:
        raise UsageError(
            f"load_named_weights: unknown source {source!r}; use one of: {', '.join(SOURCES)}"
        )
    shapes = _variable_shapes(model)
    names = {path: _source_name(path, SOURCES[source], model.depth) for path in shapes}
    problems: dict[str, list[str]] = {
        "missing": [name for name in names.values() if name not in weights],
        "unexpected": _unexpected(weights, set(names.values()), SOURCES[source].ignored),
        "of wrong shape": [],
        "not of finite numbers": [],
    }
    loaded = {}
    for path, name in names.items():
        if name in weights:
            loaded[path] = _convert(name, weights[name], shapes[path], problems)
    if any(problems.values()):
        raise CheckpointError(_message(model, source, problems))
    return unflatten_dict(loaded)


def _variable_shapes(model: StackedHourglass) -> dict[tuple[str, ...], tuple[int, ...]]:
    image = jax.ShapeDtypeStruct((1, model.divisor, model.divisor, 3), jnp.float32)
    variables = jax.eval_shape(model.init, jax.random.key(0), image)
    return {path: leaf.shape for path, leaf in flatten_dict(variables).items()}


def _source_name(path: tuple[str, ...], source: _Source, depth: int) -> str:
    """Name of one of our tensors there; where it has none, our own path."""
    _, *module, tensor = path
    *block, layer = module
    if layer in source.layers:
        place, suffix = "/".join(block), "." + source.layers[layer]
    else:
        place, suffix = "/".join(module), ""
    for pattern, name in source.places.items():
        if found := re.fullmatch(re.sub(r"<(\w+)>", r"(?P<\1>[a-z0-9]+)", pattern), place):
            bound = found.groupdict()
            level = int(bound.get("level", 1))
            their_place = name.format(**bound, inward=depth - level, nested="low2." * (level - 1))
            return f"{their_place}{suffix}.{_TENSORS[tensor]}"
    return "/".join(path)


def _unexpected(weights: Mapping[str, np.ndarray], expected: set[str], ignored: str) -> list[str]:
    return [n for n in weights if n not in expected and not re.fullmatch(ignored, n)]


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


def _message(model: StackedHourglass, source: str, problems: Mapping[str, list[str]]) -> str:
    sizes = ("num_joints", "stacks", "blocks", "features", "depth", "stem")
    described = ", ".join(f"{size}={getattr(model, size)!r}" for size in sizes)
    parts = []
    for kind, names in problems.items():
        if names:
            more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
            parts.append(f"{len(names)} {kind} ({', '.join(names[:_SHOWN])}{more})")
    return (
        f"weights of {source} do not fit StackedHourglass({described}): {'; '.join(parts)}; "
        "check the source and the sizes of the network"
    )
