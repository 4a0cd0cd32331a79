"""Sheets of predicted skeletons over ground truth, in the crop that the network saw."""

from collections.abc import Mapping

import numpy as np

from jaxpose import drawing
from jaxpose.ops import affine
from jaxpose.skeletons import Skeleton
from jaxpose.tasks.task import Batch

MOST_TILES = 24
READABLE = 192  # px of a tile's longer side, about


def prediction_sheet(
    batch: Batch,
    predictions: Mapping[str, np.ndarray],
    *,
    skeleton: Skeleton,
    size: tuple[int, int],
) -> np.ndarray:
    """A sheet uint8 RGB of at most 24 persons: prediction coloured by side, truth in white.

    Args:
      batch: host batch of people; rows with mask 0 are left out.
      predictions: points [B, K, 2] in source px and scores [B, K].
      size: (h, w) of the network input; tiles show the same crop, small ones enlarged.
    """
    import cv2

    enlarged = max(1, round(READABLE / max(size)))
    size = (size[0] * enlarged, size[1] * enlarged)
    crops = np.asarray(
        affine.crop_matrix(batch["center"], batch["scale"], size, np.zeros_like(batch["scale"]))
    )
    rows = np.flatnonzero(batch["mask"])[:MOST_TILES]
    tiles = []
    for row in rows:  # drawing is host work on a handful of pictures
        to_canvas = _compose(batch["matrix"][row], _invert(crops[row]))
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        tile = cv2.warpAffine(batch["image"][row], to_canvas, (size[1], size[0]), flags=flags)
        truth = batch["keypoints"][row].astype(np.float64)
        truth[:, :2] = truth[:, :2] @ crops[row][:, :2].T + crops[row][:, 2]
        predicted = predictions["points"][row] @ crops[row][:, :2].T + crops[row][:, 2]
        tiles.append(
            drawing.draw_prediction(tile, predicted, truth, skeleton, predictions["scores"][row])
        )
    return drawing.sheet(tiles, columns=6)


def input_sheet(
    inputs: Mapping[str, np.ndarray], *, skeleton: Skeleton, mean: tuple[float, ...]
) -> np.ndarray:
    """A sheet uint8 RGB of augmented training inputs with the joints that are trained on.

    Args:
      inputs: result of `pose.augment` as NumPy: image [B, h, w, 3] minus mean, points [B, K, 2]
        in input px, annotated [B, K], joint_mask [B, K].
    """
    pixels = np.clip((inputs["image"] + np.asarray(mean)) * 255, 0, 255).astype(np.uint8)
    trained = inputs["annotated"] & (inputs["joint_mask"] > 0)
    joints = np.concatenate([inputs["points"], 2 * trained[..., None]], -1)
    tiles = [
        drawing.draw_skeleton(pixels[row], joints[row], skeleton)
        for row in range(min(len(pixels), MOST_TILES))
    ]
    return drawing.sheet(tiles, columns=6)


def _invert(matrix: np.ndarray) -> np.ndarray:
    return np.linalg.inv(np.vstack([matrix, [0, 0, 1]]))[:2]


def _compose(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    return (np.vstack([first, [0, 0, 1]]) @ np.vstack([second, [0, 0, 1]]))[:2]
