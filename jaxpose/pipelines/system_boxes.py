"""The person boxes that poses of a split are estimated in: the detector's or the annotated ones."""

from pathlib import Path
from typing import Any, NamedTuple

from jaxpose.errors import DataError
from jaxpose.inference.frames import Boxes
from jaxpose.inference.options import Options
from jaxpose.inference.restore import Restored
from jaxpose.pipelines.system_detections import kept_or_made
from jaxpose.pipelines.system_protocol import network_block
from jaxpose.pipelines.system_speed import Speed
from jaxpose.pipelines.system_split import Split, truth_boxes


class PersonBoxes(NamedTuple):
    """Boxes of a split.

    Attributes:
      by_name: boxes of each frame that is estimated, by its file name; None without boxes.
      detector: `network_block` of what found them; None if they are annotated.
      protocol: of the detections, else empty.
      speed: of the detection, where it was done now.
      note: a line for the console, or ''.
    """

    by_name: dict[str, Boxes] | None
    detector: dict[str, Any] | None = None
    protocol: dict[str, Any] = {}
    speed: Speed | None = None
    note: str = ""


def detected_boxes(
    split: Split, path: str, detector: Restored, file: Path, options: Options
) -> PersonBoxes:
    """Boxes of a detector, kept in `file`; arguments as of `system_detections.kept_or_made`."""
    kept, speed = kept_or_made(file, split, path, detector, options)
    return PersonBoxes(kept.boxes, network_block(path, detector), kept.protocol, speed)


def annotated_boxes(split: Split) -> PersonBoxes:
    """Boxes of the annotated people, score 1; raises DataError where nobody is annotated."""
    if not split.labelled:
        where = split.videos[0].file.parent
        raise DataError(f"{where}: nobody is annotated in it, so it gives no boxes of people")
    found = {frame.filename: truth_boxes(frame) for frame, _ in split.estimated()}
    boxless = sum(count for _, count in found.values())
    note = f"{boxless} annotated people have no box and no extent: nobody is looked for there"
    boxes = {name: boxes for name, (boxes, _) in found.items()}
    return PersonBoxes(boxes, note=note if boxless else "")
