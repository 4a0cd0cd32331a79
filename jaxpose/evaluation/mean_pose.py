"""A baseline that looks at no pixel: the mean pose of the person box."""

import numpy as np


def mean_pose(keypoints: np.ndarray, boxes_xyxy: np.ndarray) -> np.ndarray:
    """Mean position of each joint within the person box.

    Args:
      keypoints: [N, K, 3] source px with flags; boxes_xyxy: [N, 4] source px.

    Returns:
      float64 [K, 2] in box fractions (0 left/top, 1 right/bottom); 0.5 for joints never annotated.
    """
    annotated = keypoints[..., 2] > 0
    size = boxes_xyxy[:, None, 2:] - boxes_xyxy[:, None, :2]
    fractions = (keypoints[..., :2] - boxes_xyxy[:, None, :2]) / size
    total = np.where(annotated[..., None], fractions, 0).sum(0)
    count = annotated.sum(0)[:, None]
    return np.where(count > 0, total / np.maximum(count, 1), 0.5)


def place_pose(pose: np.ndarray, boxes_xyxy: np.ndarray) -> np.ndarray:
    """Put a pose of box fractions [K, 2] into each box [N, 4]: points [N, K, 2] in source px."""
    size = boxes_xyxy[:, None, 2:] - boxes_xyxy[:, None, :2]
    return boxes_xyxy[:, None, :2] + pose * size
