"""Peaks of part confidence maps: so many of each map, with masks."""

from typing import NamedTuple

import jax
import jax.numpy as jnp


class Peaks(NamedTuple):
    """The best peaks of each map, by falling height.

    Attributes:
      pixels: int32 [B, K, P, 2], x and y; (0, 0) where there is none.
      points: float [B, K, P, 2], the same, or refined to a fraction of a pixel.
      valid: bool [B, K, P].
    """

    pixels: jax.Array
    points: jax.Array
    valid: jax.Array


def find_peaks(
    maps: jax.Array,
    threshold: float,
    max_peaks: int,
    sizes: jax.Array | None = None,
    subpixel: bool = False,
) -> Peaks:
    """Pixels above a threshold that no direct neighbour exceeds.

    OpenPose's ports take every pixel of a plateau; here it is the last in reading order, so that
    a peak half-way between two pixels is one peak.

    Args:
      maps: [B, K, H, W].
      threshold: peaks are above it.
      max_peaks: P, static; the highest stay where a map has more.
      sizes: [B, 2], width and height of the part of the maps that holds a frame; all without.
      subpixel: move each peak to the vertex of the parabolas through it and its neighbours, in x
        and in y, by half a pixel at most; a peak in the border row or column stays there.
    """
    batch, parts, height, width = maps.shape
    peaks = _is_peak(maps) & (maps > threshold)
    if sizes is not None:
        inside = (jnp.arange(width) < sizes[:, :1])[:, None, :]
        inside &= (jnp.arange(height) < sizes[:, 1:])[:, :, None]
        peaks &= inside[:, None]
    count = min(max_peaks, height * width)
    flat = jnp.where(peaks, maps, -jnp.inf).reshape(batch, parts, -1)
    heights, index = jax.lax.top_k(flat, count)
    valid = heights > -jnp.inf
    index = jnp.where(valid, index, 0)
    pixels = jnp.stack([index % width, index // width], -1).astype(jnp.int32)
    points = pixels.astype(maps.dtype)
    if subpixel:
        points += jnp.where(valid[..., None], _offsets(maps, pixels), 0)
    return Peaks(*(_padded(values, max_peaks) for values in (pixels, points, valid)))


def _is_peak(maps: jax.Array) -> jax.Array:
    """bool [B, K, H, W]; beyond the borders nothing is higher."""
    lowest = -jnp.inf

    def neighbour(axis: int, ahead: bool) -> jax.Array:
        padding = [(0, 0)] * 4
        padding[axis] = (0, 1) if ahead else (1, 0)
        padded = jnp.pad(maps, padding, constant_values=lowest)
        first, length = int(ahead), maps.shape[axis]
        return jax.lax.slice_in_dim(padded, first, first + length, axis=axis)

    above_later = (maps > neighbour(2, True)) & (maps > neighbour(3, True))
    return above_later & (maps >= neighbour(2, False)) & (maps >= neighbour(3, False))


def _offsets(maps: jax.Array, pixels: jax.Array) -> jax.Array:
    """From each pixel [B, K, P, 2] to the vertex of the parabola, in x and in y."""
    height, width = maps.shape[2:]
    flat = maps.reshape(*maps.shape[:2], -1)
    x, y = pixels[..., 0], pixels[..., 1]

    def along(step: int, inside: jax.Array) -> jax.Array:
        middle = y * width + x
        before, peak, after = (
            jnp.take_along_axis(flat, middle + shift, axis=2, mode="clip")
            for shift in (-step, 0, step)
        )
        curvature = 2 * peak - before - after
        vertex = 0.5 * (after - before) / jnp.where(curvature > 0, curvature, 1)
        return jnp.where(inside & (curvature > 0), jnp.clip(vertex, -0.5, 0.5), 0)

    across = along(1, (x > 0) & (x < width - 1))
    return jnp.stack([across, along(width, (y > 0) & (y < height - 1))], -1)


def _padded(values: jax.Array, count: int) -> jax.Array:
    """Zeros behind the peaks of maps that have fewer pixels than there is room for peaks."""
    missing = [(0, 0)] * values.ndim
    missing[2] = (0, count - values.shape[2])
    return jnp.pad(values, missing)
