"""Image resampling and colour on the device: bilinear warp by 2x3 matrices, colour jitter."""

import math

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

# A reduction of exactly 2 computed in float32 must not tip over to the next pyramid level.
_LEVEL_SLACK = 1e-3


def warp(
    images: jax.Array,
    matrices: jax.Array,
    size: tuple[int, int],
    fill: ArrayLike = 0.0,
    max_level: int | None = None,
    rows: jax.Array | None = None,
) -> jax.Array:
    """Bilinear warp; `cv2.warpAffine` with INTER_LINEAR, WARP_INVERSE_MAP and BORDER_CONSTANT.

    Where an example is reduced by more than 2, plain bilinear sampling would alias: its taps come
    from a level of a pyramid of 2x2 means instead, such that no axis is reduced by more than 2.

    Args:
      images: [B, H, W, C] uint8 or float. They are sampled as they are: uint8 images are never
        converted whole.
      matrices: [N, 2, 3] output px -> input px; N = B without `rows`.
      size: (h, w) of the output.
      fill: value outside the image, scalar or [C].
      max_level: static bound of the pyramid; 0 builds none. Default: what showing the whole image
        in the output takes. A stronger reduction than that needs a larger bound.
      rows: int [N], the image that each output shows a part of, 0..B-1; no image is copied for it.
        None: image i for output i.

    Returns:
      [N, h, w, C] in the value range of `images`; float32, or float64 where an input is.
    """
    _, height, width, _ = images.shape
    if max_level is None:
        max_level = default_max_level((height, width), size)
    level = _choose_level(matrices, max_level)
    x, y = _sample_positions(matrices, level, size, _float_type(images, matrices))
    samples = _sample(images, x, y, level, max_level, fill, rows)
    return samples.reshape(matrices.shape[0], *size, -1)


def tap_coverage(
    valid_xyxy: jax.Array,
    matrices: jax.Array,
    image_size: tuple[int, int],
    size: tuple[int, int],
    max_level: int | None = None,
) -> jax.Array:
    """Weight with which each output pixel of `warp` samples a rectangle of the image.

    Where the image is black outside that rectangle, `warp(...) / tap_coverage(...)` is the mean of
    the taps inside it. For matrices without rotation or shear, where x and y separate.

    Args:
      valid_xyxy: [B, 4] whole px, x2 and y2 exclusive.
      matrices, size, max_level: as given to `warp`.
      image_size: (H, W) of the images.

    Returns:
      [B, h, w] in 0..1, dtype of `matrices`.
    """
    if max_level is None:
        max_level = default_max_level(image_size, size)
    level = _choose_level(matrices, max_level)
    column, _ = _sample_positions(matrices, level, (1, size[1]), matrices.dtype)
    _, row = _sample_positions(matrices, level, (size[0], 1), matrices.dtype)
    both = [_axis_coverage(valid_xyxy[:, 1::2], image_size[0], row, level, max_level)[:, :, None]]
    both += [_axis_coverage(valid_xyxy[:, ::2], image_size[1], column, level, max_level)[:, None]]
    return both[0] * both[1]


def _axis_coverage(
    valid: jax.Array, length: int, positions: jax.Array, level: jax.Array, max_level: int
) -> jax.Array:
    """`tap_coverage` along one axis: valid [B, 2] px, positions [B, n] in px of the level."""
    pixels = jnp.arange(length)
    inside = (pixels >= valid[:, :1]) & (pixels < valid[:, 1:])
    line = inside[:, None, :, None].astype(positions.dtype)  # images one px high
    return _sample(line, positions, jnp.zeros_like(positions), level, max_level, 0.0)[..., 0]


def default_max_level(image_size: tuple[int, int], size: tuple[int, int]) -> int:
    """Pyramid levels needed to show a whole image (H, W) in an output (h, w), reduced <= 2 each."""
    reduction = max(image_size[0] / size[0], image_size[1] / size[1])
    return max(0, math.ceil(math.log2(reduction) - 1 - _LEVEL_SLACK))


def color_jitter(key: jax.Array, images: jax.Array, strength: float) -> jax.Array:
    """Each channel of each image times U(1 - strength, 1 + strength), clipped (pose-hg-train).

    Args:
      key: one PRNG key.
      images: float [B, H, W, C] in 0..1.
      strength: 0..1; pose-hg-train uses 0.4.

    Returns:
      float [B, H, W, C] in 0..1, dtype of `images`.
    """
    shape = (images.shape[0], 1, 1, images.shape[-1])
    gain = jax.random.uniform(key, shape, images.dtype, 1 - strength, 1 + strength)
    return jnp.clip(images * gain, 0, 1)


def _float_type(images: jax.Array, matrices: jax.Array) -> jnp.dtype:
    kinds = [jnp.float32, matrices.dtype]
    if jnp.issubdtype(images.dtype, jnp.floating):
        kinds.append(images.dtype)
    return jnp.result_type(*kinds)


