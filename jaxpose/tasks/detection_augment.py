"""What the detector's network sees: SSD's augmentation for training, a plain stretch for testing.

After Caffe's `annotated_data_layer.cpp`, `sampler.cpp` and `im_transforms.cpp` (branch ssd of
weiliu89/caffe): distort, zoom out, crop, mirror, stretch to S x S, subtract the mean. Geometry is
drawn first and folded into one matrix and one warp; colours change after it, on the photograph
only. All is one pure function of the key on batches of fixed shape. Caffe also draws the
interpolation; here it is bilinear, from a pyramid where it reduces.

Frames: "photograph" is the photograph in fractions of itself, 0..1. A window [B, 4] is the part of
that frame which the network sees: beyond 0..1 where it zooms out, x1 > x2 where it is mirrored.
"""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxpose.ops import affine, images, photometric
from jaxpose.ops.crop_sampling import WHOLE, draw_crop
from jaxpose.tasks.task import Batch

# Sides that an object keeps at least, in fractions of the network input (0.03 px of 300 px; Caffe
# keeps all above 0): regression targets, the logarithm of the side, stay moderate.
_MIN_SIDE = 1e-4
# Where the warp's taps hold less photograph than this, colours divided by it would be rounding
# noise: at the outermost border pixel at most, which is filled instead.
_MIN_COVERAGE = 1 / 64


class Truth(NamedTuple):
    """Ground truth in fractions of the photograph, clipped to it.

    Attributes:
      boxes: [B, G, 4] xyxy.
      labels: int32 [B, G], 1.. for objects to train on, else 0.
      ignore: [B, I + G, 4] xyxy regions that give no negatives; zeros for none.
    """

    boxes: jax.Array
    labels: jax.Array
    ignore: jax.Array


def augment(
    key: jax.Array,
    batch: Batch,
    *,
    options: Mapping[str, Any],
    size: int,
    mean: tuple[float, ...],
    channels: str,
) -> dict[str, jax.Array]:
    """Random colours, zoom-out, crop and mirroring of every image of a detection batch.

    An object is kept if the centre of its box (clipped to the photograph) lies in the window; the
    box is clipped. Boxes that are not finite, have no positive width and height, or keep less than
    1e-4 of the network input are dropped. Rows with mask 0 have no objects.

    Args:
      key: one PRNG key.
      batch: image, matrix, valid, boxes, labels, difficult, crowd, ignore, mask; the canvas is
        black outside `valid`.
      options: distort_probability, brightness, contrast, saturation, hue (see
        `photometric.distort`), zoom_out_probability, zoom_out (largest ratio, static),
        crop_probability, min_ious, crop_scale, crop_aspect, crop_trials (see `draw_crop`),
        flip_probability, and use_difficult: whether objects marked difficult are trained on (Caffe
        does for VOC); else their boxes are ignored, neither objects nor negatives.
      size: side S of the network input, px.
      mean: RGB, 0..255; subtracted, and the fill outside the photograph.
      channels: 'rgb' or 'bgr', order of the channels of the result.

    Returns:
      image float [B, S, S, 3], 0..255 minus mean; boxes [B, G, 4] xyxy in fractions of the input,
      zeros where there is none; labels int32 [B, G], 0 where there is none; ignore [B, I + G, 4]
      likewise but not clipped, the batch's ignore regions, then crowds (and ignored difficult
      objects); mask [B].
    """
    window_key, color_key = jax.random.split(key)
    truth = photograph_truth(batch, bool(options["use_difficult"]))
    window = draw_window(window_key, truth, options)
    colors, coverage = show(batch, window, size, float(options["zoom_out"]))
    colors = photometric.distort(
        color_key,
        colors,
        probability=options["distort_probability"],
        brightness=options["brightness"],
        contrast=options["contrast"],
        saturation=options["saturation"],
        hue=options["hue"],
    )
    seen = window_truth(truth, window)
    image = _network_input(colors, coverage, mean, channels)
    return {"image": image, **seen._asdict(), "mask": batch["mask"]}


