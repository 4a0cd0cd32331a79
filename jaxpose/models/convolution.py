"""`nn.Conv` with what XLA makes slow on CPUs done as matrix products.

XLA on the CPU computes the gradient of a convolution's kernel as a convolution whose window is the
whole map: 5 GFLOP/s for 64 channels at 300 x 300, where the forward pass runs at 90 (two cores,
float32, jax 0.10.2, batch 4). Products of blocks of output rows with the windows they saw, side
by side (im2col), run at 55, and at 35 for 64 channels at 64 x 64, on one core. Elsewhere
convolutions and gradients are XLA's own.
"""

from functools import partial
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax

from jaxpose.ops.rows import on_own_rows

# Output pixels of one product, so that its windows stay in a cache (2 MB for 64 channels, 3x3).
# From 512 to 2,048 the speed is the same.
_BLOCK = 1024
# With fewer output channels the windows cost more than the product saves.
_LEAST_FEATURES = 64
_DIMENSIONS = ("NHWC", "HWIO", "NHWC")


class _Window(NamedTuple):
    stride: tuple[int, int]
    padding: tuple[tuple[int, int], ...]
    dilation: tuple[int, int]


def conv_general_dilated(
    lhs: jax.Array,
    rhs: jax.Array,
    window_strides: Any,
    padding: Any,
    *,
    lhs_dilation: Any,
    rhs_dilation: Any,
    dimension_numbers: Any,
    feature_group_count: int,
    precision: Any,
) -> jax.Array:
    """`jax.lax.conv_general_dilated` of images, for the field of that name of `nn.Conv`.

    Its derivatives are reverse-mode only (`jax.custom_vjp`).

    Args:
      lhs: images [B,H,W,C].
      rhs: kernel [kh,kw,C,features].
      window_strides, rhs_dilation: pairs.
      padding: a pair of pairs (before, after), 'SAME' or 'VALID'.
      lhs_dilation, feature_group_count, precision: `nn.Conv`'s defaults.
      dimension_numbers: NHWC, as `nn.Conv` passes.

    Returns:
      [B,h,w,features].

    Raises:
      ValueError: for another use of `nn.Conv` than this.
    """
    plain = (set(lhs_dilation), feature_group_count, precision) == ({1}, 1, None)
    if lhs.ndim != 4 or not plain:
        raise ValueError("only convolutions of images [B,H,W,C], ungrouped and not transposed")
    if isinstance(padding, str):
        window = [
            dilation * (n - 1) + 1 for n, dilation in zip(rhs.shape, rhs_dilation, strict=False)
        ]
        padding = lax.padtype_to_pads(lhs.shape[1:3], window, window_strides, padding)
    padding = tuple((before, after) for before, after in padding)
    return _convolution(lhs, rhs, _Window(tuple(window_strides), padding, tuple(rhs_dilation)))


Conv = partial(nn.Conv, conv_general_dilated=conv_general_dilated)


def _native(x: jax.Array, kernel: jax.Array, window: _Window) -> jax.Array:
    if kernel.shape[:2] == window.stride == (1, 1) and set(sum(window.padding, ())) == {0}:
        return x @ kernel[0, 0]  # twice as fast on a CPU, the same elsewhere
    return lax.conv_general_dilated(
        x, kernel, *window[:2], rhs_dilation=window.dilation, dimension_numbers=_DIMENSIONS
    )


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def _convolution(x: jax.Array, kernel: jax.Array, window: _Window) -> jax.Array:
    return _native(x, kernel, window)


def _forward(
    x: jax.Array, kernel: jax.Array, window: _Window
) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
    return _native(x, kernel, window), (x, kernel)


def _backward(
    window: _Window, saved: tuple[jax.Array, jax.Array], gradient: jax.Array
) -> tuple[jax.Array, jax.Array]:
    x, kernel = saved
    (of_x,) = jax.vjp(lambda x: _native(x, kernel, window), x)[1](gradient)

    def native(x: jax.Array, gradient: jax.Array) -> jax.Array:
        return jax.vjp(lambda kernel: _native(x, kernel, window), kernel)[1](gradient)[0]

    def products(x: jax.Array, gradient: jax.Array) -> jax.Array:
        # The sum over devices is outside: a collective for each block would be slow.
        each = on_own_rows(partial(_products, size=kernel.shape[:2], window=window))(x, gradient)
        return each.sum(0).astype(kernel.dtype)

    if kernel.shape[-1] < _LEAST_FEATURES:
        return of_x, native(x, gradient)
    return of_x, lax.platform_dependent(x, gradient, cpu=products, default=native)


_convolution.defvjp(_forward, _backward)


def _products(
    x: jax.Array, gradient: jax.Array, *, size: tuple[int, ...], window: _Window
) -> jax.Array:
    """Images [B,H,W,C] and gradients [B,h,w,D] -> gradient of the kernel [1,kh,kw,C,D]."""
    batch, height, width, features = gradient.shape
    channels = x.shape[-1]
    around = [(before, after, 0) for before, after in ((0, 0), *window.padding, (0, 0))]
    x = lax.pad(x, jnp.zeros((), x.dtype), around)  # may be negative
    rows = _divisor(height, _BLOCK // width)
    images = _divisor(batch, _BLOCK // (height * width)) if rows == height else 1
    reach = [dilation * (n - 1) for n, dilation in zip(size, window.dilation, strict=True)]
    down, right = window.stride
    wide = jnp.promote_types(x.dtype, jnp.float32)

    def product(block: jax.Array) -> jax.Array:
        image, row = block // (height // rows) * images, block % (height // rows) * rows
        top = row * down
        high = (rows - 1) * down + reach[0] + 1
        seen = lax.dynamic_slice(x, (image, top, 0, 0), (images, high, x.shape[2], channels))
        given = lax.dynamic_slice(gradient, (image, row, 0, 0), (images, rows, width, features))
        windows = [
            seen[:, i::down, j::right][:, :rows, :width]
            for i in range(0, reach[0] + 1, window.dilation[0])
            for j in range(0, reach[1] + 1, window.dilation[1])
        ]
        columns = jnp.concatenate(windows, -1).reshape(images * rows * width, -1)
        given = given.reshape(images * rows * width, features)
        return jnp.einsum("pc,pd->cd", columns, given, preferred_element_type=wide)

    blocks = batch // images * (height // rows)
    if blocks == 1:
        total = product(jnp.array(0))
    else:
        zeros = jnp.zeros((size[0] * size[1] * channels, features), wide)
        total = lax.fori_loop(0, blocks, lambda block, total: total + product(block), zeros)
    return total.reshape(1, *size, channels, features)


def _divisor(number: int, most: int) -> int:
    """The largest divisor of `number` up to `most`; 1 if that is less."""
    return max(n for n in range(1, number + 1) if not number % n and n <= max(most, 1))
