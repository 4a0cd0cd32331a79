"""Heat maps of joints: drawing, reading, flipping, and their alignment with the network input."""

from typing import Any, Literal

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

Rounding = Literal["truncate", "nearest"]


def render_heatmaps(
    points_xy: jax.Array,
    valid: jax.Array,
    size: tuple[int, int],
    sigma: float = 1.0,
    rounding: Rounding = "truncate",
) -> jax.Array:
    """Draw a Gaussian of peak 1 on a whole pixel per joint, cut to a patch of radius 3 sigma.

    A patch that lies partly outside the map is drawn partly.

    Args:
      points_xy: [B, K, 2] heat-map px.
      valid: [B, K]; maps of joints that are not > 0 stay zero, whatever their point (NaN too).
      size: (h, w) of the maps.
      sigma: px; the patch is 7x7 for sigma 1.
      rounding: 'truncate' draws as `draw_labelmap` of bearpaw/pytorch-pose does: centre =
        trunc(p - 3 sigma) + 3 sigma, patch from there to trunc(p + 3 sigma + 1) (exclusive).
        'nearest' centres on the nearest pixel; it commutes with a left/right flip.

    Returns:
      [B, h, w, K] in the float type of `points_xy`, at least float32.
    """
    points = jnp.asarray(points_xy, jnp.promote_types(points_xy.dtype, jnp.float32))
    valid = jnp.asarray(valid) > 0
    rows = _profile(points[..., 1], size[0], sigma, rounding)
    columns = _profile(points[..., 0], size[1], sigma, rounding)
    rows = jnp.where(valid[:, None], rows, 0)
    return rows[:, :, None] * columns[:, None]


def decode_heatmaps(
    maps: jax.Array, quarter_offset: bool = True, at_borders: bool = False
) -> tuple[jax.Array, jax.Array]:
    """Joint positions as pose-hg-train reads them: the argmax, a quarter towards its neighbour.

    The quarter goes towards the higher of the two neighbours, in x and in y, and only where the
    argmax lies strictly inside the map (in both directions).

    Args:
      maps: [B, h, w, K].
      quarter_offset: False returns the whole pixel.
      at_borders: apply it there too, where the argmax stands for the neighbour that is missing, as
        princeton-vl/pytorch_stacked_hourglass does (utils/group.py).

    Returns:
      points_xy [B, K, 2] heat-map px, (-1, -1) for a map without a positive value (or with NaN);
      scores [B, K], the value at the argmax.
    """
    batch, height, width, joints = maps.shape
    flat = maps.reshape(batch, height * width, joints)
    best = jnp.argmax(flat, axis=1)
    scores = _value(flat, best)
    x, y = best % width, best // width
    points = jnp.stack([x, y], -1).astype(jnp.promote_types(maps.dtype, jnp.float32))
    if quarter_offset:
        left, right = jnp.maximum(x - 1, 0), jnp.minimum(x + 1, width - 1)
        above, below = jnp.maximum(y - 1, 0), jnp.minimum(y + 1, height - 1)
        slope_x = _value(flat, y * width + right) - _value(flat, y * width + left)
        slope_y = _value(flat, below * width + x) - _value(flat, above * width + x)
        offset = 0.25 * jnp.sign(jnp.stack([slope_x, slope_y], -1))
        interior = (x > 0) & (x < width - 1) & (y > 0) & (y < height - 1)
        moved = (interior | at_borders)[..., None]
        points = jnp.where(moved, points + offset.astype(points.dtype), points)
    return jnp.where((scores > 0)[..., None], points, -1), scores


def flip_heatmaps(maps: jax.Array, flip_order: ArrayLike) -> jax.Array:
    """Maps [B, h, w, K] mirrored left/right, with left and right joints swapped.

    Args:
      maps: [B, h, w, K].
      flip_order: int [K], `Skeleton.flip_order`: the joint to read for each place.
    """
    return jnp.take(maps[:, :, ::-1], jnp.asarray(flip_order), axis=-1)


def heatmap_to_input(
    points: ArrayLike, stride: float, first_pixel: ArrayLike | None = None
) -> jax.Array:
    """Heat-map px -> network-input px: (p + 0.5) * stride - 0.5.

    The one alignment rule between the two, for targets, decoding and the flip test: pixel p of a
    map covers `stride` input pixels, centre on centre, so mirroring either mirrors the other.

    Args:
      points: [..., 2] or any shape.
      stride: input px per heat-map px.
      first_pixel: input px at which pixel 0 of the map stands, of a network that learnt another
        rule; (stride - 1) / 2 without. Scalar or [2].
    """
    return (jnp.asarray(points) + 0.5) * stride - 0.5 + _shift(stride, first_pixel)


def input_to_heatmap(
    points: ArrayLike, stride: float, first_pixel: ArrayLike | None = None
) -> jax.Array:
    """Network-input px -> heat-map px: the inverse of `heatmap_to_input`."""
    return (jnp.asarray(points) + (0.5 - _shift(stride, first_pixel))) / stride - 0.5


def _shift(stride: float, first_pixel: ArrayLike | None) -> Any:
    """Input px by which a network's rule differs from centre on centre."""
    return 0.0 if first_pixel is None else first_pixel - (stride - 1) / 2


def _profile(position: jax.Array, length: int, sigma: float, rounding: Rounding) -> jax.Array:
    """One axis of the Gaussian patches, [B, length, K]; a patch is the product of two of them."""
    radius = int(3 * sigma + 0.5)
    if rounding == "truncate":
        first, end = jnp.trunc(position - radius), jnp.trunc(position + radius + 1)
    elif rounding == "nearest":
        first = jnp.floor(position + 0.5) - radius
        end = first + 2 * radius + 1
    else:
        raise ValueError(f"rounding {rounding!r} is not 'truncate' or 'nearest'")
    pixel = jnp.arange(length, dtype=position.dtype)[:, None]
    first, end = first[:, None], end[:, None]
    gaussian = jnp.exp(-((pixel - first - radius) ** 2) / (2 * sigma**2))
    return jnp.where((pixel >= first) & (pixel < end), gaussian, 0)


def _value(flat: jax.Array, index: jax.Array) -> jax.Array:
    """Entries [B, K] of maps [B, h * w, K] at pixel `index` [B, K]; clipped at the ends."""
    return jnp.take_along_axis(flat, index[:, None], axis=1, mode="clip")[:, 0]
