"""What a bottom-up network sees and says of whole frames: input, maps and fields, candidates.

A view is a part of the frame as the network sees it; `to_source` matrices map its px to those of
the frame. Its maps are 8 times smaller, centre on centre (`heatmaps.heatmap_to_input`).
"""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from jaxpose.config import skeleton_of
from jaxpose.errors import UsageError
from jaxpose.limbs import LimbSet, limbs_of
from jaxpose.models.openpose import STRIDE, OpenPose
from jaxpose.models.pretrained_openpose import PIXEL_SCALE
from jaxpose.ops import affine, heatmaps, images, part_maps
from jaxpose.ops.grouping import Candidates, Scale, find_candidates, flip_fields
from jaxpose.tasks.task import Batch

Size = tuple[int, int]
# Fields of `config.grouping` that the host needs, when it assembles people.
ASSEMBLY = ("min_parts", "min_mean_score")


def limb_set(config: ConfigDict) -> LimbSet:
    """The limbs of `config.part_limbs`, else those of the joint set.

    Raises:
      UsageError: none, a joint that the set lacks, or places that are not 0, 1, ..., L - 1.
    """
    skeleton = skeleton_of(config)
    limbs = limbs_of(skeleton)
    if config.part_limbs.pairs:
        pairs = tuple((a, b) for a, b in config.part_limbs.pairs)
        limbs = LimbSet(skeleton.joints, pairs, tuple(config.part_limbs.places))
    strangers = {joint for pair in limbs.pairs for joint in pair} - set(skeleton.joints)
    if strangers or not limbs.size:
        named = ", ".join(sorted(strangers)) or "no limb"
        known = ", ".join(skeleton.joints)
        raise UsageError(f"config.part_limbs.pairs names {named}; give pairs of {known}")
    if limbs.places and sorted(limbs.places) != list(range(limbs.size)):
        raise UsageError(f"config.part_limbs.places is {limbs.places}; number {limbs.size} fields")
    return limbs


def network_options(config: ConfigDict) -> dict[str, Any]:
    """The keyword arguments of `predict` that a config decides.

    Raises:
      UsageError: see `limb_set`; or a flip test of a limb whose mirror image is none of them.
    """
    skeleton, limbs = skeleton_of(config), limb_set(config)
    sizes = {name: config.model[name] for name in ("stages", "width", "batch_norm", "remat")}
    view: Size = (int(config.eval.input_size[0]), int(config.eval.input_size[1]))
    return {
        "model": OpenPose(skeleton.size, limbs.size, dtype=jnp.dtype(config.model.dtype), **sizes),
        "view": view,
        "mean": tuple(config.mean),
        "channels": config.channels,
        "limbs": limbs,
        "grouping": {n: v for n, v in config.grouping.items() if n not in ASSEMBLY},
        "flip": _flip(skeleton.flip_order, limbs) if config.eval.flip_test else None,
    }


def _flip(order: np.ndarray, limbs: LimbSet) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    try:
        return (order, *limbs.flip(order))
    except ValueError as error:
        raise UsageError(f"no flip test (--noflip_test) is possible: {error}") from None


def network_input(
    batch: Batch,
    to_source: jax.Array,
    size: Size,
    mean: tuple[float, ...],
    channels: str,
    max_level: int | None = None,
) -> jax.Array:
    """Sample views of frames.

    Args:
      batch: image uint8 [B, H, W, 3], matrix [B, 2, 3] (source px -> canvas px) and valid [B, 4],
        the canvas px that hold photograph.
      to_source: [B, 2, 3], px of the view -> source px.
      size: (h, w) of the views.
      mean: red green blue, 0..255; the views are grey with it outside the photograph.
      channels: 'rgb' or 'bgr', order of the channels of the result.
      max_level: see `images.warp`.

    Returns:
      float [B, h, w, 3]: (0..255 - mean) / 256.
    """
    to_canvas = affine.compose(batch["matrix"], to_source)
    colors = images.warp(batch["image"], to_canvas, size, max_level=max_level)
    pixels = affine.transform_points(to_canvas, part_maps.pixel_grid(size, to_canvas.dtype))
    valid = jnp.asarray(batch["valid"])[:, None]
    # Only px whose taps are all photograph: what lies beyond it on the canvas is black.
    inside = (pixels >= valid[..., :2]) & (pixels <= valid[..., 2:] - 1)
    inside = inside.all(-1).reshape(-1, *size, 1)
    image = jnp.where(inside, colors - jnp.asarray(mean, colors.dtype), 0) / PIXEL_SCALE
    return image[..., ::-1] if channels == "bgr" else image


def frame_view(sizes: jax.Array, view: Size) -> jax.Array:
    """Whole frames in the upper left corner of a view (h, w), as large as they fit.

    Args:
      sizes: [B, 2] width and height of the frames, px.

    Returns:
      to_source [B, 2, 3].
    """
    sizes = jnp.asarray(sizes)
    across = jnp.array([view[1], view[0]], sizes.dtype)
    reach = across * (sizes / across).max(-1, keepdims=True)
    return affine.stretch_matrix(jnp.concatenate([jnp.zeros_like(reach), reach], -1), view)