def prepare(
    batch: Batch, size: int, mean: tuple[float, ...], channels: str, antialias: bool = True
) -> tuple[jax.Array, jax.Array]:
    """The whole photographs stretched to S x S, for evaluation and prediction.

    Args:
      batch: image [B, H, W, 3] and valid [B, 4], as for `augment`; so are the arguments below it.
      antialias: reduce by more than 2 from a pyramid; else sample bilinearly whatever the
        reduction, as torchvision and ssd.pytorch do.

    Returns:
      image float [B, S, S, 3], and the matrix [B, 2, 3] network input px -> canvas px.
    """
    valid = batch["valid"]
    window = jnp.tile(jnp.asarray(WHOLE, valid.dtype), (valid.shape[0], 1))
    colors, coverage = show(batch, window, size, 1.0, antialias)
    matrix = affine.stretch_matrix(_on_canvas(valid, window), (size, size))
    return _network_input(colors, coverage, mean, channels), matrix


def boxes_to_source(boxes_xyxy: jax.Array, size: jax.Array) -> jax.Array:
    """Boxes [B, N, 4] in fractions of the photograph as source px; size [B, 2] (width, height)."""
    return boxes_xyxy * jnp.tile(size, (1, 2))[:, None]


def photograph_truth(batch: Batch, use_difficult: bool) -> Truth:
    """Sort a batch's boxes (source px) into objects to train on and regions to ignore."""
    boxes = _in_photograph(batch["boxes"], batch)
    named = (batch["labels"] > 0) & _has_area(boxes) & (batch["mask"][:, None] > 0)
    apart = jnp.asarray(batch["crowd"])
    if not use_difficult:
        apart = apart | batch["difficult"]
    ignored = jnp.where((named & apart)[..., None], boxes, 0)
    regions = jnp.concatenate([_in_photograph(batch["ignore"], batch), ignored], 1)
    return Truth(boxes, jnp.where(named & ~apart, batch["labels"], 0), regions)


def draw_window(key: jax.Array, truth: Truth, options: Mapping[str, Any]) -> jax.Array:
    """Draw what the network sees of each photograph: a window [B, 4], mirrored where x1 > x2.

    Zoom-out: the photograph lies somewhere on a canvas of U(1, zoom_out) times its sides. The crop
    is drawn from that canvas, or from the photograph where it does not zoom out.
    """
    lot_key, crop_key = jax.random.split(key)
    count, dtype = len(truth.boxes), truth.boxes.dtype
    lots = jax.random.uniform(lot_key, (5, count, 1), dtype)
    zooms = lots[0] < options["zoom_out_probability"]
    ratio = jnp.where(zooms, 1 + (options["zoom_out"] - 1) * lots[1], 1)
    corner = (1 - ratio) * jnp.concatenate([lots[2], lots[3]], -1)
    on_canvas = (truth.boxes - jnp.tile(corner, 2)[:, None]) / ratio[..., None]
    crop = draw_crop(crop_key, on_canvas, truth.labels > 0, options)
    window = jnp.tile(corner, 2) + ratio * crop
    both = jnp.stack([window, window[:, jnp.array([2, 1, 0, 3])]], 1)
    flips = (lots[4] < options["flip_probability"])[..., None]
    # A gather, where `where` would do: XLA's CPU code does not fuse what comes before it into the
    # loops over pixels, which would draw each window again for every pixel (3 times slower).
    return jnp.take_along_axis(both, flips.astype(jnp.int32), 1, mode="promise_in_bounds")[:, 0]


def show(
    batch: Batch, window: jax.Array, size: int, zoom_out: float, antialias: bool = True
) -> tuple[jax.Array, jax.Array]:
    """Sample the windows from the canvases.

    Args:
      batch: image [B, H, W, 3] and valid [B, 4].
      window: [B, 4] fractions of the photograph.
      size: side S of the result.
      zoom_out: bound of the window's sides; decides how deep a pyramid antialiasing takes.
      antialias: see `prepare`.

    Returns:
      colours float [B, S, S, 3] in 0..255 of the photograph alone (no blend with the black around
      it), and the share [B, S, S, 1] of each pixel's area that is photograph.
    """
    canvas, out = batch["image"].shape[1:3], (size, size)
    widest = (math.ceil(canvas[0] * zoom_out), math.ceil(canvas[1] * zoom_out))
    level = images.default_max_level(widest, out) if antialias else 0
    matrix = affine.stretch_matrix(_on_canvas(batch["valid"], window), out)
    taps = images.tap_coverage(batch["valid"], matrix, canvas, out, level)[..., None]
    colors = images.warp(batch["image"], matrix, out, max_level=level)
    colors = jnp.clip(colors / jnp.maximum(taps, _MIN_COVERAGE), 0, 255)
    across, down = _shares(window[:, ::2], size), _shares(window[:, 1::2], size)
    area = (down[:, :, None] * across[:, None])[..., None]
    return colors, jnp.where(taps < _MIN_COVERAGE, 0, area)


