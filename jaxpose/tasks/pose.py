"""Single-person pose estimation in a crop: augmentation, heat-map targets, loss, decoding.

After pose-hg-train (Newell et al. 2016, section 3; `util/pose.lua`, `util/img.lua`). Everything
here runs on the device inside jitted functions, on batches of fixed shape (see `example`).
"""

from collections.abc import Mapping
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from jaxpose.config import skeleton_of
from jaxpose.evaluation.pose import PoseEvaluator
from jaxpose.models.hourglass import initial_value
from jaxpose.ops import affine, heatmaps, images
from jaxpose.skeletons import Skeleton
from jaxpose.tasks.pose_pictures import input_sheet, prediction_sheet
from jaxpose.tasks.pose_prediction import (
    STRIDE,
    crop_images,
    network_options,
    predict,
    predict_images,
)
from jaxpose.tasks.task import Batch, Task


def pose_task(config: ConfigDict) -> Task:
    """The pose task of a config (see `jaxpose.config.pose_config` for its fields)."""
    skeleton = skeleton_of(config)
    test_time = network_options(config) | {"flip_test": bool(config.eval.flip_test)}
    view = {name: test_time[name] for name in ("size", "mean", "flip_order")}
    size, mean = view["size"], view["mean"]
    return Task(
        name="pose",
        outputs=f"{skeleton.size} joints",
        model=test_time["model"],
        input_shape=(*size, 3),
        example=example(skeleton, canvas=int(config.canvas) or 2 * max(size)),
        initial_value=initial_value,
        augment=partial(augment, options=config.augment.to_dict(), **view),
        loss=partial(
            loss,
            sigma=float(config.heatmap.sigma),
            zero_map_for_missing=bool(config.heatmap.zero_map_for_missing),
            first_pixel=float(config.heatmap.first_pixel),
        ),
        predict=partial(predict, **test_time),
        predict_images=partial(predict_images, **test_time),
        evaluator=partial(PoseEvaluator, skeleton),
        picture=partial(prediction_sheet, skeleton=skeleton, size=size),
        picture_inputs=partial(input_sheet, skeleton=skeleton, mean=mean),
    )


def example(skeleton: Skeleton, canvas: int) -> dict[str, jax.ShapeDtypeStruct]:
    """Device inputs of one training example: name -> shape and dtype, without the batch axis."""
    joints = skeleton.size
    shapes = {
        "image": ((canvas, canvas, 3), np.uint8),
        "matrix": ((2, 3), np.float32),
        "keypoints": ((joints, 3), np.float32),
        "joint_mask": ((joints,), np.float32),
        "center": ((2,), np.float32),
        "scale": ((), np.float32),
        "mask": ((), np.float32),
    }
    return {name: jax.ShapeDtypeStruct(shape, dtype) for name, (shape, dtype) in shapes.items()}


def random_crop(
    key: jax.Array, batch: Batch, options: Mapping[str, float], size: tuple[int, int]
) -> tuple[jax.Array, jax.Array]:
    """Draw scale, rotation and flip of each person.

    Scale is 2^(strength * normal), rotation strength * normal in degrees; both normals are clamped
    to +-2, and rotation is applied with its probability only (pose-hg-train `util/pose.lua`).

    Returns:
      matrices [B, 2, 3] source px -> crop px, and flipped bool [B].
    """
    keys = jax.random.split(key, 4)
    count, dtype = batch["scale"].shape, batch["scale"].dtype
    normal = partial(jax.random.normal, shape=count, dtype=dtype)
    chance = partial(jax.random.uniform, shape=count, dtype=dtype)
    exponent = options["scale"] * jnp.clip(normal(keys[0]), -2, 2)
    rotation = options["rotation"] * jnp.clip(normal(keys[1]), -2, 2)
    rotation = jnp.where(chance(keys[2]) < options["rotation_probability"], rotation, 0)
    flipped = chance(keys[3]) < options["flip_probability"]
    scale = batch["scale"] * jnp.exp2(exponent)
    crop = affine.crop_matrix(batch["center"], scale, size, rotation)
    mirrored = affine.compose(affine.flip_matrix(size[1]).astype(dtype), crop)
    return jnp.where(flipped[:, None, None], mirrored, crop), flipped


def augment(
    key: jax.Array,
    batch: Batch,
    *,
    options: Mapping[str, float],
    size: tuple[int, int],
    mean: tuple[float, ...],
    flip_order: np.ndarray,
) -> dict[str, jax.Array]:
    """Random crop, flip and colour of every person of a batch (`example` with a batch axis).

    Returns:
      image float [B, h, w, 3] in 0..1 minus `mean`; points [B, K, 2] in network input px;
      annotated bool [B, K]; joint_mask and mask as in the batch.
    """
    crop_key, color_key = jax.random.split(key)
    crop, flipped = random_crop(crop_key, batch, options, size)
    image = images.color_jitter(color_key, crop_images(batch, crop, size), options["color"])
    points = affine.transform_points(crop, batch["keypoints"][..., :2])
    annotated = batch["keypoints"][..., 2] > 0
    swap = flipped[:, None]
    return {
        "image": image - jnp.asarray(mean, image.dtype),
        "points": jnp.where(swap[..., None], points[:, flip_order], points),
        "annotated": jnp.where(swap, annotated[:, flip_order], annotated),
        "joint_mask": jnp.where(swap, batch["joint_mask"][:, flip_order], batch["joint_mask"]),
        "mask": batch["mask"],
    }


def loss(
    outputs: jax.Array,
    batch: Batch,
    *,
    sigma: float,
    zero_map_for_missing: bool,
    first_pixel: float | None = None,
) -> tuple[jax.Array, dict[str, jax.Array]]:
    """Masked mean squared error of the heat maps, summed over stacks.

    Every annotated joint weighs 1, visible or not, also where augmentation moved it out of the
    crop (its map is then zero). Unannotated joints weigh 0, or get a zero map with weight 1 under
    `zero_map_for_missing` (pose-hg-train trains so); joints that the data set lacks always weigh 0.

    Args:
      outputs: heat maps [stacks, B, h, w, K].
      batch: result of `augment`.
      first_pixel: see `heatmaps.heatmap_to_input`.

    Returns:
      scalar loss and its parts by stack.
    """
    points = heatmaps.input_to_heatmap(batch["points"], STRIDE, first_pixel)
    annotated = batch["annotated"] & (batch["joint_mask"] > 0)
    size = (outputs.shape[2], outputs.shape[3])
    targets = heatmaps.render_heatmaps(points, annotated, size, sigma=sigma, rounding="nearest")
    weights = batch["joint_mask"] if zero_map_for_missing else annotated.astype(targets.dtype)
    weights = weights * batch["mask"][:, None]
    stacks = masked_mse(outputs, targets, weights)
    return stacks.sum(), {f"heatmap_mse_stack{i}": stacks[i] for i in range(outputs.shape[0])}


def masked_mse(outputs: jax.Array, targets: jax.Array, weights: jax.Array) -> jax.Array:
    """Mean over the weighted heat maps of each map's mean squared error: [stacks].

    Args:
      outputs: [stacks, B, h, w, K]; targets: [B, h, w, K]; weights: [B, K].
    """
    per_map = jnp.square(outputs - targets).mean((2, 3))
    return (per_map * weights).sum((1, 2)) / jnp.maximum(weights.sum(), 1)
