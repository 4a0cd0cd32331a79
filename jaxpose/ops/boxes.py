"""Areas, overlaps and forms of boxes, and SSD's encoding of a box relative to a default box.

xyxy boxes are (left, top, right, bottom) edges, cxcywh boxes centre and size; any unit, one per
call. Results are in the inputs' float type, at least float32; leading axes broadcast.
"""

import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import ArrayLike

# "Prior variances" of SSD (ssd_pascal.py): scales of the regression targets.
CENTER_VARIANCE, SIZE_VARIANCE = 0.1, 0.2
# Sides below this encode as this: log and division stay finite. 5e-6 px of a 512 px input.
_MIN_SIDE = 1e-8
# Factor e^20 on a side: no box of an image, but finite. An untrained network can ask for more.
MAX_LOG_SCALE = 20.0


def area(boxes_xyxy: ArrayLike) -> jax.Array:
    """Area [...] of boxes [..., 4] xyxy; 0 where not (right > left and bottom > top), NaN too."""
    (boxes,) = _floats(boxes_xyxy)
    width, height = boxes[..., 2] - boxes[..., 0], boxes[..., 3] - boxes[..., 1]
    # A choice, not a clamp to 0: it keeps compilers from contracting the product with a later sum
    # into one rounding, which would decide ties of overlaps otherwise than the references do.
    return jnp.where((width > 0) & (height > 0), width * height, 0)


def intersection(a_xyxy: ArrayLike, b_xyxy: ArrayLike) -> jax.Array:
    """Area [...] of the common part of boxes a [..., 4] and b [..., 4] xyxy, box by box.

    The leading axes broadcast: all pairs are `intersection(a[:, None], b[None])`.
    """
    a, b = _floats(a_xyxy, b_xyxy)
    low = jnp.maximum(a[..., :2], b[..., :2])
    high = jnp.minimum(a[..., 2:], b[..., 2:])
    return area(jnp.concatenate([low, high], -1))


def pairwise_iou(a_xyxy: ArrayLike, b_xyxy: ArrayLike) -> jax.Array:
    """Intersection over union of every pair (Jaccard overlap).

    Args:
      a_xyxy: [..., N, 4].
      b_xyxy: [..., M, 4].

    Returns:
      [..., N, M] in 0..1; 0 where the union is zero or not finite (both boxes empty, NaN, inf),
      with finite gradients for finite boxes.
    """
    a, b = _floats(a_xyxy, b_xyxy)
    a, b = a[..., :, None, :], b[..., None, :, :]
    common = intersection(a, b)
    union = area(a) + area(b) - common
    usable = (union > 0) & (union < jnp.inf)
    # Both operands are made safe before the division: a gradient flows through either branch.
    return jnp.where(usable, common, 0) / jnp.where(usable, union, 1)


def iou_remainder(a_xyxy: ArrayLike, b_xyxy: ArrayLike, iou: ArrayLike) -> jax.Array:
    """What rounding took from `iou`: the exact overlap of the pairs is about iou + remainder.

    With it, overlaps that are equal to rounding compare as they would in twice the precision
    (to about 2^-36 in float32), on every device. Each product is one of halves of significands
    and thus exact, so it does not matter whether a compiler contracts it with the sum after it.

    Args:
      a_xyxy: [..., 4], not empty.
      b_xyxy: [..., 4], broadcast against a.
      iou: [...] their IoU in floating point.

    Returns:
      [...]; not meaningful where the boxes do not intersect.
    """
    a, b, guess = _floats(a_xyxy, b_xyxy, iou)
    low, high = jnp.maximum(a[..., :2], b[..., :2]), jnp.minimum(a[..., 2:], b[..., 2:])
    common, tail = _exact_area(low, high)
    area_a, tail_a = _exact_area(a[..., :2], a[..., 2:])
    area_b, tail_b = _exact_area(b[..., :2], b[..., 2:])
    total, tail_total = _two_sum(area_a, area_b)
    union, tail_union = _two_sum(total, -common)
    tail_union = tail_union + (tail_total + ((tail_a + tail_b) - tail))
    product, tail_product = _exact_product(guess, jnp.zeros_like(guess), union, tail_union)
    return ((common - product) + (tail - tail_product)) / union


def to_cxcywh(boxes_xyxy: ArrayLike) -> jax.Array:
    """Boxes [..., 4] xyxy as centre and size."""
    (boxes,) = _floats(boxes_xyxy)
    low, high = boxes[..., :2], boxes[..., 2:]
    return jnp.concatenate([(low + high) / 2, high - low], -1)


