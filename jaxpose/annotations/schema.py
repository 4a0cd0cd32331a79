"""Typed records that every annotation file is read into and written from (NumPy, no TensorFlow).

Coordinates: x right, y down, 0-based, integers at pixel centres; boxes are xyxy in source pixels.
"""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from jaxpose.errors import DataError
from jaxpose.skeletons import Skeleton

NOT_ANNOTATED, OCCLUDED, VISIBLE = 0, 1, 2


@dataclass(frozen=True, eq=False)
class Person:
    """One annotated (or predicted) person.

    Attributes:
      keypoints: float64 [K, 3]: x, y and a flag: 0 not annotated (x = y = 0), 1 annotated but
        occluded, 2 annotated and visible (also where a format does not tell).
      box_xyxy: float64 [4] as annotated, or None where the set has no person boxes.
      head_box: float64 [4] xyxy, or None.
      center, scale: MPII's raw `objpos` [2] and `scale` (person height / 200 px), or None.
      track_id: -1 where there is none.
      iscrowd: COCO's flag; difficult, truncated: VOC's.
      area: segment area in px^2, or None.
      category: class name.
      scores: float64 [K] joint scores of a prediction, or None.
      score: person score of a prediction, or None.
    """

    keypoints: np.ndarray
    box_xyxy: np.ndarray | None = None
    head_box: np.ndarray | None = None
    center: np.ndarray | None = None
    scale: float | None = None
    track_id: int = -1
    iscrowd: bool = False
    difficult: bool = False
    area: float | None = None
    category: str = "person"
    scores: np.ndarray | None = None
    score: float | None = None
    truncated: bool = False


@dataclass(frozen=True, eq=False)
class Frame:
    """One image with its people.

    Attributes:
      filename: path relative to the image root, always with forward slashes.
      image_id: identifier unique in the set.
      width, height: source size in px, or None where the format does not store it.
      video_id: '' for a still; frame_index: -1 for a still, else 0-based position in its video.
      is_labeled: False for video frames that nobody annotated.
      ignore_polygons: float64 [N, 2] vertices each, regions where people are not annotated.
    """

    filename: str
    image_id: str
    width: int | None = None
    height: int | None = None
    video_id: str = ""
    frame_index: int = -1
    is_labeled: bool = True
    persons: tuple[Person, ...] = ()
    ignore_polygons: tuple[np.ndarray, ...] = ()


@dataclass(frozen=True, eq=False)
class AnnotationSet:
    """The frames of one split.

    Attributes:
      skeleton: joint set of the keypoints; `NO_JOINTS` for a set of boxes.
      frames: in the order of the file.
      notes: what the reader assumed and counted, for the protocol.
      classes: names of the categories; each `Person.category` is one of them.
    """

    skeleton: Skeleton
    frames: tuple[Frame, ...]
    notes: tuple[str, ...] = ()
    classes: tuple[str, ...] = ("person",)


@dataclass
class Rejections:
    """Records that a reader refused. With `allowed` = 0 the first one raises `DataError`.

    Attributes:
      allowed: how many records may be refused before the conversion fails.
      rows: one dict per refused record: file, record, reason.
    """

    allowed: int = 0
    rows: list[dict[str, str]] = field(default_factory=list)

    def add(self, file: str | Path, record: str, reason: str) -> None:
        """Note a refused record; raises DataError naming file, record and reason when too many."""
        self.rows.append({"file": str(file), "record": record, "reason": reason})
        if len(self.rows) > self.allowed:
            hint = f"{len(self.rows)} records refused, {self.allowed} allowed by --skip_bad"
            training = "--config.data.custom.skip_bad in training"
            raise DataError(f"{file}: {record}: {reason}; {hint} ({training})")
