"""What the estimator hands out: people of one picture or video frame (NumPy, source px)."""

from typing import NamedTuple

import numpy as np


class Person(NamedTuple):
    """One estimated person.

    Attributes:
      box_xyxy: float [4], px of the source image.
      score: of the person's box, 0..1.
      keypoints: float [K, 2], px of the source image.
      keypoint_scores: float [K].
      joint_names: K names in the order of `keypoints`.
    """

    box_xyxy: np.ndarray
    score: float
    keypoints: np.ndarray
    keypoint_scores: np.ndarray
    joint_names: tuple[str, ...]


class FrameResult(NamedTuple):
    """One picture or video frame with its people.

    Attributes:
      name: its name in result files, with forward slashes: the path relative to the input, or
        `<video>/<000123>` for a frame of a video.
      width, height: px of the source image; 0 where it could not be read.
      people: the estimated persons.
      video: the sequence that the frame belongs to; '' for a still.
      index: 0-based position in its video; -1 for a still.
      error: why the input could not be read; `people` is empty then.
      folder: name of the folder that was the input, which `name` does not tell; '' without one.
    """

    name: str
    width: int
    height: int
    people: tuple[Person, ...]
    video: str = ""
    index: int = -1  # type: ignore[assignment]  # hides tuple.index
    error: str = ""
    folder: str = ""
