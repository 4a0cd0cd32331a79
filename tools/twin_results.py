"""From raw outputs to boxes and joints as the sources make them, in PyTorch and NumPy.

Two things differ from the sources: pytorch-pose and princeton's port round joints down to whole
pixels, which is left out, and boxes are cut to the picture at last, as this project does.
"""

import math
from typing import Literal

import numpy as np
import torch

from jaxpose.ops.default_boxes import default_boxes

# source -> default boxes' clipping, candidates of a class, detections of a picture.
_RULES: dict[str, tuple[Literal["none", "cxcywh", "wh"], int, int | None]] = {
    "torchvision_ssd": ("wh", 400, 200),
    "ssd_pytorch": ("cxcywh", 200, None),
    "ssd_caffe": ("none", 400, 200),
}


def detections(
    logits: torch.Tensor,
    offsets: torch.Tensor,
    source: str,
    size: int,
    scales: Literal["voc", "coco"],
) -> np.ndarray:
    """Detections of one picture by falling score.

    Args:
      logits: [P, C]; offsets: [P, 4].
      source: 'torchvision_ssd', 'ssd_pytorch' or 'ssd_caffe'.
      size: side of the network input.
      scales: of the default boxes.

    Returns:
      [N, 6]: class (1..), score, box xyxy in fractions of the picture.
    """
    clip, candidates, most = _RULES[source]
    priors = torch.tensor(default_boxes(size, scales, source == "ssd_caffe", clip))
    center = priors[:, :2] + offsets[:, :2] * 0.1 * priors[:, 2:]
    growth = offsets[:, 2:] * 0.2
    if source == "torchvision_ssd":
        growth = growth.clamp(max=math.log(1000 / 16))
    half = priors[:, 2:] * growth.exp() / 2
    boxes = torch.cat([center - half, center + half], 1).numpy()
    cut = boxes.clip(0, 1)
    compared = cut if source == "torchvision_ssd" else boxes
    scores, rows = logits.softmax(-1).numpy(), []
    for label in range(1, scores.shape[1]):
        order = np.argsort(-scores[:, label], kind="stable")[:candidates]
        for index in _nms(compared, order[scores[order, label] > 0.01]):
            rows.append([label, scores[index, label], *cut[index]])
    return np.array(sorted(rows, key=lambda row: -row[1])).reshape(-1, 6)[:most]


def joints(
    maps: np.ndarray, center: np.ndarray, side: float, size: int, borders: bool
) -> np.ndarray:
    """Joints [K, 2] in px of the picture: a map's peak, a quarter towards its higher neighbour.

    Args:
      maps: [K, h, w]; every one has a positive value.
      center, side: the square of the picture that the network input shows, px.
      size: side of the network input.
      borders: also where the peak has a neighbour on one side only (princeton's port).
    """
    points = []
    for heat in maps:
        y, x = np.unravel_index(heat.argmax(), heat.shape)
        last_y, last_x = heat.shape[0] - 1, heat.shape[1] - 1
        moves = np.zeros(2)
        if borders or (0 < x < last_x and 0 < y < last_y):
            moves[0] = heat[y, min(x + 1, last_x)] - heat[y, max(x - 1, 0)]
            moves[1] = heat[min(y + 1, last_y), x] - heat[max(y - 1, 0), x]
        in_input = (np.array([x, y]) + 0.25 * np.sign(moves) + 0.5) * size / heat.shape[0]
        points.append(center + (in_input - size / 2) * side / size)
    return np.array(points)


def _nms(boxes: np.ndarray, order: np.ndarray) -> list[int]:
    kept = []
    while len(order):
        best, order = order[0], order[1:]
        kept.append(int(best))
        low = np.maximum(boxes[best, :2], boxes[order, :2])
        common = np.prod((np.minimum(boxes[best, 2:], boxes[order, 2:]) - low).clip(0), 1)
        areas = [np.prod(boxes[which, 2:] - boxes[which, :2], -1) for which in (best, order)]
        order = order[~(common > 0.45 * (areas[0] + areas[1] - common))]
    return kept
