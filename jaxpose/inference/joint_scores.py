"""What the score of a joint is, and duplicate poses; the scores in NumPy or jax."""

from collections.abc import Callable

import numpy as np


def peak_times_box(peaks: np.ndarray, box_scores: np.ndarray) -> np.ndarray:
    """Heat-map peaks [N, K] times the scores [N] of the boxes they were found in."""
    return peaks * box_scores[:, None]


def peak(peaks: np.ndarray, box_scores: np.ndarray) -> np.ndarray:
    """Heat-map peaks [N, K] alone."""
    return peaks


def box(peaks: np.ndarray, box_scores: np.ndarray) -> np.ndarray:
    """The score of its box [N] for every joint; [N, K]."""
    return box_scores[:, None].repeat(peaks.shape[1], 1)


# PoseTrack's AP ranks joints over all frames, so how boxes and peaks are weighed changes it.
JOINT_SCORES: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "peak_times_box": peak_times_box,
    "peak": peak,
    "box": box,
}


def pairwise_oks(keypoints: np.ndarray, areas: np.ndarray, sigmas: np.ndarray) -> np.ndarray:
    """Object keypoint similarity of every two poses, by COCO's formula.

    exp(-d^2 / (2 s^2 k^2)) with k = 2 sigma, averaged over the joints that both have; s^2 is the
    mean area of the two poses, which makes it symmetric (microsoft/human-pose-estimation.pytorch,
    lib/nms/nms.py).

    Args:
      keypoints: [N, K, 2] px; nan where a pose has no such joint.
      areas: [N] px^2, such as those of the boxes.
      sigmas: [K], `Skeleton.sigmas`.

    Returns:
      float64 [N, N] in 0..1.
    """
    points = np.asarray(keypoints, np.float64)
    squares = ((points[:, None] - points[None]) ** 2).sum(-1)
    mean_areas = (areas[:, None] + areas[None]) / 2
    scaled = squares / np.maximum(mean_areas, np.finfo(float).eps)[..., None]
    similar = np.exp(-scaled / (2 * (2 * np.asarray(sigmas, np.float64)) ** 2))
    shared = np.isfinite(squares)
    return np.where(shared, similar, 0).sum(-1) / np.maximum(shared.sum(-1), 1)


def distinct_poses(similarities: np.ndarray, scores: np.ndarray, threshold: float) -> np.ndarray:
    """Greedy suppression: a pose stays iff its OKS with every better one that stays is <= this.

    Args:
      similarities: [N, N] of `pairwise_oks`.
      scores: [N]; of equal scores the lower index goes first.
      threshold: 0..1.

    Returns:
      bool [N]: which poses stay.
    """
    similar = similarities > threshold
    undecided, kept = np.ones(len(scores), bool), np.zeros(len(scores), bool)
    for index in np.argsort(-np.asarray(scores), kind="stable"):
        if undecided[index]:
            kept[index] = True
            undecided &= ~similar[index]
    return kept
