"""Affine matrices and crop rules: the only place where a crop transform is made.

A matrix is [..., 2, 3] and maps a point (x, y, 1); x right, y down, integers at pixel centres.
Products are written out instead of using matmul: accelerators round matmul operands to TF32 or
bfloat16 by default, which is an error of a pixel at a coordinate of a thousand.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

# Pose crops are measured in units of 200 px, MPII's person height.
UNIT = 200.0
# field's rule for MPII (pose-hg-train): 15 px lower per unit of raw scale, a quarter larger.
_MPII_SHIFT, _MPII_MARGIN = 15.0, 1.25
# MPII: raw scale = 0.04 head sizes and head size = 0.6 head-box diagonals, in every annotation.
_RAW_SCALE_PER_DIAGONAL = 0.024
# Medians over MPII's full-body persons, in crop sides and person-box sides.
_CENTER_DROP, _SIDE_PER_BOX_SIDE = 0.035, 1.10


def crop_matrix(
    center: ArrayLike,
    scale: ArrayLike,
    resolution: int | tuple[int, int],
    rotation: ArrayLike = 0.0,
) -> jax.Array:
    """Matrix from source pixels to crop pixels, as `get_transform` of bearpaw/pytorch-pose.

    The square of side 200 * scale round `center` fills the crop, or its shorter side where the
    crop is not square; `center` lands on (w / 2, h / 2).

    Args:
      center: [..., 2] source px.
      scale: [...] in units of 200 px.
      resolution: crop side or (h, w), px.
      rotation: [...] degrees; the content of the crop turns counter-clockwise by it.

    Returns:
      [..., 2, 3] in the inputs' float type, at least float32.
    """
    height, width = (resolution, resolution) if isinstance(resolution, int) else resolution
    center, scale, rotation = _floats(center, scale, rotation)
    zoom = min(height, width) / (UNIT * scale)
    angle = jnp.deg2rad(rotation)
    cos, sin = zoom * jnp.cos(angle), zoom * jnp.sin(angle)
    x, y = center[..., 0], center[..., 1]
    shift_x = width / 2 - (cos * x + sin * y)
    shift_y = height / 2 - (cos * y - sin * x)
    return _matrix(cos, sin, shift_x, -sin, cos, shift_y)


def compose(after: ArrayLike, before: ArrayLike) -> jax.Array:
    """The matrix [..., 2, 3] that applies `before` first and `after` second (both [..., 2, 3])."""
    after, before = _floats(after, before)
    linear = (after[..., :, :2, None] * before[..., None, :, :]).sum(-2)
    return linear.at[..., 2].add(after[..., 2])


def invert(matrix: ArrayLike) -> jax.Array:
    """Inverse [..., 2, 3] of an affine matrix [..., 2, 3]; not finite where it is singular."""
    (matrix,) = _floats(matrix)
    a, b, tx = matrix[..., 0, 0], matrix[..., 0, 1], matrix[..., 0, 2]
    c, d, ty = matrix[..., 1, 0], matrix[..., 1, 1], matrix[..., 1, 2]
    det = a * d - b * c
    ia, ib, ic, id_ = d / det, -b / det, -c / det, a / det
    return _matrix(ia, ib, -(ia * tx + ib * ty), ic, id_, -(ic * tx + id_ * ty))


def transform_points(matrix: ArrayLike, points: ArrayLike) -> jax.Array:
    """Points [..., N, 2] under a matrix [..., 2, 3]; leading axes broadcast."""
    matrix, points = _floats(matrix, points)
    moved = (matrix[..., None, :, :2] * points[..., None, :]).sum(-1)
    return moved + matrix[..., None, :, 2]


def edge_matrix(matrix: ArrayLike) -> jax.Array:
    """The matrix [..., 2, 3] that moves edge coordinates as `matrix` moves pixel centres.

    Edge coordinates count from the image's left and top edge, half a pixel before the centre of
    pixel 0: an edge at x goes to M(x - 0.5) + 0.5.
    """
    (matrix,) = _floats(matrix)
    linear = matrix[..., :2]
    return matrix.at[..., 2].add(0.5 - 0.5 * linear.sum(-1))


def transform_boxes(matrix: ArrayLike, boxes_xyxy: ArrayLike) -> jax.Array:
    """Boxes [..., N, 4] xyxy, in edge coordinates, under a pixel-centre matrix [..., 2, 3].

    Leading axes broadcast. For matrices without rotation; a mirrored box gets its left and right
    (top and bottom) back in order, so a box that is given with negative width comes out sound:
    check before.
    """
    edges = edge_matrix(matrix)
    low = transform_points(edges, jnp.asarray(boxes_xyxy)[..., :2])
    high = transform_points(edges, jnp.asarray(boxes_xyxy)[..., 2:])
    return jnp.concatenate([jnp.minimum(low, high), jnp.maximum(low, high)], -1)


def stretch_matrix(rectangle_xyxy: ArrayLike, size: tuple[int, int]) -> jax.Array:
    """Matrix [..., 2, 3] from pixels of an output to those of the frame it shows a part of.

    Args:
      rectangle_xyxy: [..., 4] in edge coordinates of the frame; it fills the output, aspect ratio
        not kept. Left and right exchanged mirror it.
      size: (h, w) of the output, px.
    """
    (rectangle,) = _floats(rectangle_xyxy)
    low, high = rectangle[..., :2], rectangle[..., 2:]
    factor = (high - low) / jnp.array([size[1], size[0]], rectangle.dtype)
    shift = low + 0.5 * factor - 0.5
    zero = jnp.zeros_like(factor[..., 0])
    return _matrix(factor[..., 0], zero, shift[..., 0], zero, factor[..., 1], shift[..., 1])


def flip_matrix(width: ArrayLike) -> jax.Array:
    """Left/right flip of an image of `width` px: x -> width - 1 - x. [2, 3] float32 (exact)."""
    return jnp.array([[-1, 0, jnp.asarray(width) - 1], [0, 1, 0]], jnp.float32)


def translation(offset: ArrayLike) -> jax.Array:
    """Matrix [..., 2, 3] of x -> x + offset, offset [..., 2] in px."""
    (offset,) = _floats(offset)
    one, zero = jnp.ones_like(offset[..., 0]), jnp.zeros_like(offset[..., 0])
    return _matrix(one, zero, offset[..., 0], zero, one, offset[..., 1])


def scaling(factor: ArrayLike) -> jax.Array:
    """Matrix [..., 2, 3] of x -> factor * x about the centre of pixel (0, 0), factor [..., 2]."""
    (factor,) = _floats(factor)
    zero = jnp.zeros_like(factor[..., 0])
    return _matrix(factor[..., 0], zero, zero, zero, factor[..., 1], zero)


def adjust_mpii(center: Any, raw_scale: Any) -> tuple[Any, Any]:
    """MPII's `objpos` and `scale` turned into a crop: c.y + 15 * s, s * 1.25 (pose-hg-train).

    The values in the public valid.h5 files are already adjusted: do not apply this to them.

    Args:
      center: [..., 2] px, NumPy or jax.
      raw_scale: [...] person height / 200 px.

    Returns:
      (center [..., 2] px, scale [...] in units of 200 px), of the input's array library.
    """
    return _lowered(center, _MPII_SHIFT * raw_scale), _MPII_MARGIN * raw_scale


def crop_from_head_box(head_box: Any, keypoint_box: Any) -> tuple[Any, Any]:
    """MPII's crop for a person with a head box and without `objpos`: side = 6 head diagonals.

    Args:
      head_box: [..., 4] xyxy px; raw scale = 0.024 of its diagonal.
      keypoint_box: [..., 4] xyxy px, extent of the annotated joints; its centre, 3.5 % of the crop
        side lower, becomes the crop centre.

    Returns:
      (center [..., 2] px, scale [...] in units of 200 px, final).
    """
    size = head_box[..., 2:] - head_box[..., :2]
    diagonal = (size**2).sum(-1) ** 0.5
    scale = _MPII_MARGIN * _RAW_SCALE_PER_DIAGONAL * diagonal
    return _lowered(_box_center(keypoint_box), _CENTER_DROP * UNIT * scale), scale


def crop_from_person_box(box_xyxy: Any) -> tuple[Any, Any]:
    """The crop of MPII's proportions for a person box [..., 4] xyxy px (joint extent x 1.3).

    Returns:
      (center [..., 2] px, scale [...] in units of 200 px, final): side = 1.10 x the longer side,
      centre = box centre lowered by 3.5 % of the crop side.
    """
    side = _SIDE_PER_BOX_SIDE * (box_xyxy[..., 2:] - box_xyxy[..., :2]).max(-1)
    return _lowered(_box_center(box_xyxy), _CENTER_DROP * side), side / UNIT


def _box_center(box_xyxy: Any) -> Any:
    return (box_xyxy[..., :2] + box_xyxy[..., 2:]) / 2


def _lowered(center: Any, shift: Any) -> Any:
    library = jnp if isinstance(center, jax.Array) else np
    return library.stack([center[..., 0], center[..., 1] + shift], -1)


def _floats(*values: ArrayLike) -> tuple[jax.Array, ...]:
    """The values in their common float type; float32 unless one of them is wider."""
    arrays = [jnp.asarray(value) for value in values]
    dtype = jnp.promote_types(jnp.result_type(*arrays), jnp.float32)
    return tuple(array.astype(dtype) for array in arrays)


def _matrix(*entries: jax.Array) -> jax.Array:
    flat = jnp.stack(jnp.broadcast_arrays(*entries), -1)
    return flat.reshape(*flat.shape[:-1], 2, 3)
