"""Sheets of detections over annotated boxes, and of augmented training inputs with their boxes."""

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np

from jaxpose import drawing
from jaxpose.drawing import Colour
from jaxpose.tasks.task import Batch

MOST_TILES = 8
COLUMNS = 4
READABLE = 300  # px of a tile's side, about
MOST_BOXES = 50  # of an image; more would cover it
THICK_FROM = 32  # px of a box's shorter side; thinner ones would disappear under thick lines

ANNOTATED: Colour = (90, 255, 90)
IGNORED: Colour = (160, 160, 160)
# One a class, repeated; none is close to the colours above.
CLASS_COLOURS: tuple[Colour, ...] = (
    (255, 215, 0), (255, 95, 60), (0, 190, 255), (255, 120, 220), (255, 160, 60),
    (150, 130, 255), (220, 60, 90), (60, 230, 230), (200, 150, 110), (255, 60, 255),
)  # fmt: skip


def prediction_sheet(
    batch: Batch,
    predictions: Mapping[str, np.ndarray],
    *,
    classes: Sequence[str],
    score_threshold: float = 0.3,
) -> np.ndarray:
    """A sheet uint8 RGB of at most 8 images: detections by class colour, annotated boxes in green.

    Difficult objects and crowds carry the word, ignore regions are grey.

    Args:
      batch: host batch of images; rows with mask 0 are left out.
      predictions: boxes [B, D, 4] source px xyxy, scores, classes (1..C) and valid [B, D].
      classes: names of the classes 1..C.
      score_threshold: detections with a higher score are drawn, the best 50 of an image.
    """
    rows = np.flatnonzero(np.asarray(batch["mask"]) > 0)[:MOST_TILES]
    tiles, captions = [], []
    for row in rows.tolist():  # drawing is host work on a handful of pictures
        matrix = np.asarray(batch["matrix"][row], np.float64)
        tile, zoom = _readable(np.asarray(batch["image"][row]))
        tile = _draw_annotated(tile, {n: v[row] for n, v in batch.items()}, matrix, zoom)
        scores = np.asarray(predictions["scores"][row])
        shown = np.asarray(predictions["valid"][row], bool) & (scores > score_threshold)
        best = np.flatnonzero(shown)[np.argsort(-scores[shown], kind="stable")][:MOST_BOXES]
        for at in best[::-1].tolist():  # the best one on top
            label = int(predictions["classes"][row][at])
            name = "" if len(classes) == 1 else f"{classes[label - 1]} "
            box = _on_tile(predictions["boxes"][row][at], matrix, zoom)
            width = 2 if (box[2:] - box[:2]).min() > THICK_FROM else 1
            tile = drawing.draw_box(tile, box, _colour(label), width, f"{name}{scores[at]:.2f}")
        # The photograph lies at the upper left of its canvas; what is left of that is black.
        right, bottom = (np.asarray(batch["valid"][row][2:]) * zoom).astype(int).tolist()
        tiles.append(tile[:bottom, :right])
        captions.append(f"{batch['id'][row]}: {int(shown.sum())} above {score_threshold:g}")
    return drawing.sheet(tiles, COLUMNS, captions)


def input_sheet(
    inputs: Mapping[str, np.ndarray],
    *,
    classes: Sequence[str],
    mean: Sequence[float],
    channels: Literal["rgb", "bgr"] = "rgb",
) -> np.ndarray:
    """A sheet uint8 RGB of at most 8 augmented training inputs with the boxes trained on.

    Args:
      inputs: image float [B, S, S, 3], 0..255 minus `mean`; boxes [B, G, 4] fractions xyxy; labels
        [B, G] (0: no box); ignore [B, I, 4] fractions xyxy (zeros: none).
      classes: names of the labels 1...
      mean: R, G, B.
      channels: order of the image's channels.
    """
    images = np.asarray(inputs["image"], np.float32)
    images = images[..., ::-1] if channels == "bgr" else images
    pixels = np.clip(np.nan_to_num(images + np.asarray(mean)) + 0.5, 0, 255).astype(np.uint8)
    tiles = []
    for row in range(min(len(pixels), MOST_TILES)):
        tile, zoom = _readable(pixels[row])
        side = pixels.shape[2], pixels.shape[1]
        # Fractions of the input become px between edges; the half turns them into centres.
        matrix = np.array([[side[0], 0, (side[0] - 1) / 2], [0, side[1], (side[1] - 1) / 2]])
        for region in _regions(inputs["ignore"][row]):
            tile = drawing.draw_box(tile, _on_tile(region, matrix, zoom), IGNORED, 1, "ignored")
        labels = np.asarray(inputs["labels"][row])
        for at in np.flatnonzero(labels > 0).tolist():
            box = _on_tile(inputs["boxes"][row][at], matrix, zoom)
            name = "" if len(classes) == 1 else classes[int(labels[at]) - 1]
            tile = drawing.draw_box(tile, box, _colour(int(labels[at])), 1, name)
        tiles.append(tile)
    return drawing.sheet(tiles, COLUMNS)


def _draw_annotated(
    tile: np.ndarray, annotations: Mapping[str, np.ndarray], matrix: np.ndarray, zoom: int
) -> np.ndarray:
    for region in _regions(annotations["ignore"]):
        tile = drawing.draw_box(tile, _on_tile(region, matrix, zoom), IGNORED, 1, "ignored")
    for at in np.flatnonzero(np.asarray(annotations["labels"]) > 0).tolist():
        kind = "crowd" if annotations["crowd"][at] else ""
        kind = kind or ("difficult" if annotations["difficult"][at] else "")
        box = _on_tile(annotations["boxes"][at], matrix, zoom)
        tile = drawing.draw_box(tile, box, ANNOTATED, 1, kind)
    return tile


def _readable(image: np.ndarray) -> tuple[np.ndarray, int]:
    """An image and the whole number by which it was enlarged, so that captions fit."""
    zoom = max(1, round(READABLE / max(image.shape[:2])))
    return image.repeat(zoom, 0).repeat(zoom, 1), zoom


def _on_tile(box: np.ndarray, matrix: np.ndarray, zoom: int) -> np.ndarray:
    """A box [4] of edge coordinates, under a matrix of pixel centres, in centre px of the tile."""
    corners = np.asarray(box, np.float64).reshape(2, 2) - 0.5
    with np.errstate(invalid="ignore"):  # a box that is not finite is not drawn
        corners = (corners @ matrix[:, :2].T + matrix[:, 2] + 0.5) * zoom - 0.5
    return corners.reshape(4)


def _regions(ignore: np.ndarray) -> np.ndarray:
    ignore = np.asarray(ignore)
    return ignore[(ignore[:, 2] > ignore[:, 0]) & (ignore[:, 3] > ignore[:, 1])]


def _colour(label: int) -> Colour:
    return CLASS_COLOURS[(label - 1) % len(CLASS_COLOURS)]
