"""Targets of bottom-up networks: confidence maps of parts and affinity fields of limbs.

After Cao et al. 2017 (sections 2.2 and 2.3) and the public ports of its training code. Positions
and lengths are in px of the maps; people of an image are reduced over, so that the work is B x h x
w x N x K (or L) without an array of that size.
"""

from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np

Merge = Literal["max", "clipped_sum"]
Bounds = Literal["exact", "rounded"]

# A Gaussian ends where its exponent exceeds ln(100), at 1 % of its peak (CMU's DataTransformer).
_CUTOFF = 4.6052


def confidence_maps(
    points_xy: jax.Array,
    valid: jax.Array,
    size: tuple[int, int],
    sigma: float,
    merge: Merge = "max",
) -> jax.Array:
    """A Gaussian of peak 1 at each person's part, cut below 1 %.

    Args:
      points_xy: [B, N, K, 2] px of the maps, not rounded.
      valid: [B, N, K]; parts that are not > 0 are not drawn, whatever their point (NaN too).
      size: (h, w) of the maps.
      sigma: px of the maps.
      merge: where people overlap, 'max' keeps close peaks apart (the paper, CMU's code);
        'clipped_sum' adds and clips at 1 (tensorboy's port).

    Returns:
      [B, h, w, K] in 0..1, in the float type of `points_xy`, at least float32.
    """
    points, valid = _drawable(points_xy, valid)
    across = _squares(points[..., 0], size[1])[:, :, None]
    down = _squares(points[..., 1], size[0])[:, :, :, None]
    exponent = (across + down) / (2 * sigma**2)
    drawn = valid[:, :, None, None] & (exponent <= _CUTOFF)
    gaussian = jnp.where(drawn, jnp.exp(-exponent), 0)
    if merge == "clipped_sum":
        return jnp.minimum(gaussian.sum(1), 1)
    if merge == "max":
        return gaussian.max(1)
    raise ValueError(f"merge {merge!r} is not 'max' or 'clipped_sum'")


def with_background(maps: jax.Array) -> jax.Array:
    """Maps [B, h, w, K] of parts and, last, of background: 1 less their maximum; [B, h, w, K+1]."""
    return jnp.concatenate([maps, 1 - maps.max(-1, keepdims=True)], -1)


def affinity_fields(
    points_xy: jax.Array,
    valid: jax.Array,
    limbs: np.ndarray,
    size: tuple[int, int],
    width: float = 1.0,
    bounds: Bounds = "exact",
) -> tuple[jax.Array, jax.Array]:
    """Unit vectors along each limb, averaged where people overlap.

    A limb covers the px closer than `width` to its line and inside the upright rectangle round its
    ends, enlarged by `width`. One whose ends coincide covers none.

    Args:
      points_xy: [B, N, K, 2] px of the maps.
      valid: [B, N, K]; a limb is drawn where both its ends are > 0.
      limbs: int [L, 2], joints of each field's limb (`LimbSet.by_field`).
      size: (h, w) of the fields.
      width: px of the maps.
      bounds: 'exact' rectangles commute with a left/right flip; 'rounded' ones go from the rounded
        upper left corner to the rounded lower right one, which is left out (tensorboy's port).

    Returns:
      fields [B, h, w, 2 L], x and y of limb l in channels 2 l and 2 l + 1; and how many people's
      limbs cover a px [B, h, w, L]. Float type as of `confidence_maps`.
    """
    points, valid = _drawable(points_xy, valid)
    limbs = np.asarray(limbs)
    start, end = points[:, :, limbs[:, 0]], points[:, :, limbs[:, 1]]
    length = jnp.linalg.norm(end - start, axis=-1)
    drawn = valid[:, :, limbs[:, 0]] & valid[:, :, limbs[:, 1]] & (length > 0)
    unit = (end - start) / jnp.where(length > 0, length, 1)[..., None]
    x, y = (_broadcast(start[..., axis], size, axis) for axis in (0, 1))
    ux, uy = unit[:, :, None, None, :, 0], unit[:, :, None, None, :, 1]
    covers = drawn[:, :, None, None] & (jnp.abs(x * uy - y * ux) < width)
    for axis in (0, 1):
        covers &= _between(start[..., axis], end[..., axis], size, axis, width, bounds)
    count = covers.sum(1).astype(points.dtype)
    # Summed before they are divided: people's limbs that cross give the mean of their directions.
    mean = [jnp.where(covers, u, 0).sum(1) / jnp.maximum(count, 1) for u in (ux, uy)]
    return jnp.stack(mean, -1).reshape(*count.shape[:3], -1), count


def in_boxes(points_xy: jax.Array, boxes_xyxy: jax.Array) -> jax.Array:
    """[B, P]: whether points [B, P, 2] lie in a box [B, R, 4] (zeros: none) of the same row.

    Both in px; boxes in edge coordinates, half a px before the centre of px 0.
    """
    point, box = points_xy[:, :, None] + 0.5, boxes_xyxy[:, None]
    inside = (point >= box[..., :2]) & (point < box[..., 2:])
    return inside.all(-1).any(-1)


def pixel_grid(size: tuple[int, int], dtype: jnp.dtype) -> jax.Array:
    """The px (x, y) of a map (h, w), row by row: [h * w, 2]."""
    rows, columns = jnp.meshgrid(jnp.arange(size[0]), jnp.arange(size[1]), indexing="ij")
    return jnp.stack([columns, rows], -1).reshape(-1, 2).astype(dtype)


def _drawable(points_xy: jax.Array, valid: jax.Array) -> tuple[jax.Array, jax.Array]:
    points = jnp.asarray(points_xy, jnp.promote_types(points_xy.dtype, jnp.float32))
    drawn = (jnp.asarray(valid) > 0) & jnp.isfinite(points).all(-1)
    return jnp.where(drawn[..., None], points, 0), drawn


def _squares(position: jax.Array, length: int) -> jax.Array:
    """Squared distances [B, N, length, K] of the px along one axis from positions [B, N, K]."""
    return jnp.square(jnp.arange(length, dtype=position.dtype)[:, None] - position[:, :, None])


def _broadcast(start: jax.Array, size: tuple[int, int], axis: int) -> jax.Array:
    """Offsets of the px along one axis (0: x) from starts [B, N, L]: [B, N, h or 1, 1 or w, L]."""
    pixel = jnp.arange(size[1 - axis], dtype=start.dtype)
    pixel = pixel[None, :, None] if axis == 0 else pixel[:, None, None]
    return pixel - start[:, :, None, None]


def _between(
    start: jax.Array,
    end: jax.Array,
    size: tuple[int, int],
    axis: int,
    width: float,
    bounds: Bounds,
) -> jax.Array:
    """Whether px lie between both ends [B, N, L] along one axis, or up to `width` beyond."""
    pixel = _broadcast(jnp.zeros_like(start), size, axis)
    low = (jnp.minimum(start, end) - width)[:, :, None, None]
    high = (jnp.maximum(start, end) + width)[:, :, None, None]
    if bounds == "exact":
        return (pixel >= low) & (pixel <= high)
    if bounds == "rounded":
        return (pixel >= jnp.round(low)) & (pixel < jnp.round(high))
    raise ValueError(f"bounds {bounds!r} is not 'exact' or 'rounded'")
