"""Person boxes that somebody hands in instead of a detector's."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from jaxpose.inference.frames import Boxes, Frame


def person_boxes(boxes_xyxy: Any, scores: Any = None) -> Boxes:
    """Check person boxes.

    Args:
      boxes_xyxy: [N, 4] in px; may be empty.
      scores: [N], 0..1; all 1 without.

    Raises:
      ValueError: other shapes, values that are not finite, or a box without area.
    """
    boxes = np.asarray(boxes_xyxy, np.float32)
    boxes = boxes.reshape(0, 4) if boxes.size == 0 else boxes
    if boxes.ndim != 2 or boxes.shape[1] != 4:
        raise ValueError(f"person boxes are [N, 4] (x1, y1, x2, y2), not {list(boxes.shape)}")
    given = np.ones(len(boxes), np.float32) if scores is None else np.asarray(scores, np.float32)
    if given.shape != (len(boxes),):
        raise ValueError(f"{len(boxes)} boxes need as many scores, not {list(given.shape)}")
    sound = np.isfinite(boxes).all(-1) & np.isfinite(given) & (boxes[:, 2:] > boxes[:, :2]).all(-1)
    if not sound.all():
        bad = int(np.argmin(sound))
        raise ValueError(
            f"box {bad} is {boxes[bad].tolist()} with score {given[bad]}: it needs x1 < x2, "
            "y1 < y2 and finite values"
        )
    return Boxes(boxes, given)


def boxes_by_name(boxes: Any, scores: Any = None) -> dict[str, Boxes]:
    """Own boxes of many frames: name -> [N, 4], and name -> [N] or None.

    Raises:
      ValueError: no mapping, or what `person_boxes` refuses.
    """
    if not isinstance(boxes, Mapping):
        raise ValueError("boxes for many pictures are a mapping from a picture's name to [N, 4]")
    scored = scores or {}
    return {name: person_boxes(value, scored.get(name)) for name, value in boxes.items()}


def with_boxes(frames: Iterable[Frame], boxes_of: Callable[[str], Boxes | None]) -> Iterator[Frame]:
    """The frames with their own boxes, told by name; nobody is in a frame without (None)."""
    nobody = person_boxes([])
    for frame in frames:
        if frame.image is not None:
            frame = frame._replace(boxes=boxes_of(frame.name) or nobody)
        yield frame
