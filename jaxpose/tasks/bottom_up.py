"""Bottom-up pose estimation of all people of a frame: confidence maps and affinity fields.

After Cao et al. 2017 and CMU's caffe_train. Everything here runs on the device inside jitted
functions, on batches of fixed shape (see `example`).
"""

from collections.abc import Mapping
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from jaxpose.config import skeleton_of
from jaxpose.evaluation.bottom_up import BottomUpEvaluator
from jaxpose.skeletons import Skeleton
from jaxpose.tasks.bottom_up_augment import augment
from jaxpose.tasks.bottom_up_pictures import input_sheet, prediction_sheet
from jaxpose.tasks.bottom_up_prediction import (
    ASSEMBLY,
    limb_set,
    network_options,
    predict,
    predict_images,
)
from jaxpose.tasks.bottom_up_start import starting_values
from jaxpose.tasks.bottom_up_targets import targets
from jaxpose.tasks.task import Batch, Task


def bottom_up_task(config: ConfigDict) -> Task:
    """The bottom-up task of a config (see `jaxpose.defaults.bottom_up_config` for its fields)."""
    skeleton, limbs = skeleton_of(config), limb_set(config)
    place, test_time = skeleton.joints.index, network_options(config)
    size = (int(config.input_size[0]), int(config.input_size[1]))
    shown: dict[str, Any] = {name: test_time[name] for name in ("mean", "channels")}
    drawn: dict[str, Any] = {"skeleton": skeleton, "limbs": limbs}
    return Task(
        name="bottom_up",
        outputs=f"{skeleton.size} parts, {limbs.size} limbs",
        model=test_time["model"],
        input_shape=(*size, 3),
        example=example(
            skeleton, config.canvas or 2 * max(size), config.max_boxes or 1, config.max_ignored
        ),
        initial_value=starting_values(config, test_time["model"]),
        augment=partial(
            augment,
            options=config.augment.to_dict(),
            size=size,
            flip_order=skeleton.flip_order,
            midpoints=tuple((place(a), place(b), place(c)) for a, b, c in config.midpoints),
            **shown,
        ),
        loss=partial(loss, limbs=limbs.by_field, options=config.targets.to_dict()),
        predict=partial(predict, **test_time),
        predict_images=partial(predict_images, **test_time),
        evaluator=partial(
            BottomUpEvaluator, skeleton, limbs, **{n: config.grouping[n] for n in ASSEMBLY}
        ),
        picture=partial(prediction_sheet, **drawn),
        picture_inputs=partial(input_sheet, **drawn, **shown, options=config.targets.to_dict()),
    )


def example(
    skeleton: Skeleton, canvas: int, people: int, ignored: int
) -> dict[str, jax.ShapeDtypeStruct]:
    """Device inputs of one frame: name -> shape and dtype, without the batch axis."""
    shapes = {
        "image": ((canvas, canvas, 3), np.uint8),
        "matrix": ((2, 3), np.float32),
        "valid": ((4,), np.float32),
        "size": ((2,), np.float32),
        "keypoints": ((people, skeleton.size, 3), np.float32),
        "joint_mask": ((skeleton.size,), np.float32),
        "boxes": ((people, 4), np.float32),
        "labels": ((people,), np.int32),
        "crowd": ((people,), np.bool_),
        "ignore": ((ignored, 4), np.float32),
        "mask": ((), np.float32),
    }
    return {name: jax.ShapeDtypeStruct(shape, dtype) for name, (shape, dtype) in shapes.items()}


def loss(
    outputs: tuple[jax.Array, jax.Array],
    batch: Batch,
    *,
    limbs: np.ndarray,
    options: Mapping[str, Any],
) -> tuple[jax.Array, dict[str, jax.Array]]:
    """Masked squared error of fields and maps, summed over stages (Caffe's EuclideanLoss).

    Half the sum over px and channels, a mean over the real frames of the batch; see `targets`.

    Args:
      outputs: fields [S, B, h, w, 2L] and maps [S, B, h, w, K+1] of the network.
      batch: result of `augment`.
      limbs: int [L, 2], `LimbSet.by_field`.
      options: see `targets`.

    Returns:
      scalar loss and its parts by branch and stage.
    """
    size = (outputs[1].shape[2], outputs[1].shape[3])
    truth = targets(batch, limbs, size, options)
    rows = jnp.maximum(batch["mask"].sum(), 1)
    parts: dict[str, jax.Array] = {}
    for name, found in zip(("fields", "maps"), outputs, strict=True):
        wanted, weight = truth[name], truth[f"{name}_weight"] * batch["mask"][:, None, None, None]
        each = (weight * jnp.square(found - wanted)).sum((1, 2, 3, 4)) / (2 * rows)
        parts |= {f"{name}_l2_stage{i}": each[i - 1] for i in range(1, len(each) + 1)}
    return jnp.stack(list(parts.values())).sum(), parts
