"""The detector's boxes of a whole split, kept in a file so that a pose sweep need not detect again.

Boxes are always taken from the file, so that a run that finds it and one that writes it agree to
the last digit.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tqdm import tqdm

from jaxpose.errors import DataError, UsageError
from jaxpose.inference.detections_file import Detections, read_detections, write_detections
from jaxpose.inference.device_clock import DeviceClock
from jaxpose.inference.frames import Boxes
from jaxpose.inference.options import Options, person_threshold
from jaxpose.inference.person_detector import detect_people
from jaxpose.inference.restore import Restored
from jaxpose.pipelines.system_protocol import machine, network_block
from jaxpose.pipelines.system_speed import Speed
from jaxpose.pipelines.system_split import Split, decoded_frames

# Boxes that score lower are of no use to any threshold; SSD's own floor.
FLOOR = 0.01
# What must agree for boxes to be used again, beside the floor.
_MUST_AGREE = {
    "checkpoint_digest": "made by another detector",
    "data_digest": "made from other frames",
    "nms_iou": "made with another nms_iou",
    "limits": "made with other limits in the detector's config",
}


def kept_or_made(
    file: Path, split: Split, path: str, detector: Restored, options: Options
) -> tuple[Detections, Speed | None]:
    """The boxes of all frames that are estimated: from the file if they are in it, else detected.

    Which of the two is printed.

    Args:
      file: read and, where it does not fit, written.
      path: that the detector was restored from.
      options: det_threshold, nms_iou and batch_size matter here.

    Returns:
      the boxes, with scores down to 0.01 or the threshold, and the speed if they were detected.

    Raises:
      DataError: an image is damaged. CheckpointError: the file cannot be written. UsageError: its
        folder cannot, or the network is no detector or not one of people.
    """
    wanted = _protocol(split, path, detector, options)
    kept, reason = _kept(file, wanted)
    if kept is not None:
        print(f"detections of {len(kept.boxes)} frames taken from {file}; nothing detected again")
        return kept, None
    _check_place(file)  # now rather than after the work
    print(f"detecting people: {reason}")
    boxes, speed = _detect(split, detector, options, wanted["score_floor"])
    write_detections(file, Detections(boxes, wanted | {"seconds": speed.rounded()}))
    print(speed.line("detection"))
    return read_detections(file), speed


def _protocol(split: Split, path: str, detector: Restored, options: Options) -> dict[str, Any]:
    """Everything that decides about the boxes, and what they were made with."""
    limits = detector.config.get("detect", {})
    return {
        "kind": "detections",
        "data_set": split.dataset,
        "split": split.name,
        "data_digest": split.digest,
        "frames": len(split.estimated()),
        "detector": network_block(path, detector),
        "checkpoint_digest": detector.digest,
        "score_floor": min(FLOOR, person_threshold(options, detector.config)),
        "nms_iou": options.nms_iou,
        "limits": {name: limits.get(name) for name in ("pre_nms_top_k", "max_outputs")},
    } | machine()


def _kept(file: Path, wanted: Mapping[str, Any]) -> tuple[Detections | None, str]:
    """The file's boxes if they are those that are wanted, else None and why not."""
    if not file.exists():
        return None, f"there is no {file} yet"
    try:
        kept = read_detections(file)
    except DataError as error:
        return None, str(error)
    for name, meaning in _MUST_AGREE.items():
        if kept.protocol.get(name) != wanted[name]:
            return None, f"{file} was {meaning}"
    floor = wanted["score_floor"]
    if not kept.protocol.get("score_floor", 1.0) <= floor:
        return None, f"{file} holds no boxes with scores down to {floor:g}"
    return kept, ""


def _check_place(file: Path) -> None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"{file.parent}: cannot be made: {error.strerror}") from None
    if file.is_dir() or not os.access(file.parent, os.W_OK):
        raise UsageError(f"{file}: no file can be written there; name another for the detections")


def _detect(
    split: Split, detector: Restored, options: Options, floor: float
) -> tuple[dict[str, Boxes], Speed]:
    jobs = split.estimated()
    found: dict[str, Boxes] = {}
    speed = Speed()
    with DeviceClock() as clock, tqdm(total=len(jobs), unit="frame", desc="detect") as progress:
        for frame, boxes in detect_people(
            detector,
            decoded_frames(jobs),
            clock,
            score_threshold=floor,
            nms_iou=options.nms_iou,
            batch_size=options.batch_size,
            count=len(jobs),
        ):
            found[frame.name] = boxes
            speed.add(frame)
            progress.update()
    speed.close(clock)
    return found, speed
