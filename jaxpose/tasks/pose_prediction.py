"""Pose networks at test time: crops of people, their heat maps, joints back in source px.

Two steps, so that crops of several frames can share a batch; `predict` is both at once.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from jaxpose.config import skeleton_of
from jaxpose.models.hourglass import StackedHourglass
from jaxpose.ops import affine, heatmaps, images
from jaxpose.tasks.task import Batch

STRIDE = 4  # network input px per heat-map px


class Decoding(NamedTuple):
    """How heat maps are read.

    Attributes:
      first_pixel: see `heatmaps.heatmap_to_input`.
      quarter_at_borders: see `heatmaps.decode_heatmaps`.
    """

    first_pixel: float = (STRIDE - 1) / 2
    quarter_at_borders: bool = False


CENTERED = Decoding()


class PoseSteps(NamedTuple):
    """A pose network's two steps; `crop` is [P, 2, 3], source px -> crop px.

    Attributes:
      size: (h, w) of the network input.
      crop: person boxes [P, 4] xyxy in source px -> crop matrices, see `crops_of_boxes`.
      show: (batch, crop, rows [P]) -> network input float32 [P, h, w, 3], see `network_input`.
      estimate: (variables, network input, crop) -> points and scores, see `predict_crops`.
    """

    size: tuple[int, int]
    crop: Callable[[jax.Array], jax.Array]
    show: Callable[[Batch, jax.Array, jax.Array], jax.Array]
    estimate: Callable[[Mapping[str, Any], jax.Array, jax.Array], dict[str, jax.Array]]


def pose_steps(config: ConfigDict, flip_test: bool) -> PoseSteps:
    """The steps of the pose network that a config describes."""
    options = network_options(config)
    size, mean = options["size"], options["mean"]
    network = {name: options[name] for name in ("model", "flip_order", "decoding")}
    return PoseSteps(
        size=size,
        crop=partial(crops_of_boxes, size=size),
        show=partial(network_input, size=size, mean=mean),
        estimate=partial(predict_crops, **network, flip_test=flip_test),
    )


def network_options(config: ConfigDict) -> dict[str, Any]:
    """The keyword arguments of `predict` that a config decides, but for `flip_test`."""
    skeleton = skeleton_of(config)
    model = StackedHourglass(
        num_joints=skeleton.size,
        **{name: value for name, value in config.model.items() if name != "dtype"},
        dtype=jnp.dtype(config.model.dtype),
    )
    return {
        "model": model,
        "size": (int(config.input_size[0]), int(config.input_size[1])),
        "mean": tuple(config.mean),
        "flip_order": skeleton.flip_order,
        "decoding": Decoding(config.heatmap.first_pixel, bool(config.heatmap.quarter_at_borders)),
    }


def crops_of_boxes(boxes_xyxy: jax.Array, size: tuple[int, int]) -> jax.Array:
    """Crop matrices [P, 2, 3], source px -> crop px (h, w), of person boxes [P, 4] in source px."""
    center, scale = affine.crop_from_person_box(boxes_xyxy)
    return affine.crop_matrix(center, scale, size)


def crop_images(
    batch: Batch,
    crop: jax.Array,
    size: tuple[int, int],
    fill: float = 0.0,
    rows: jax.Array | None = None,
    max_level: int | None = None,
) -> jax.Array:
    """Sample crops from the canvases.

    Args:
      batch: image uint8 [B, H, W, 3] and matrix [B, 2, 3], source px -> canvas px.
      crop: [P, 2, 3], source px -> crop px.
      size: (h, w) of the crops.
      fill: outside the canvas, 0..255.
      rows: int32 [P], the canvas of each crop; None: one crop a canvas, in order.
      max_level: see `images.warp`.

    Returns:
      float [P, h, w, 3] in 0..1.
    """
    matrices = batch["matrix"] if rows is None else batch["matrix"][rows]
    to_canvas = affine.compose(matrices, affine.invert(crop))
    return images.warp(batch["image"], to_canvas, size, fill, max_level, rows) / 255


def network_input(
    batch: Batch,
    crop: jax.Array,
    rows: jax.Array | None = None,
    *,
    size: tuple[int, int],
    mean: tuple[float, ...],
) -> jax.Array:
    """What the network gets of each crop: `crop_images` minus `mean` (RGB, 0..1)."""
    max_level = None
    if rows is not None:
        # A person may be larger than the canvas by the margin of the crop, or reach beyond it.
        max_level = 1 + images.default_max_level(batch["image"].shape[1:3], size)
    crops = crop_images(batch, crop, size, rows=rows, max_level=max_level)
    return crops - jnp.asarray(mean, jnp.float32)


def predict_heatmaps(
    variables: Mapping[str, Any],
    inputs: jax.Array,
    *,
    model: StackedHourglass,
    flip_order: np.ndarray,
    flip_test: bool,
) -> jax.Array:
    """Heat maps of the last stack [B, h, w, K]; with `flip_test` the mean over both mirrorings."""
    if not flip_test:
        maps: jax.Array = model.apply(variables, inputs)  # type: ignore[assignment]
        return maps[-1]
    # One doubled batch: twice the work in one launch, instead of two half-empty ones.
    both: jax.Array = model.apply(  # type: ignore[assignment]
        variables, jnp.concatenate([inputs, inputs[:, :, ::-1]])
    )
    plain, mirrored = jnp.split(both[-1], 2)
    return (plain + heatmaps.flip_heatmaps(mirrored, flip_order)) / 2


def predict_crops(
    variables: Mapping[str, Any],
    inputs: jax.Array,
    crop: jax.Array,
    *,
    decoding: Decoding = CENTERED,
    flip_test: bool,
    **network: Any,
) -> dict[str, jax.Array]:
    """Joints of one person a crop.

    Args:
      inputs: float [P, h, w, 3] of `network_input`.
      crop: [P, 2, 3], source px -> crop px.
      decoding: how the heat maps are read.
      flip_test, network: flip_test, model and flip_order of `predict_heatmaps`.

    Returns:
      points float [P, K, 2] in source px; scores [P, K], the heat maps' peaks.
    """
    maps = predict_heatmaps(variables, inputs, flip_test=flip_test, **network)
    points, scores = heatmaps.decode_heatmaps(maps, at_borders=decoding.quarter_at_borders)
    # A mirrored picture errs to the other side: the mean over both mirrorings is centred.
    across = CENTERED.first_pixel if flip_test else decoding.first_pixel
    first_pixel = jnp.array([across, decoding.first_pixel], points.dtype)
    in_crop = heatmaps.heatmap_to_input(points, STRIDE, first_pixel)
    return {"points": affine.transform_points(affine.invert(crop), in_crop), "scores": scores}


def predict(
    variables: Mapping[str, Any],
    batch: Batch,
    *,
    size: tuple[int, int],
    mean: tuple[float, ...],
    **network: Any,
) -> dict[str, jax.Array]:
    """Joints of every person of a batch, in the crop that its centre and scale say.

    Args:
      network: model, flip_order, flip_test and decoding of `predict_crops`.

    Returns:
      points float [B, K, 2] in source px; scores [B, K], the heat maps' peaks.
    """
    crop = affine.crop_matrix(batch["center"], batch["scale"], size, jnp.zeros_like(batch["scale"]))
    inputs = network_input(batch, crop, size=size, mean=mean)
    return predict_crops(variables, inputs, crop, **network)


def predict_images(
    variables: Mapping[str, Any], images_uint8: jax.Array, **options: Any
) -> dict[str, jax.Array]:
    """Joints of one person an image, the crop being the whole image; [B, H, W, 3] uint8 RGB.

    Returns:
      points float [B, K, 2] in px of the given images; scores [B, K].
    """
    count, height, width = images_uint8.shape[:3]
    batch = {
        "image": images_uint8,
        "matrix": jnp.tile(jnp.eye(2, 3), (count, 1, 1)),
        "center": jnp.tile(jnp.array([width / 2, height / 2]), (count, 1)),
        "scale": jnp.full((count,), max(height, width) / 200),
    }
    return predict(variables, batch, **options)
