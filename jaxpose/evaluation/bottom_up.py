"""How well confidence maps tell the joints of people whose boxes are given: no grouping needed.

A part's peak inside a person's annotated box counts as that person's joint. What a system reaches
whose grouping makes no mistake, and a figure to choose checkpoints by.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from jaxpose.evaluation.pose import PoseEvaluator
from jaxpose.skeletons import Skeleton

PREFIX = "oracle_"
_SCORES = ("pckh", "pck", "oks")


class BottomUpEvaluator:
    """Collects the peaks of maps inside annotated boxes; scores them once, at the end."""

    def __init__(self, skeleton: Skeleton) -> None:
        self._joints = PoseEvaluator(skeleton)
        self._images = 0

    def add(self, batch: Mapping[str, Any], predictions: Mapping[str, np.ndarray]) -> None:
        """Take a host batch and its maps; rows with mask 0 are padding.

        Args:
          batch: keypoints [B, N, K, 3] source px, joint_mask [B, K], head_size and area [B, N],
            boxes [B, N, 4] source px, labels [B, N], crowd [B, N], mask [B], id [B].
          predictions: maps [B, h, w, K+1] and to_source [B, 2, 3], map px -> source px.
        """
        for row in np.flatnonzero(np.asarray(batch["mask"]) > 0).tolist():
            self._images += 1
            one = {name: np.asarray(values[row]) for name, values in batch.items()}
            boxes, keypoints = one["boxes"], one["keypoints"]
            scored = (one["labels"] > 0) & ~one["crowd"].astype(bool)
            scored &= (keypoints[..., 2] > 0).any(-1) & (boxes[:, 2:] > boxes[:, :2]).all(-1)
            self._add_people(one, np.flatnonzero(scored), predictions, row)

    def _add_people(
        self,
        one: Mapping[str, np.ndarray],
        people: np.ndarray,
        predictions: Mapping[str, np.ndarray],
        row: int,
    ) -> None:
        if not len(people):
            return
        maps = np.asarray(predictions["maps"][row])[..., :-1]
        to_source = np.asarray(predictions["to_source"][row], np.float64)
        found = [peaks_in_box(maps, to_source, box) for box in one["boxes"][people]]
        points, scores = (np.stack(parts) for parts in zip(*found, strict=True))
        batch = {name: one[name][people] for name in ("keypoints", "head_size", "area")} | {
            "box_xyxy": one["boxes"][people],
            "joint_mask": np.tile(one["joint_mask"], (len(people), 1)),
            "mask": np.ones(len(people)),
            "id": np.array([f"{one['id']}#{number}" for number in people], object),
        }
        self._joints.add(batch, {"points": points, "scores": scores})

    def result(self) -> dict[str, Any]:
        """Scores of `PoseEvaluator` with `oracle_` before their names; `images` and `people`."""
        found = self._joints.result()
        named = {
            (PREFIX + name if name.startswith(_SCORES) else name): value
            for name, value in found.items()
        }
        return {"images": self._images} | named


def peaks_in_box(
    maps: np.ndarray, to_source: np.ndarray, box_xyxy: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The highest px of each map inside a box, refined by a parabola through its neighbours.

    Args:
      maps: [h, w, K].
      to_source: [2, 3] without rotation, px of the maps -> source px.
      box_xyxy: [4] source px; a box between two px of the maps has the nearest one.

    Returns:
      points [K, 2] in source px and scores [K], the maps there.
    """
    factor, shift = np.diagonal(to_source[:, :2]), to_source[:, 2]
    last = np.array(maps.shape[1::-1]) - 1
    low, high = ((np.asarray(corner) - shift) / factor for corner in np.split(box_xyxy, 2))
    low = np.clip(np.round(low), 0, last).astype(int)
    high = np.clip(np.round(high), low, last).astype(int)
    window = maps[low[1] : high[1] + 1, low[0] : high[0] + 1]
    flat = np.nan_to_num(window).reshape(-1, maps.shape[-1]).argmax(0)
    y, x = np.unravel_index(flat, window.shape[:2])
    x, y, joint = x + low[0], y + low[1], np.arange(maps.shape[-1])
    scores = maps[y, x, joint]
    refined = [x + _offset(maps, x, y, 1, 0), y + _offset(maps, x, y, 0, 1)]
    return np.stack(refined, -1) * factor + shift, scores


def _offset(maps: np.ndarray, x: np.ndarray, y: np.ndarray, dx: int, dy: int) -> np.ndarray:
    """Where the parabola through a px and its two neighbours peaks, at most half a px away."""
    height, width, count = maps.shape
    joint = np.arange(count)
    before = maps[np.maximum(y - dy, 0), np.maximum(x - dx, 0), joint]
    after = maps[np.minimum(y + dy, height - 1), np.minimum(x + dx, width - 1), joint]
    curve = 2 * maps[y, x, joint] - before - after
    with np.errstate(divide="ignore", invalid="ignore"):
        offset = np.where(curve > 0, (after - before) / (2 * curve), 0)
    return np.clip(np.nan_to_num(offset), -0.5, 0.5)
