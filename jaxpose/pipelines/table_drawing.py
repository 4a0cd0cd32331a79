"""Drawn stand-ins for the data sets of the report, in the files of the originals."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from jaxpose.annotations.posetrack17 import write_posetrack17
from jaxpose.annotations.schema import AnnotationSet
from jaxpose.annotations.synthetic import draw_dataset, write_dataset
from jaxpose.annotations.synthetic_boxes import write_coco_boxes, write_voc_boxes
from jaxpose.annotations.synthetic_files import FORMATS, convert_frame, image_name, write_jpeg

POSETRACK, TEST = "posetrack17", "test"
# Folder of each data set below the drawn ones.
FOLDERS = {POSETRACK: POSETRACK, "mpii": "mpii", "coco_detection": "coco", "voc": "VOCdevkit"}
# Where a smoke run has its drawn data sets.
DRAWN = "drawn"
_COMPLETE = "complete"


class Amount(NamedTuple):
    """How much is drawn of each set: videos of a split, frames of a video, size in px."""

    train_videos: int
    validation_videos: int
    frames: int
    size: tuple[int, int]


def draw_sets(folder: Path, amount: Amount, seed: int = 0) -> dict[str, str]:
    """Draw PoseTrack17 with a test split, MPII, COCO and VOC, each with people of its own.

    A second call with the same arguments does nothing; what an interrupted one left goes.

    Args:
      folder: for the four data sets' folders; made.
      amount: of videos; PoseTrack17 and MPII take them in turn.
      seed: the same gives the same bytes.

    Returns:
      Folder of each data set by its name.

    Raises:
      DataError: a file cannot be written.
    """
    if not is_drawn(folder, amount, seed):
        shutil.rmtree(folder, ignore_errors=True)
        _draw(folder, amount, seed)
        (folder / _COMPLETE).write_text(_settings(amount, seed))
    return {name: str(folder / below) for name, below in FOLDERS.items()}


def is_drawn(folder: Path, amount: Amount, seed: int = 0) -> bool:
    """Whether `draw_sets` has nothing to do."""
    marker = folder / _COMPLETE
    return marker.is_file() and marker.read_text() == _settings(amount, seed)


def holds_drawn_sets(folder: Path) -> bool:
    """Whether a folder holds data sets that `draw_sets` has drawn, whichever."""
    return (folder / _COMPLETE).is_file()


def _settings(amount: Amount, seed: int) -> str:
    return f"seed {seed}, {amount}"


def _draw(folder: Path, amount: Amount, seed: int) -> None:
    train, scored, frames, size = amount
    # Two videos of each kind make one of PoseTrack17 and one of MPII.
    formats = (POSETRACK, "mpii")
    write_dataset(folder, seed, 2 * train, 2 * scored, frames, size, formats)
    write_coco_boxes(folder / FOLDERS["coco_detection"], seed + 1, train, scored, frames, size)
    write_voc_boxes(folder / FOLDERS["voc"], seed + 2, train, scored, frames, size)
    _draw_test(folder / POSETRACK, seed + 3, scored, frames, size)


def _draw_test(root: Path, seed: int, videos: int, frames: int, size: tuple[int, int]) -> None:
    """PoseTrack's test split has no public annotations; the drawn one does."""
    written = []
    for video in draw_dataset(seed, 0, videos, frames, size):
        for index, (image, frame) in enumerate(video.frames):
            name = image_name(POSETRACK, TEST, video.name, index)
            write_jpeg(root / name, image)
            written.append(replace(convert_frame(frame, POSETRACK), filename=name))
    found = AnnotationSet(FORMATS[POSETRACK], tuple(written))
    write_posetrack17(root / "annotations" / TEST, found)