def predict_maps(
    variables: Mapping[str, Any],
    inputs: jax.Array,
    *,
    model: OpenPose,
    flip: tuple[np.ndarray, np.ndarray, np.ndarray] | None,
) -> tuple[jax.Array, jax.Array]:
    """Fields [B, h/8, w/8, 2L] and maps [B, h/8, w/8, K+1] of the last stage.

    Args:
      inputs: float [B, h, w, 3] of `network_input`.
      flip: `Skeleton.flip_order` and both of `LimbSet.flip`, for the mean over both mirrorings;
        None without mirroring.
    """
    if flip is None:
        fields, maps = _last_stage(model, variables, inputs)
        return fields, maps
    # One doubled batch: twice the work in one launch, instead of two half-empty ones.
    both = _last_stage(model, variables, jnp.concatenate([inputs, inputs[:, :, ::-1]]))
    (fields, mirrored_fields), (maps, mirrored_maps) = (jnp.split(one, 2) for one in both)
    joints, limbs, direction = flip
    channels = np.append(joints, len(joints))  # background stays where it is
    mirrored_maps = heatmaps.flip_heatmaps(mirrored_maps, channels)
    mirrored_fields = flip_fields(mirrored_fields, limbs, direction)
    return (fields + mirrored_fields) / 2, (maps + mirrored_maps) / 2


def _last_stage(
    model: OpenPose, variables: Mapping[str, Any], inputs: jax.Array
) -> tuple[jax.Array, jax.Array]:
    outputs: tuple[jax.Array, jax.Array] = model.apply(variables, inputs)  # type: ignore[assignment]
    return outputs[0][-1], outputs[1][-1]


def map_to_source(to_source: jax.Array) -> jax.Array:
    """Matrices [B, 2, 3] from px of the maps to source px, of those from px of the view."""
    offset = heatmaps.heatmap_to_input(jnp.zeros(2, to_source.dtype), STRIDE)
    stride = jnp.full(2, STRIDE, to_source.dtype)
    to_view = affine.compose(affine.translation(offset), affine.scaling(stride))
    return affine.compose(to_source, to_view)


def predict(
    variables: Mapping[str, Any],
    batch: Batch,
    *,
    view: Size,
    mean: tuple[float, ...],
    channels: str,
    limbs: LimbSet,
    grouping: Mapping[str, Any],
    **network: Any,
) -> dict[str, jax.Array]:
    """Candidates for people in every frame of a batch, and what they are from.

    Args:
      batch: image, matrix and valid of `network_input`, size [B, 2] (width, height) in source px.
      view: (h, w) of the network input.
      limbs, grouping: see `candidates`.
      network: model and flip of `predict_maps`.

    Returns:
      points [B, K, P, 2] source px, scores [B, K, P] and limb_scores [B, L, P, P], see
      `grouping.Candidates`; maps [B, h/8, w/8, K+1], fields [B, h/8, w/8, 2L], and to_source
      [B, 2, 3] from px of the maps to source px.
    """
    to_source = frame_view(batch["size"], view)
    inputs = network_input(batch, to_source, view, mean, channels)
    fields, maps = predict_maps(variables, inputs, **network)
    shown = batch["size"] / to_source[:, 0, :1]
    found = candidates(fields, maps, shown, view, limbs, grouping)
    points = affine.transform_points(to_source[:, None], found.points)
    raw = {"maps": maps, "fields": fields, "to_source": map_to_source(to_source)}
    return {**found._asdict(), "points": points, **raw}


def candidates(
    fields: jax.Array,
    maps: jax.Array,
    sizes: jax.Array,
    view: Size,
    limbs: LimbSet,
    grouping: Mapping[str, Any],
) -> Candidates:
    """Peaks and limbs, in px of the view.

    Args:
      fields, maps: of `predict_maps`.
      sizes: [B, 2] width and height of the frames, in px of the view.
      limbs: which fields hold which limbs; the candidates' limbs are in its order of assembly.
      grouping: thresholds and numbers of `find_candidates`.
    """
    in_order = fields[..., limbs.channels.ravel()]
    return find_candidates(
        [Scale(maps[..., :-1], in_order)], limbs.indices, view, sizes, stride=STRIDE, **grouping
    )


def predict_images(
    variables: Mapping[str, Any], images_uint8: jax.Array, **options: Any
) -> dict[str, jax.Array]:
    """The same of whole images [B, H, W, 3] uint8 RGB, in their px; see `predict`."""
    count, height, width = images_uint8.shape[:3]
    size = jnp.tile(jnp.array([float(width), float(height)]), (count, 1))
    batch = {
        "image": images_uint8,
        "matrix": jnp.tile(jnp.eye(2, 3), (count, 1, 1)),
        "valid": jnp.concatenate([jnp.zeros_like(size), size], -1),
        "size": size,
    }
    return predict(variables, batch, **options)
