"""Training views of whole frames: scale, rotation, shift and flip round one of their people.

After CMU's `CPMDataTransformer` (caffe_train): one person is brought to a random share of the crop
and near its middle, the frame turns about it. Their person is as tall as its box; here the longer
side counts, so that those who lie are not enlarged.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxpose.models.openpose import STRIDE
from jaxpose.ops import affine, heatmaps, part_maps
from jaxpose.tasks.bottom_up_prediction import Size, network_input
from jaxpose.tasks.task import Batch

Midpoints = tuple[tuple[int, int, int], ...]
# A frame is reduced by at most 2^(1 + this): a person that fills it becomes 0.3 crops.
_MAX_LEVEL = 2


class People(NamedTuple):
    """Who is trained on, in source px.

    Attributes:
      points: [B, N, K, 2]; annotated: bool [B, N, K].
      joint_mask: [B, K], 0 for joints that the data set lacks.
      boxes: [B, N, 4] of those with an annotated joint, zeros for others.
      regions: [B, R, 4] where nobody knows: ignored regions, crowds, people without joints.
    """

    points: jax.Array
    annotated: jax.Array
    joint_mask: jax.Array
    boxes: jax.Array
    regions: jax.Array


def augment(
    key: jax.Array,
    batch: Batch,
    *,
    options: Mapping[str, Any],
    size: Size,
    mean: tuple[float, ...],
    channels: str,
    flip_order: np.ndarray,
    midpoints: Midpoints = (),
) -> dict[str, jax.Array]:
    """Random views of every frame of a batch (`bottom_up.example` with a batch axis).

    Args:
      options: see `random_view`.
      size: (h, w) of the network input.
      mean, channels: see `network_input`.
      flip_order: `Skeleton.flip_order`.
      midpoints: joints that are made, see `known_people`.

    Returns:
      image float [B, h, w, 3]; points [B, N, K, 2] in px of it; annotated bool [B, N, K];
      joint_mask [B, K]; trained float [B, h/8, w/8], 0 where nobody knows; mask [B].
    """
    people = known_people(batch, midpoints)
    crop, flipped = random_view(key, people, batch["size"], options, size)
    to_source = affine.invert(crop)
    points = affine.transform_points(crop[:, None], people.points)
    swap = flipped[:, None, None]
    joint_mask = people.joint_mask
    return {
        "image": network_input(batch, to_source, size, mean, channels, _MAX_LEVEL),
        "points": jnp.where(swap[..., None], points[:, :, flip_order], points),
        "annotated": jnp.where(swap, people.annotated[:, :, flip_order], people.annotated),
        "joint_mask": jnp.where(flipped[:, None], joint_mask[:, flip_order], joint_mask),
        "trained": trained_cells(people.regions, to_source, size),
        "mask": batch["mask"],
    }


def known_people(batch: Batch, midpoints: Midpoints = ()) -> People:
    """Sort a batch's people into those to train on and regions where nobody knows.

    Args:
      batch: keypoints [B, N, K, 3], joint_mask [B, K], boxes [B, N, 4] (zeros where there is none),
        labels [B, N] (0: nobody), crowd bool [B, N], ignore [B, I, 4], mask [B].
      midpoints: (made, one, other): joint `made` is the mean of two others, where both are
        annotated, whatever the data set says of it (OpenPose's neck, of the shoulders).
    """
    keypoints, boxes = jnp.asarray(batch["keypoints"]), jnp.asarray(batch["boxes"])
    there = (batch["labels"] > 0) & (batch["mask"][:, None] > 0)
    annotated = (keypoints[..., 2] > 0) & (there & ~batch["crowd"])[..., None]
    points, joint_mask = keypoints[..., :2], jnp.asarray(batch["joint_mask"])
    for made, one, other in midpoints:
        mean = (points[:, :, one] + points[:, :, other]) / 2
        points = points.at[:, :, made].set(mean)
        annotated = annotated.at[..., made].set(annotated[..., one] & annotated[..., other])
        joint_mask = joint_mask.at[:, made].set(joint_mask[:, one] * joint_mask[:, other])
    known = annotated.any(-1)
    unknown = jnp.where((there & ~known)[..., None], boxes, 0)
    regions = jnp.concatenate([jnp.asarray(batch["ignore"]), unknown], 1)
    boxes = jnp.where(known[..., None], boxes, 0)
    return People(points, annotated, joint_mask, boxes, regions)


def random_view(
    key: jax.Array,
    people: People,
    sizes: jax.Array,
    options: Mapping[str, Any],
    size: Size,
) -> tuple[jax.Array, jax.Array]:
    """Draw a person of each frame and what is seen around it; the frame where there is nobody.

    With `person_size` 0 the frame itself always takes the person's place, and size 1. Else the
    longer side of the person's box becomes `person_size` * U(`scale`) of the crop's shorter
    side, but px grow by at most `largest_zoom`; then the crop turns by U(-`rotation`, `rotation`)
    degrees about a point up to `shift` px (of the crop, in x and in y) from the box's centre.

    Args:
      sizes: [B, 2] width and height of the frames.
      options: person_size, scale (two numbers), largest_zoom, rotation, shift, flip_probability.
      size: (h, w) of the crop.

    Returns:
      matrices [B, 2, 3] source px -> crop px, and flipped bool [B].
    """
    keys, sizes = jax.random.split(key, 5), jnp.asarray(sizes)
    dtype, count = people.boxes.dtype, people.boxes.shape[0]
    uniform = partial(jax.random.uniform, dtype=dtype)
    frame = jnp.concatenate([jnp.zeros_like(sizes), jnp.maximum(sizes, 1)], -1).astype(dtype)
    box = _main_box(keys[0], people.boxes, frame) if options["person_size"] else frame
    low, high = options["scale"]
    share = (options["person_size"] or 1) * uniform(keys[1], (count,), minval=low, maxval=high)
    shorter = min(size)
    side = jnp.maximum((box[:, 2:] - box[:, :2]).max(-1) / share, shorter / options["largest_zoom"])
    shift = options["shift"] * uniform(keys[2], (count, 2), minval=-1, maxval=1)
    center = (box[:, :2] + box[:, 2:]) / 2 + shift * (side / shorter)[:, None]
    rotation = options["rotation"] * uniform(keys[3], (count,), minval=-1, maxval=1)
    crop = affine.crop_matrix(center, side / affine.UNIT, size, rotation)
    mirrored = affine.compose(affine.flip_matrix(size[1]).astype(dtype), crop)
    flipped = uniform(keys[4], (count,)) < options["flip_probability"]
    return jnp.where(flipped[:, None, None], mirrored, crop), flipped


def _main_box(key: jax.Array, boxes: jax.Array, frame: jax.Array) -> jax.Array:
    """One box [B, 4] of each row of boxes [B, N, 4], all alike likely; `frame` where none."""
    usable = (boxes[..., 2:] > boxes[..., :2]).all(-1)
    lots = jnp.where(usable, jax.random.uniform(key, usable.shape, boxes.dtype), -1)
    chosen = jnp.take_along_axis(boxes, lots.argmax(1)[:, None, None], 1)[:, 0]
    return jnp.where(usable.any(1)[:, None], chosen, frame)


def trained_cells(regions: jax.Array, to_source: jax.Array, size: Size) -> jax.Array:
    """[B, h/8, w/8]: 0 for px of the maps whose centre lies in a region, else 1.

    Args:
      regions: [B, R, 4] source px xyxy; zeros for none.
      to_source: [B, 2, 3], px of the view -> source px.
      size: (h, w) of the view.
    """
    cells = (size[0] // STRIDE, size[1] // STRIDE)
    centers = heatmaps.heatmap_to_input(part_maps.pixel_grid(cells, to_source.dtype), STRIDE)
    inside = part_maps.in_boxes(affine.transform_points(to_source, centers), regions)
    return (~inside).astype(to_source.dtype).reshape(-1, *cells)
