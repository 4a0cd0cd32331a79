"""Default boxes (anchors, priors) of SSD300 and SSD512, and of a miniature with a 64 px input.

The miniature is nobody's published network: it has the sizes of Caffe's recipe on four source maps
and serves where a detector must be whole but may be bad, as in tests and first trials.

Sources: examples/ssd/ssd_pascal.py, ssd_coco.py and prior_box_layer.cpp of weiliu89/caffe (branch
ssd); amdegroot/ssd.pytorch; lufficc/SSD; torchvision's DefaultBoxGenerator.
"""

import functools
import math
from typing import Literal, get_args

import numpy as np

Scales = Literal["voc", "coco"]
Clip = Literal["none", "cxcywh", "wh"]

# Side of each source map, from fine to coarse, by side of the square network input in px.
FEATURE_SIZES = {
    64: (8, 4, 2, 1),
    300: (38, 19, 10, 5, 3, 1),
    512: (64, 32, 16, 8, 4, 2, 1),
}
# Default boxes per cell of each source map: two squares, and two boxes per aspect ratio.
BOXES_PER_CELL = {
    64: (4, 6, 6, 4),
    300: (4, 6, 6, 6, 4, 4),
    512: (4, 6, 6, 6, 6, 4, 4),
}
# Distance of the cells of each source map, input px.
_STEPS = {
    64: (8, 16, 32, 64),
    300: (8, 16, 32, 64, 100, 300),
    512: (8, 16, 32, 64, 128, 256, 512),
}
# Side of the small square of each source map in per cent of the input; the last entry only gives
# the large square of the last map. First entry set by hand, then equal steps up to 90 %, and one
# more (the `min_ratio`, `max_ratio` of the Caffe scripts).
_PERCENT: dict[tuple[int, Scales], tuple[int, ...]] = {
    (64, "voc"): (10, 20, 55, 90, 125),
    (64, "coco"): (7, 15, 52, 89, 126),
    (300, "voc"): (10, 20, 37, 54, 71, 88, 105),
    (300, "coco"): (7, 15, 33, 51, 69, 87, 105),
    (512, "voc"): (7, 15, 30, 45, 60, 75, 90, 105),
    (512, "coco"): (4, 10, 26, 42, 58, 74, 90, 106),
}
# lufficc's VOC512 file says 537.65 where the recipe gives 537.6; weights were trained with it.
_LUFFICC_VOC512_LAST = 537.65


def levels(image_size: int) -> tuple[tuple[int, int], ...]:
    """Source maps from fine to coarse: pairs (side of the map, default boxes per cell).

    Raises:
      ValueError: `image_size` is not 64, 300 or 512. The strides, the extra layers without padding
        and the scales belong to these networks; another size would need its own of each.
    """
    if image_size not in FEATURE_SIZES:
        raise ValueError(f"image_size {image_size!r} is not one of SSD's: use 300 or 512 (or 64)")
    return tuple(zip(FEATURE_SIZES[image_size], BOXES_PER_CELL[image_size], strict=True))


def default_boxes(
    image_size: int,
    scales: Scales = "voc",
    truncate_sizes: bool = False,
    clip: Clip = "none",
) -> np.ndarray:
    """Default boxes in Caffe's order: source map, row, column, box within the cell.

    Within a cell: the small square, the square of the geometric mean side, then per aspect ratio
    (2; and 3 where there are six boxes) the wide and the tall box.

    Args:
      image_size: 300 or 512 (or 64), side of the network input in px.
      scales: 'voc' or 'coco', whose box sizes.
      truncate_sizes: True cuts the squares' sides to whole px as prior_box_layer.cpp does (nothing
        changes at 300, up to 0.83 px at 512); False keeps the fractions as lufficc/SSD and
        ssd.pytorch do, with lufficc's 537.65 px for the last side of VOC512 (recipe: 537.6).
      clip: 'none' as the final Caffe scripts; 'cxcywh' clamps centre and size to 0..1 as
        ssd.pytorch and lufficc do; 'wh' clamps only the size, as torchvision does.

    Returns:
      float32 [P, 4] cxcywh, fractions of the input; P = 8732 (300), 24564 (512) or 380 (64).
      Cached, hence read-only.

    Raises:
      ValueError: an argument is not one of its allowed values.
    """
    levels(image_size)
    for name, value, allowed in (("scales", scales, Scales), ("clip", clip, Clip)):
        if value not in get_args(allowed):
            raise ValueError(f"{name} {value!r} is not one of {', '.join(get_args(allowed))}")
    return _default_boxes(int(image_size), scales, bool(truncate_sizes), clip)


@functools.cache
def _default_boxes(image_size: int, scales: Scales, truncate_sizes: bool, clip: Clip) -> np.ndarray:
    sides = _sides(image_size, scales, truncate_sizes)
    maps = []
    for level, (size, per_cell) in enumerate(levels(image_size)):
        centers = (np.arange(size) + 0.5) * _STEPS[image_size][level]
        shapes = _cell_shapes(sides[level], sides[level + 1], per_cell)
        maps.append(_grid(centers, shapes))
    boxes = np.concatenate(maps) / image_size
    first_clipped = {"cxcywh": 0, "wh": 2, "none": 4}[clip]
    boxes[:, first_clipped:] = boxes[:, first_clipped:].clip(0, 1)
    boxes = boxes.astype(np.float32)
    boxes.setflags(write=False)  # callers share the cached array
    return boxes


def _sides(image_size: int, scales: Scales, truncate_sizes: bool) -> list[float]:
    """Sides of the small squares in px, one more than there are maps."""
    percent = _PERCENT[image_size, scales]
    if truncate_sizes:
        return [image_size * p // 100 for p in percent]
    sides = [image_size * p / 100 for p in percent]
    if (image_size, scales) == (512, "voc"):
        sides[-1] = _LUFFICC_VOC512_LAST
    return sides


def _cell_shapes(side: float, next_side: float, per_cell: int) -> np.ndarray:
    """Widths and heights [per_cell, 2] in px of the boxes of one cell."""
    mean = math.sqrt(side * next_side)
    shapes = [(side, side), (mean, mean)]
    for ratio in (2, 3)[: per_cell // 2 - 1]:
        long, short = side * math.sqrt(ratio), side / math.sqrt(ratio)
        shapes += [(long, short), (short, long)]
    return np.array(shapes)


def _grid(centers: np.ndarray, shapes: np.ndarray) -> np.ndarray:
    """Boxes [rows * columns * per cell, 4] cxcywh of one map, `centers` along either axis."""
    boxes = np.empty((len(centers), len(centers), len(shapes), 4))
    boxes[..., 0] = centers[None, :, None]
    boxes[..., 1] = centers[:, None, None]
    boxes[..., 2:] = shapes
    return boxes.reshape(-1, 4)
