"""A detector's boxes of many frames in one JSON file, with the way in which they were made.

`{"protocol": {...}, "detections": [{"file_name", "boxes_xyxy", "scores"}, ...]}`, a frame a line:
a tenth of the size of a COCO document and of the time to read it.
"""

import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jaxpose.annotations.json_files import load_json
from jaxpose.annotations.validation import (
    RecordError,
    in_file,
    mapping,
    present,
    relative_name,
    sequence,
)
from jaxpose.inference.frames import Boxes
from jaxpose.training.workdir import write_atomic

# How such a file begins.
START = b'{"protocol":'
# Thousandths of a pixel; scores are float32, whose order nine decimals keep.
_BOX_DECIMALS, _SCORE_DECIMALS = 3, 9


class Detections(NamedTuple):
    """Boxes by the frame's name, in the order of the frames, and how they came about."""

    boxes: dict[str, Boxes]
    protocol: dict[str, Any]


def write_detections(path: Path, detections: Detections) -> None:
    """Write the file, whole or not at all.

    Raises:
      CheckpointError: it cannot be written. ValueError: a value is not finite.
    """
    lines = (
        json.dumps({"file_name": name, **_rounded(found)}, allow_nan=False)
        for name, found in detections.boxes.items()
    )
    head, body = json.dumps(detections.protocol, allow_nan=False), ",\n".join(lines)
    write_atomic(path, f'{START.decode()} {head},\n"detections": [\n{body}\n]}}\n')


def _rounded(boxes: Boxes) -> dict[str, Any]:
    corners, scores = (np.asarray(values, np.float64) for values in boxes)
    return {
        "boxes_xyxy": np.round(corners, _BOX_DECIMALS).tolist(),
        "scores": np.round(scores, _SCORE_DECIMALS).tolist(),
    }


def read_detections(path: Path) -> Detections:
    """Read what `write_detections` wrote; boxes and scores are float32.

    Raises:
      DataError: the file cannot be read or is of another form.
    """
    document = load_json(path)
    with in_file(path):
        fields = mapping(document, "the file")
        protocol = mapping(present(fields, "protocol", "the file"), "protocol")
        rows = sequence(present(fields, "detections", "the file"), "detections")
        boxes = dict(map(_read_row, rows))
        if len(boxes) < len(rows):
            raise RecordError("a file_name occurs twice")
    return Detections(boxes, protocol)


def _read_row(row: Any) -> tuple[str, Boxes]:
    fields = mapping(row, "a detection")
    name = relative_name(present(fields, "file_name", "a detection"), "file_name")
    try:
        boxes = np.array(fields.get("boxes_xyxy"), np.float32).reshape(-1, 4)
        scores = np.array(fields.get("scores"), np.float32)
    except (TypeError, ValueError):
        raise RecordError(f"{name}: boxes_xyxy and scores are no lists of numbers") from None
    if scores.shape != (len(boxes),) or not (
        np.isfinite(boxes).all() and np.isfinite(scores).all()
    ):
        raise RecordError(f"{name}: {len(boxes)} boxes need as many scores, all finite")
    return name, Boxes(boxes, scores)
