"""What a bottom-up network is to say of a training view, and how much each value weighs."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxpose.models.openpose import STRIDE
from jaxpose.ops import heatmaps, part_maps
from jaxpose.tasks.task import Batch


def targets(
    batch: Batch, limbs: np.ndarray, size: tuple[int, int], options: Mapping[str, Any]
) -> dict[str, jax.Array]:
    """The maps and fields of a batch, and their weights.

    Px that nobody knows weigh 0, but for those where somebody known is drawn: boxes of crowds cover
    people that are annotated. Parts that the data set lacks weigh 0, and their limbs; the
    background too, where any part is lacking.

    Args:
      batch: result of `bottom_up_augment.augment`.
      limbs: int [L, 2], `LimbSet.by_field`.
      size: (h, w) of the maps.
      options: sigma and limb_width in px of the network input, and merge of `confidence_maps`.

    Returns:
      fields [B, h, w, 2L], maps [B, h, w, K+1]; fields_weight and maps_weight of their shapes.
    """
    points = heatmaps.input_to_heatmap(batch["points"], STRIDE)
    known = batch["joint_mask"] > 0
    there = batch["annotated"] & known[:, None]
    maps = part_maps.confidence_maps(
        points, there, size, options["sigma"] / STRIDE, options["merge"]
    )
    width = options["limb_width"] / STRIDE
    fields, count = part_maps.affinity_fields(points, there, limbs, size, width)
    trained = batch["trained"][..., None]
    drawn = jnp.concatenate([maps, maps.max(-1, keepdims=True)], -1) > 0
    of_parts = jnp.append(known, known.all(-1, keepdims=True), -1)[:, None, None]
    of_limbs = known[:, limbs].all(-1)[:, None, None]
    return {
        "fields": fields,
        "maps": part_maps.with_background(maps),
        "fields_weight": jnp.repeat(jnp.maximum(trained, count > 0) * of_limbs, 2, -1),
        "maps_weight": jnp.maximum(trained, drawn) * of_parts,
    }