def window_truth(truth: Truth, window: jax.Array) -> Truth:
    """Ground truth in fractions of the window; dropped rows are zeros.

    Boxes are clipped to the window. Regions are not: default boxes reach beyond the window, and
    those at its border count as covered by a region that goes on beyond it.
    """
    boxes = _in_window(truth.boxes, window)
    center = (boxes[..., :2] + boxes[..., 2:]) / 2
    clipped = jnp.clip(boxes, 0, 1)
    kept = (truth.labels > 0) & ((center >= 0) & (center <= 1)).all(-1)
    kept &= ((clipped[..., 2:] - clipped[..., :2]) >= _MIN_SIDE).all(-1)
    ignore = _in_window(truth.ignore, window)
    seen = _has_area(jnp.clip(ignore, 0, 1))
    return Truth(
        jnp.where(kept[..., None], clipped, 0),
        jnp.where(kept, truth.labels, 0),
        jnp.where(seen[..., None], ignore, 0),
    )


def _network_input(
    colors: jax.Array, coverage: jax.Array, mean: tuple[float, ...], channels: str
) -> jax.Array:
    """Fill with the mean and subtract it: outside the photograph the network sees zeros."""
    image = coverage * (colors - jnp.asarray(mean, colors.dtype))
    return image[..., ::-1] if channels == "bgr" else image


def _in_photograph(boxes_xyxy: jax.Array, batch: Batch) -> jax.Array:
    """Boxes [B, N, 4] in source px as fractions of the photograph; unusable ones as zeros."""
    boxes = jnp.asarray(boxes_xyxy)
    usable = jnp.isfinite(boxes).all(-1) & _has_area(boxes)
    boxes = jnp.where(usable[..., None], boxes, 0)
    valid = batch["valid"]
    extent = jnp.maximum(valid[:, 2:] - valid[:, :2], 1)  # a padding row may have none
    canvas = affine.transform_boxes(batch["matrix"], boxes)
    fraction = (canvas - jnp.tile(valid[:, :2], 2)[:, None]) / jnp.tile(extent, 2)[:, None]
    return jnp.where(usable[..., None], jnp.clip(fraction, 0, 1), 0)


def _in_window(boxes_xyxy: jax.Array, window: jax.Array) -> jax.Array:
    """Boxes [B, N, 4] of the photograph in fractions of windows [B, 4], mirrored with them."""
    start, extent = window[:, None, :2], (window[:, 2:] - window[:, :2])[:, None]
    first, second = (boxes_xyxy[..., :2] - start) / extent, (boxes_xyxy[..., 2:] - start) / extent
    return jnp.concatenate([jnp.minimum(first, second), jnp.maximum(first, second)], -1)


def _on_canvas(valid: jax.Array, window: jax.Array) -> jax.Array:
    """Windows [B, 4] of the photograph as canvas px, edge coordinates."""
    return jnp.tile(valid[:, :2], 2) + window * jnp.tile(valid[:, 2:] - valid[:, :2], 2)


def _shares(span: jax.Array, size: int) -> jax.Array:
    """How much [B, size] of each pixel of windows [B, 2] along one axis lies in 0..1."""
    start, stop = span[:, :1], span[:, 1:]
    edges = start + (stop - start) * jnp.arange(size + 1) / size
    inside = jnp.clip(edges, 0, 1)
    return jnp.clip(jnp.diff(inside) / ((stop - start) / size), 0, 1)


def _has_area(boxes_xyxy: jax.Array) -> jax.Array:
    return (boxes_xyxy[..., 2:] > boxes_xyxy[..., :2]).all(-1)
