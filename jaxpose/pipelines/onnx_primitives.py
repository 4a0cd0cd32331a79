"""From jax's primitives to ONNX operators: those that the two networks are made of.

A network is traced once, with the batch size left open; what depends on parameters alone is
computed, the rest is written node by node. Values are channels-last, as in the network.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import export
from jax.extend.core import Literal

from jaxpose.pipelines.onnx_graph import Graph, Value

BATCH = "batch"
_INLINED = ("jit", "pjit", "custom_jvp_call", "custom_vjp_call")
_TO_CHANNELS_FIRST, _TO_CHANNELS_LAST = (0, 3, 1, 2), (0, 2, 3, 1)


def trace(
    function: Callable[[jax.Array], Sequence[jax.Array]], shape: tuple[int, ...]
) -> tuple[Graph, list[tuple[str, list[int | str]]], str]:
    """Write a function of float32 images [B, *shape] down as a graph.

    Returns:
      graph; name and shape of each of the function's arrays; name of the images.

    Raises:
      NotImplementedError: the function uses a primitive that has no ONNX counterpart here.
    """
    (batch,) = export.symbolic_shape(BATCH)
    traced = jax.make_jaxpr(function)(jax.ShapeDtypeStruct((batch, *shape), np.float32))
    graph, images = Graph(), "images"
    values = _walk(graph, traced.jaxpr, [*map(np.asarray, traced.consts), images])
    outputs = []
    for value, aval in zip(values, traced.out_avals, strict=True):
        assert isinstance(value, str), "an output does not depend on the images"
        outputs.append((value, [n if isinstance(n, int) else BATCH for n in aval.shape]))
    return graph, outputs, images


def _walk(graph: Graph, jaxpr: Any, values: Sequence[Value]) -> list[Value]:
    known = dict(zip([*jaxpr.constvars, *jaxpr.invars], values, strict=True))

    def read(variable: Any) -> Value:
        return np.asarray(variable.val) if isinstance(variable, Literal) else known[variable]

    for equation in jaxpr.eqns:
        inputs = [read(variable) for variable in equation.invars]
        known.update(zip(equation.outvars, _results(graph, equation, inputs), strict=True))
    return [read(variable) for variable in jaxpr.outvars]


def _results(graph: Graph, equation: Any, inputs: list[Value]) -> list[Value]:
    name, params = equation.primitive.name, equation.params
    if name in _INLINED:
        inner = params["jaxpr"] if "jaxpr" in params else params["call_jaxpr"]
        return _walk(graph, inner.jaxpr, [*map(np.asarray, inner.consts), *inputs])
    if all(isinstance(value, np.ndarray) for value in inputs):
        found = equation.primitive.bind(*map(jnp.asarray, inputs), **params)
        return [np.asarray(x) for x in (found if equation.primitive.multiple_results else [found])]
    if name not in _WRITERS:
        raise NotImplementedError(f"the network uses {name}, which has no ONNX counterpart here")
    return [_WRITERS[name](graph, equation, *inputs)]


def _elementwise(kind: str) -> Callable[..., str]:
    return lambda graph, equation, *inputs: graph.add(kind, *inputs)


def _per_channel(value: Value) -> np.ndarray | None:
    """The constant as [C], where it varies over the last axis alone."""
    if isinstance(value, np.ndarray) and value.size == (value.shape[-1] if value.ndim else 1):
        return value.reshape(-1)
    return None


def _add(graph: Graph, equation: Any, a: Value, b: Value) -> str:
    for x, shift in ((a, _per_channel(b)), (b, _per_channel(a))):
        if shift is not None and isinstance(x, str):
            return graph.scale_and_shift(x, np.ones_like(shift), shift)
    return graph.add("Add", a, b)


def _sub(graph: Graph, equation: Any, a: Value, b: Value) -> str:
    shift = _per_channel(b)
    if shift is not None and isinstance(a, str):
        return graph.scale_and_shift(a, np.ones_like(shift), -shift)
    return graph.add("Sub", a, b)


def _mul(graph: Graph, equation: Any, a: Value, b: Value) -> str:
    for x, scale in ((a, _per_channel(b)), (b, _per_channel(a))):
        if scale is not None and isinstance(x, str):
            return graph.scale_and_shift(x, scale, np.zeros_like(scale))
    return graph.add("Mul", a, b)


def _max(graph: Graph, equation: Any, a: Value, b: Value) -> str:
    for x, other in ((a, b), (b, a)):
        if isinstance(x, str) and isinstance(other, np.ndarray) and not other.any():
            return graph.add("Relu", x)
    return graph.add("Max", a, b)


def _convert(graph: Graph, equation: Any, x: str) -> str:
    if equation.params["new_dtype"] != np.float32:
        raise NotImplementedError(f"conversion to {equation.params['new_dtype']}")
    return x


def _conv(graph: Graph, equation: Any, x: str, kernel: np.ndarray) -> str:
    params = equation.params
    numbers = params["dimension_numbers"]
    lasts = (numbers.lhs_spec, numbers.out_spec)
    transposed = {*params["lhs_dilation"], params["batch_group_count"]} != {1}
    if transposed or lasts != (_TO_CHANNELS_FIRST,) * 2:
        raise NotImplementedError("a convolution that is transposed or not channels-last")
    low, high = zip(*params["padding"], strict=True)
    return graph.convolve(
        x,
        kernel.transpose(numbers.rhs_spec),
        strides=params["window_strides"],
        dilations=params["rhs_dilation"],
        pads=(*low, *high),
        group=params["feature_group_count"],
    )


def _product(graph: Graph, equation: Any, x: str, kernel: np.ndarray) -> str:
    if equation.params["dimension_numbers"] != (((3,), (0,)), ((), ())):
        raise NotImplementedError("a matrix product that is no 1x1 convolution")
    plain = {"strides": (1, 1), "dilations": (1, 1), "pads": (0, 0, 0, 0), "group": 1}
    return graph.convolve(x, kernel.T[:, :, None, None], **plain)


def _max_window(graph: Graph, equation: Any, x: str) -> str:
    params = equation.params
    window, strides, padding = (
        params[name][1:3] for name in ("window_dimensions", "window_strides", "padding")
    )
    outside = [params[n][i] for n in ("window_dimensions", "window_strides") for i in (0, 3)]
    dilations = {*params["base_dilation"], *params["window_dilation"]}
    if {*outside, *dilations} != {1} or any(params["padding"][0] + params["padding"][3]):
        raise NotImplementedError("a pooling that is dilated or not over height and width")
    low, high = zip(*padding, strict=True)
    x = graph.add("Transpose", x, perm=_TO_CHANNELS_FIRST)
    x = graph.add("MaxPool", x, kernel_shape=window, strides=strides, pads=(*low, *high))
    return graph.add("Transpose", x, perm=_TO_CHANNELS_LAST)


def _pad(graph: Graph, equation: Any, x: str, value: np.ndarray) -> str:
    low, high, inside = zip(*equation.params["padding_config"], strict=True)
    if any(inside) or min(*low, *high) < 0:
        raise NotImplementedError("padding that is negative or between pixels")
    return graph.add("Pad", x, np.array([*low, *high], np.int64), value)


def _slice(graph: Graph, equation: Any, x: str) -> str:
    params, shape = equation.params, equation.invars[0].aval.shape
    starts, strides = params["start_indices"], params["strides"] or (1,) * len(shape)
    axes = [
        n
        for n in range(len(shape))
        if params["limit_indices"][n] != shape[n] or starts[n] or strides[n] != 1
    ]
    bounds = [np.array([of[n] for n in axes], np.int64) for of in (starts, params["limit_indices"])]
    steps = np.array([strides[n] for n in axes], np.int64)
    return graph.add("Slice", x, *bounds, np.array(axes, np.int64), steps)


def _gather(graph: Graph, equation: Any, x: str, indices: np.ndarray) -> str:
    """Rows `indices` [n, 1] or [1] of one axis; jax writes strided slices so, too."""
    numbers, shape = equation.params["dimension_numbers"], equation.invars[0].aval.shape
    (axis,) = numbers.start_index_map
    rows = np.asarray(indices[..., 0], np.int64)
    others = tuple(n for n in range(len(shape) - 1 + rows.ndim) if rows.ndim == 0 or n != axis)
    if numbers.collapsed_slice_dims != (axis,) or numbers.offset_dims != others:
        raise NotImplementedError("a gather that is not along one axis")
    steps = np.unique(np.diff(rows)) if rows.size > 1 else np.array([])
    if len(steps) == 1 and steps[0] > 0:
        bounds = [np.array([n], np.int64) for n in (rows[0], rows[-1] + 1, axis, steps[0])]
        return graph.add("Slice", x, *bounds)
    return graph.add("Gather", x, rows, axis=axis)


def _reshape(graph: Graph, equation: Any, x: str) -> str:
    return graph.add("Reshape", x, _fixed(equation.outvars[0].aval.shape))


def _broadcast(graph: Graph, equation: Any, x: str) -> str:
    """Axes of size 1 are put in, then repeated."""
    shape, source = equation.params["shape"], equation.invars[0].aval.shape
    kept = dict(zip(equation.params["broadcast_dimensions"], source, strict=True))
    if len(source) < len(shape):
        x = graph.add("Reshape", x, _fixed([kept.get(n, 1) for n in range(len(shape))]))
    repeats = [1 if kept.get(n, 1) == size else size for n, size in enumerate(shape)]
    return x if repeats == [1] * len(shape) else graph.add("Expand", x, _fixed(repeats))


def _concatenate(graph: Graph, equation: Any, *inputs: Value) -> str:
    return graph.add("Concat", *inputs, axis=equation.params["dimension"])


def _stack(graph: Graph, equation: Any, *inputs: Value) -> str:
    axis = equation.params["axis"]
    parts = [graph.add("Unsqueeze", x, np.array([axis], np.int64)) for x in inputs]
    return graph.add("Concat", *parts, axis=axis)


def _reduce_sum(graph: Graph, equation: Any, x: str) -> str:
    return graph.add("ReduceSum", x, np.array(equation.params["axes"], np.int64), keepdims=0)


def _squeeze(graph: Graph, equation: Any, x: str) -> str:
    return graph.add("Squeeze", x, np.array(equation.params["dimensions"], np.int64))


def _fixed(shape: Sequence[Any]) -> np.ndarray:
    """A shape as Reshape takes it; -1 for the size that is open."""
    sizes = np.array([n if isinstance(n, int) else -1 for n in shape], np.int64)
    if (sizes == -1).sum() > 1:
        raise NotImplementedError(f"a shape with several open sizes: {shape}")
    return sizes


_WRITERS: dict[str, Callable[..., str]] = {
    "add": _add,
    "sub": _sub,
    "mul": _mul,
    "max": _max,
    "div": _elementwise("Div"),
    "sqrt": _elementwise("Sqrt"),
    "convert_element_type": _convert,
    "conv_general_dilated": _conv,
    "dot_general": _product,
    "reduce_window_max": _max_window,
    "reduce_sum": _reduce_sum,
    "pad": _pad,
    "slice": _slice,
    "gather": _gather,
    "reshape": _reshape,
    "broadcast_in_dim": _broadcast,
    "concatenate": _concatenate,
    "stack": _stack,
    "squeeze": _squeeze,
}
