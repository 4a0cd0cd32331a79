"""Random crops that keep objects: SSD's IoU-constrained sampling, all candidates in parallel.

After Caffe's `sampler.cpp` (branch ssd of weiliu89/caffe).
"""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from jaxpose.ops.boxes import pairwise_iou

WHOLE = (0.0, 0.0, 1.0, 1.0)


def draw_crop(
    key: jax.Array, boxes_xyxy: jax.Array, real: jax.Array, options: Mapping[str, Any]
) -> jax.Array:
    """Draw one crop per image from Caffe's samplers (`sampler.cpp`, `GenerateBatchSamples`).

    One sampler is the whole image; one for every entry of `min_ious` draws crop_trials candidates
    and takes the first that overlaps some object by at least that IoU (0: any candidate) and, which
    Caffe does not ask for, holds the centre of some object. One of the samplers that found a crop
    is picked, all alike: an image without objects stays whole.

    Args:
      key: one PRNG key.
      boxes_xyxy: [B, G, 4] fractions of the image.
      real: bool [B, G], which boxes are objects.
      options: min_ious (Caffe: 0.1, 0.3, 0.5, 0.7, 0.9 and 0), crop_trials (50), crop_scale
        and crop_aspect (see `crop_candidates`), crop_probability (1; else the image stays whole).

    Returns:
      [B, 4] xyxy fractions of the image.
    """
    candidate_key, lot_key = jax.random.split(key)
    min_ious = jnp.asarray(options["min_ious"], boxes_xyxy.dtype)
    shape = (len(boxes_xyxy), len(min_ious), options["crop_trials"])
    drawn = crop_candidates(
        candidate_key, shape, options["crop_scale"], options["crop_aspect"], boxes_xyxy.dtype
    )
    crops, found = _first_valid(drawn, boxes_xyxy, real, min_ious)
    whole = jnp.broadcast_to(jnp.asarray(WHOLE, crops.dtype), (len(crops), 1, 4))
    crops = jnp.concatenate([whole, crops], 1)
    found = jnp.pad(found, ((0, 0), (1, 0)), constant_values=True)
    lots = jax.random.uniform(lot_key, (len(found), 1 + found.shape[1]), crops.dtype)
    sampler = jnp.argmax(jnp.where(found, lots[:, 1:], -1), 1)
    picked = jnp.where(lots[:, 0] < options["crop_probability"], sampler, 0)
    return jnp.take_along_axis(crops, picked[:, None, None], 1)[:, 0]


def crop_candidates(
    key: jax.Array,
    shape: tuple[int, ...],
    scale: tuple[float, float],
    aspect: tuple[float, float],
    dtype: Any = jnp.float32,
) -> jax.Array:
    """Boxes [*shape, 4] xyxy in the unit square (Caffe `sampler.cpp`, `SampleBBox`).

    With s ~ U(scale), r ~ U(aspect, clipped to s^2..1/s^2): width s sqrt(r), height s / sqrt(r),
    anywhere inside.
    """
    lots = jax.random.uniform(key, (4, *shape), dtype)
    s = scale[0] + (scale[1] - scale[0]) * lots[0]
    low, high = jnp.maximum(aspect[0], s**2), jnp.minimum(aspect[1], 1 / s**2)
    ratio = low + (high - low) * lots[1]
    side = jnp.stack([s * jnp.sqrt(ratio), s / jnp.sqrt(ratio)], -1)
    side = jnp.minimum(side, 1)  # by rounding it could be more
    corner = (1 - side) * jnp.stack([lots[2], lots[3]], -1)
    return jnp.concatenate([corner, corner + side], -1)


def _first_valid(
    drawn: jax.Array, boxes_xyxy: jax.Array, real: jax.Array, min_ious: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """First valid candidate [B, K, 4] of each sampler [B, K, trials, 4], and whether there is."""
    count, samplers, trials, _ = drawn.shape
    flat = drawn.reshape(count, -1, 4)
    iou = jnp.where(real[:, None], pairwise_iou(flat, boxes_xyxy), -1)
    center = (boxes_xyxy[..., :2] + boxes_xyxy[..., 2:])[:, None] / 2
    holds = (center >= flat[:, :, None, :2]) & (center <= flat[:, :, None, 2:])
    holds = (holds.all(-1) & real[:, None]).any(-1)
    overlap = jnp.where(holds, iou.max(-1, initial=-1), -1).reshape(count, samplers, trials)
    valid = overlap >= min_ious[:, None]
    first = jnp.argmax(valid, -1)[..., None, None]
    return jnp.take_along_axis(drawn, first, 2)[:, :, 0], valid.any(-1)