def _sample(
    images: jax.Array,
    x: jax.Array,
    y: jax.Array,
    level: jax.Array,
    max_level: int,
    fill: ArrayLike,
    rows: jax.Array | None = None,
) -> jax.Array:
    """Bilinear samples [N, n, C] at positions [N, n] in pixels of each example's level."""
    levels = _pyramid(images, max_level)
    shapes = np.array([level.shape[1:3] for level in levels], np.int32)
    starts = np.cumsum([0, *shapes.prod(-1)[:-1]], dtype=np.int32)
    pixels = jnp.concatenate([_flat(level) for level in levels], 1) if max_level else _flat(images)
    shape, start = jnp.take(shapes, level, 0), jnp.take(starts, level)
    return _bilinear(pixels, x, y, shape, start, fill, rows)


def _flat(images: jax.Array) -> jax.Array:
    batch, _, _, channels = images.shape
    return images.reshape(batch, -1, channels)


def _pyramid(images: jax.Array, max_level: int) -> list[jax.Array]:
    levels = [images]
    for _ in range(max_level):
        levels.append(_halved(levels[-1]))
    return levels


def _halved(images: jax.Array) -> jax.Array:
    """Means of 2x2 pixels, in the dtype of the images; an odd last row or column is repeated."""
    odd = [(0, side % 2) for side in images.shape[1:3]]
    images = jnp.pad(images, ((0, 0), *odd, (0, 0)), mode="edge")
    quarters = [images[:, row::2, column::2] for row in (0, 1) for column in (0, 1)]
    if jnp.issubdtype(images.dtype, jnp.floating):
        return sum(quarters[1:], quarters[0]) / 4
    wide = [quarter.astype(jnp.uint16) for quarter in quarters]
    return ((sum(wide[1:], wide[0]) + 2) // 4).astype(images.dtype)


def _choose_level(matrices: jax.Array, max_level: int) -> jax.Array:
    """int32 [B]: the finest pyramid level at which neither output axis steps more than 2 px."""
    step = jnp.sqrt(jnp.max((matrices[:, :, :2] ** 2).sum(1), -1))
    level = jnp.ceil(jnp.log2(step) - 1 - _LEVEL_SLACK)
    return jnp.clip(level, 0, max_level).astype(jnp.int32)


def _sample_positions(
    matrices: jax.Array, level: jax.Array, size: tuple[int, int], dtype: jnp.dtype
) -> tuple[jax.Array, jax.Array]:
    """Position x, y [B, h * w] of every output pixel, in pixels of the example's level."""
    factor = jnp.exp2(-level.astype(dtype))[:, None]
    linear, shift = matrices[:, :, :2].astype(dtype), matrices[:, :, 2].astype(dtype)
    # Pixel x of a level covers pixels [2^l x, 2^l (x + 1)) of the image: centres at + 0.5.
    linear, shift = linear * factor[..., None], (shift + 0.5) * factor - 0.5
    columns = jnp.arange(size[1], dtype=dtype)
    rows = jnp.arange(size[0], dtype=dtype)[:, None]
    grid = (
        linear[:, :, 0, None, None] * columns
        + linear[:, :, 1, None, None] * rows
        + shift[:, :, None, None]
    ).reshape(matrices.shape[0], 2, -1)
    return grid[:, 0], grid[:, 1]


def _bilinear(
    pixels: jax.Array,
    x: jax.Array,
    y: jax.Array,
    shape: jax.Array,
    start: jax.Array,
    fill: ArrayLike,
    rows: jax.Array | None,
) -> jax.Array:
    """Four weighted taps from flat pixels [B, n, C] of images `rows`, beginning at `start`."""
    height, width = shape[:, :1], shape[:, 1:]
    left, top = jnp.floor(x), jnp.floor(y)
    right_weight, lower_weight = x - left, y - top
    left, top = left.astype(jnp.int32), top.astype(jnp.int32)
    out, covered = jnp.zeros((), x.dtype), jnp.zeros((), x.dtype)
    for row, row_weight in ((top, 1 - lower_weight), (top + 1, lower_weight)):
        for column, column_weight in ((left, 1 - right_weight), (left + 1, right_weight)):
            inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
            # Masking the weight instead of the taps halves the time on the CPU.
            weight = jnp.where(inside, row_weight * column_weight, 0)[..., None]
            index = jnp.clip(row, 0, height - 1) * width + jnp.clip(column, 0, width - 1)
            tap = _gather(pixels, start[:, None] + index, rows).astype(x.dtype)
            out, covered = out + weight * tap, covered + weight
    return out + (1 - covered) * jnp.asarray(fill, x.dtype)


def _gather(pixels: jax.Array, index: jax.Array, rows: jax.Array | None) -> jax.Array:
    # Indices are clipped already; saying so saves XLA's own bounds check.
    if rows is not None:
        return pixels.at[rows[:, None], index].get(mode="promise_in_bounds")
    take = jax.vmap(lambda image, i: image.at[i].get(mode="promise_in_bounds"))
    return take(pixels, index)
