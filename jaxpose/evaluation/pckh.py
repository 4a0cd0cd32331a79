"""Percentage of correct keypoints, relative to the head size (PCKh) or to the person box (PCK)."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike


def pckh(
    predicted: ArrayLike,
    truth: ArrayLike,
    valid: ArrayLike,
    head_size: ArrayLike,
    threshold: float = 0.5,
    mean_joints: ArrayLike | None = None,
) -> dict[str, Any]:
    """PCKh: a joint is correct within `threshold` head sizes (MPII; poseval).

    Args:
      predicted: [N, K, 2] px; a joint that is not finite counts as wrong.
      truth: [N, K, 2] px.
      valid: [N, K]; joints that are not > 0 are not scored.
      head_size: [N] px, 0.6 x the diagonal of the head box. Persons whose size is not finite or
        not positive are left out.
      threshold: in head sizes; a distance equal to it is correct.
      mean_joints: bool [K], the joints that enter the mean; default all. MPII's mean leaves out
        pelvis and thorax.

    Returns:
      per_joint: float64 [K] percent, nan where nothing was scored; mean: float, unweighted mean of
      the joints that were scored, percent; count: int64 [K] scored joints.
    """
    size = np.asarray(head_size, np.float64)[:, None]
    scored = (np.asarray(valid) > 0) & np.isfinite(size) & (size > 0)
    error = np.asarray(predicted, np.float64) - np.asarray(truth, np.float64)
    correct = scored & (np.linalg.norm(error, axis=-1) <= threshold * size)
    return _summary(correct.sum(0), scored.sum(0), mean_joints)


def pck(
    predicted: ArrayLike,
    truth: ArrayLike,
    valid: ArrayLike,
    box_xyxy: ArrayLike,
    threshold: float = 0.2,
    mean_joints: ArrayLike | None = None,
) -> dict[str, Any]:
    """PCK: `pckh` with the longer side of the person box [N, 4] xyxy px in the head size's place.

    For sets without head boxes (COCO, LSP). Same arguments and return value otherwise.
    """
    box = np.asarray(box_xyxy, np.float64)
    side = (box[:, 2:] - box[:, :2]).max(-1)
    return pckh(predicted, truth, valid, side, threshold, mean_joints)


def _summary(
    correct: np.ndarray, count: np.ndarray, mean_joints: ArrayLike | None
) -> dict[str, Any]:
    per_joint = np.full(count.shape, np.nan)
    np.divide(100.0 * correct, count, out=per_joint, where=count > 0)
    in_mean = count > 0
    if mean_joints is not None:
        in_mean &= np.asarray(mean_joints, bool)
    mean = float(per_joint[in_mean].mean()) if in_mean.any() else float("nan")
    return {"per_joint": per_joint, "mean": mean, "count": count}