def to_xyxy(boxes_cxcywh: ArrayLike) -> jax.Array:
    """Boxes [..., 4] cxcywh as edges."""
    (boxes,) = _floats(boxes_cxcywh)
    center, half = boxes[..., :2], boxes[..., 2:] / 2
    return jnp.concatenate([center - half, center + half], -1)


def encode_offsets(boxes_xyxy: ArrayLike, default_boxes_cxcywh: ArrayLike) -> jax.Array:
    """Boxes relative to default boxes, the targets of SSD's localisation loss (its section 2.2).

    ((gx - dx) / dw / 0.1, (gy - dy) / dh / 0.1, log(gw / dw) / 0.2, log(gh / dh) / 0.2)

    Args:
      boxes_xyxy: [..., 4], fractions of the network input.
      default_boxes_cxcywh: [..., 4], likewise.

    Returns:
      [..., 4]; finite for coordinates up to 1e28, empty boxes included: sides below 1e-8, negative
      ones too, count as 1e-8.
    """
    boxes, defaults = _floats(boxes_xyxy, default_boxes_cxcywh)
    boxes = to_cxcywh(boxes)
    side, default_side = jnp.maximum(boxes[..., 2:], _MIN_SIDE), defaults[..., 2:]
    default_side = jnp.maximum(default_side, _MIN_SIDE)
    center = (boxes[..., :2] - defaults[..., :2]) / default_side / CENTER_VARIANCE
    return jnp.concatenate([center, jnp.log(side / default_side) / SIZE_VARIANCE], -1)


def decode_offsets(
    offsets: ArrayLike, default_boxes_cxcywh: ArrayLike, max_log_scale: float = MAX_LOG_SCALE
) -> jax.Array:
    """The inverse of `encode_offsets`: boxes [..., 4] xyxy, not clipped to the image.

    Args:
      offsets: [..., 4], the network's localisation outputs.
      default_boxes_cxcywh: [..., 4], fractions of the network input.
      max_log_scale: bound of the logarithm of a side over that of its default box; torchvision's
        BoxCoder takes log(1000 / 16).

    Returns:
      [..., 4] xyxy; a side grows by at most e^20 (an offset of 100), which keeps it finite.
    """
    offsets, defaults = _floats(offsets, default_boxes_cxcywh)
    center = defaults[..., :2] + offsets[..., :2] * CENTER_VARIANCE * defaults[..., 2:]
    log_scale = jnp.minimum(offsets[..., 2:] * SIZE_VARIANCE, max_log_scale)
    side = defaults[..., 2:] * jnp.exp(log_scale)
    return to_xyxy(jnp.concatenate([center, side], -1))


def _floats(*values: ArrayLike) -> tuple[jax.Array, ...]:
    """The values in their common float type; float32 unless one of them is wider."""
    arrays = [jnp.asarray(value) for value in values]
    dtype = jnp.promote_types(jnp.result_type(*arrays), jnp.float32)
    return tuple(array.astype(dtype) for array in arrays)


def _exact_area(low: jax.Array, high: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Area of boxes with corners low and high [..., 2] as an unevaluated sum of two floats."""
    side, tail = _two_sum(high, -low)
    return _exact_product(side[..., 0], tail[..., 0], side[..., 1], tail[..., 1])


def _two_sum(a: jax.Array, b: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Rounded sum and its rounding error (Knuth)."""
    total = a + b
    part = total - a
    return total, (a - (total - part)) + (b - part)


def _exact_product(
    a: jax.Array, tail_a: jax.Array, b: jax.Array, tail_b: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """(a + tail_a) * (b + tail_b) as a rounded product and what it lacks (Dekker)."""
    (a_high, a_low), (b_high, b_low) = _halves(a), _halves(b)
    small = a_low * b_low + (a * tail_b + tail_a * b)
    return _two_sum(a_high * b_high, (a_high * b_low + a_low * b_high) + small)


def _halves(x: jax.Array) -> tuple[jax.Array, jax.Array]:
    """x as a sum of two floats of half the significand each, by cutting bits."""
    info = jnp.finfo(x.dtype)
    bits = lax.bitcast_convert_type(x, jnp.int32 if info.bits == 32 else jnp.int64)
    high = lax.bitcast_convert_type(bits & -(1 << (info.nmant + 2) // 2), x.dtype)
    return high, x - high
