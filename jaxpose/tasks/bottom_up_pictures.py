"""Sheets of frames with confidence maps and affinity fields over them, coloured by side."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import jax
import numpy as np

from jaxpose import drawing
from jaxpose.limbs import LimbSet
from jaxpose.models.openpose import STRIDE
from jaxpose.models.pretrained_openpose import PIXEL_SCALE
from jaxpose.skeletons import Skeleton
from jaxpose.tasks.bottom_up_targets import targets
from jaxpose.tasks.task import Batch

MOST_FRAMES = 6
COLUMNS = 4  # two tiles a frame: its parts, its limbs
READABLE = 320  # px of a tile's longer side, about
UNKNOWN: drawing.Colour = (130, 60, 150)
# Fields shorter than this are not drawn as arrows.
_SHORTEST_ARROW = 0.3
_DIMMED = 0.55  # of the frame below the maps


def prediction_sheet(
    batch: Batch,
    predictions: Mapping[str, np.ndarray],
    *,
    skeleton: Skeleton,
    limbs: LimbSet,
) -> np.ndarray:
    """A sheet uint8 RGB of at most 6 frames, twice each: predicted maps, predicted fields.

    Annotated people are drawn in thin white.

    Args:
      batch: host batch of frames; rows with mask 0 are left out.
      predictions: maps [B, h, w, K+1], fields [B, h, w, 2L], to_source [B, 2, 3].
    """
    tiles, captions = [], []
    for row in np.flatnonzero(np.asarray(batch["mask"]) > 0)[:MOST_FRAMES].tolist():
        matrix = np.asarray(batch["matrix"][row], np.float64)
        right, bottom = np.ceil(np.asarray(batch["valid"][row][2:])).astype(int)
        frame, zoom = _readable(np.asarray(batch["image"][row])[:bottom, :right])
        to_tile = _zoomed(_compose(matrix, predictions["to_source"][row]), zoom)
        maps, fields = predictions["maps"][row], predictions["fields"][row]
        people = np.asarray(batch["keypoints"][row], np.float64)
        people[..., :2] = _moved(people[..., :2], _zoomed(matrix, zoom))
        for tile in _tiles(frame, maps, fields, to_tile, skeleton, limbs):
            for person in people[np.asarray(batch["labels"][row]) > 0]:
                tile = drawing.draw_skeleton(tile, person, skeleton, None, 0, drawing.TRUTH, 1)
            tiles.append(tile)
        strongest = float(maps[..., :-1].max())
        captions += [f"{batch['id'][row]}: best part {strongest:.2f}", "limbs"]
    return drawing.sheet(tiles, COLUMNS, captions)


def input_sheet(
    inputs: Mapping[str, np.ndarray],
    *,
    skeleton: Skeleton,
    limbs: LimbSet,
    mean: Sequence[float],
    channels: str,
    options: Mapping[str, Any],
) -> np.ndarray:
    """A sheet uint8 RGB of at most 6 augmented frames, twice each, with the maps trained on.

    Px that nobody knows are purple.

    Args:
      inputs: result of `bottom_up_augment.augment` as NumPy.
      mean, channels: as given to it.
      options: see `targets`.
    """
    rows = {name: np.asarray(value)[:MOST_FRAMES] for name, value in inputs.items()}
    images = rows["image"][..., ::-1] if channels == "bgr" else rows["image"]
    pixels = np.clip(images * PIXEL_SCALE + np.asarray(mean) + 0.5, 0, 255).astype(np.uint8)
    size = rows["trained"].shape[1:]
    make = partial(targets, limbs=limbs.by_field, size=size, options=options)
    truth = jax.jit(make)({n: rows[n] for n in ("points", "annotated", "joint_mask", "trained")})
    maps, fields = np.asarray(truth["maps"]), np.asarray(truth["fields"])
    to_view = np.array([[STRIDE, 0, (STRIDE - 1) / 2], [0, STRIDE, (STRIDE - 1) / 2]])
    tiles = []
    for row, image in enumerate(pixels):
        unknown = rows["trained"][row].repeat(STRIDE, 0).repeat(STRIDE, 1) == 0
        image = np.where(unknown[..., None], np.array(UNKNOWN, np.uint8), image)
        frame, zoom = _readable(image)
        tiles += _tiles(frame, maps[row], fields[row], _zoomed(to_view, zoom), skeleton, limbs)
    return drawing.sheet(tiles, COLUMNS)


def _tiles(
    frame: np.ndarray,
    maps: np.ndarray,
    fields: np.ndarray,
    to_tile: np.ndarray,
    skeleton: Skeleton,
    limbs: LimbSet,
) -> list[np.ndarray]:
    """The frame under its parts, and under its limbs with arrows along them."""
    names = skeleton.joints
    parts = np.array([drawing.side_colour(name) for name in names])
    of_limbs = np.array([drawing.side_colour(names[a], names[b]) for a, b in limbs.by_field])
    vectors = fields.reshape(*fields.shape[:2], -1, 2)
    lengths = np.linalg.norm(vectors, axis=-1)
    with_limbs = _overlaid(frame, lengths, of_limbs, to_tile)
    return [
        _overlaid(frame, maps[..., :-1], parts, to_tile),
        _with_arrows(with_limbs, vectors, lengths, to_tile),
    ]


def _overlaid(
    frame: np.ndarray, maps: np.ndarray, colours: np.ndarray, to_tile: np.ndarray
) -> np.ndarray:
    """The frame [H, W, 3] under maps [h, w, C] of colours [C, 3]; to_tile [2, 3]: map px -> px."""
    import cv2

    maps = np.clip(np.nan_to_num(np.asarray(maps, np.float32)), 0, 1)
    strength = maps.max(-1)
    paint = (maps @ colours.astype(np.float32)) / np.maximum(maps.sum(-1, keepdims=True), 1e-6)
    layers = np.dstack([paint, strength]).astype(np.float32)
    size = (frame.shape[1], frame.shape[0])
    shown = cv2.warpAffine(layers, to_tile, size, flags=cv2.INTER_LINEAR)
    alpha = shown[..., 3:]
    return (_DIMMED * frame * (1 - alpha) + shown[..., :3] * alpha + 0.5).astype(np.uint8)


def _with_arrows(
    tile: np.ndarray, vectors: np.ndarray, lengths: np.ndarray, to_tile: np.ndarray
) -> np.ndarray:
    """Arrows half a map px long along fields [h, w, L, 2]."""
    import cv2

    tile = np.ascontiguousarray(tile)
    for y, x, limb in np.argwhere(np.nan_to_num(lengths) > _SHORTEST_ARROW).tolist():
        ends = np.array([[x, y], [x, y]]) + 0.3 * vectors[y, x, limb] * np.array([[-1], [1]])
        start, end = (drawing.fixed_point(p) for p in _moved(ends, to_tile))
        cv2.arrowedLine(
            tile, start, end, drawing.TRUTH, 1, cv2.LINE_AA, drawing.FIXED_BITS, tipLength=0.4
        )
    return tile


def _readable(image: np.ndarray) -> tuple[np.ndarray, int]:
    """An image and the whole number by which it was enlarged."""
    zoom = max(1, round(READABLE / max(image.shape[:2])))
    return image.repeat(zoom, 0).repeat(zoom, 1), zoom


def _zoomed(matrix: np.ndarray, zoom: int) -> np.ndarray:
    """`matrix` [2, 3] to px of an image, to px of that image enlarged."""
    larger = np.array([[zoom, 0, (zoom - 1) / 2], [0, zoom, (zoom - 1) / 2]])
    return _compose(larger, matrix)


def _compose(after: np.ndarray, before: np.ndarray) -> np.ndarray:
    return (np.vstack([after, [0, 0, 1]]) @ np.vstack([before, [0, 0, 1]]))[:2]


def _moved(points: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    return points @ matrix[:, :2].T + matrix[:, 2]
