"""Drawn people in the files of sets that have boxes alone: COCO's and VOC's, of stills."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from jaxpose.annotations.coco import write_coco_detection
from jaxpose.annotations.schema import AnnotationSet, Frame, Person
from jaxpose.annotations.synthetic import DEFAULT_SIZE, SPLITS, STILLS_EVERY, draw_dataset
from jaxpose.annotations.synthetic_files import write_jpeg
from jaxpose.annotations.voc import CLASSES
from jaxpose.annotations.voc_writing import write_voc
from jaxpose.skeletons import NO_JOINTS

_NO_KEYPOINTS = np.zeros((0, 3))
# VOC's list of each split; its test list is what is scored.
_VOC_LISTS = {"train": "trainval", "val": "test"}


def write_coco_boxes(
    folder: str | Path,
    seed: int,
    train_videos: int,
    val_videos: int,
    frames_per_video: int,
    size: tuple[int, int] = DEFAULT_SIZE,
) -> int:
    """Draw stills and write `annotations/instances_{train,val}.json` and `images/*.jpg`.

    Args:
      folder: created if missing.
      seed, train_videos, val_videos, frames_per_video, size: as `synthetic.draw_dataset`; every
        second frame with annotated people becomes a still.

    Returns:
      Number of images.

    Raises:
      DataError: a file cannot be written.
    """
    root, count = Path(folder), 0
    for split, stills in _stills(seed, train_videos, val_videos, frames_per_video, size):
        frames = []
        for image, frame in stills:
            name = f"{frame.image_id}.jpg"
            write_jpeg(root / "images" / name, image)
            # COCO marks regions full of people as one crowd.
            frames.append(_with_boxes(frame, name, crowds=True))
        found = AnnotationSet(NO_JOINTS, tuple(frames))
        write_coco_detection(root / "annotations" / f"instances_{split}.json", found)
        count += len(frames)
    return count


def write_voc_boxes(
    devkit: str | Path,
    seed: int,
    train_videos: int,
    val_videos: int,
    frames_per_video: int,
    size: tuple[int, int] = DEFAULT_SIZE,
) -> int:
    """Draw stills as a VOCdevkit with the lists trainval and test of 2007; people only.

    Args, returns and raises as `write_coco_boxes`.
    """
    root, lists, count = Path(devkit), {}, 0
    for split, stills in _stills(seed, train_videos, val_videos, frames_per_video, size):
        frames = []
        for image, frame in stills:
            count += 1
            name = f"VOC2007/JPEGImages/{count:06d}.jpg"
            write_jpeg(root / name, image)
            frames.append(_with_boxes(frame, name, crowds=False))
        lists[_VOC_LISTS[split]] = AnnotationSet(NO_JOINTS, tuple(frames), classes=CLASSES)
    write_voc(root, lists)
    return count


def _stills(
    seed: int, train_videos: int, val_videos: int, frames: int, size: tuple[int, int]
) -> Iterator[tuple[str, list[tuple[np.ndarray, Frame]]]]:
    videos = draw_dataset(seed, train_videos, val_videos, frames, size)
    for split in SPLITS:
        kept = [v.frames[::STILLS_EVERY] for v in videos if v.split == split]
        yield split, [still for stills in kept for still in stills if still[1].persons]


def _with_boxes(frame: Frame, name: str, *, crowds: bool) -> Frame:
    """The frame as a still of boxes inside the image; ignore regions become crowds or difficult."""
    assert frame.width is not None and frame.height is not None
    limits = np.array([frame.width, frame.height] * 2, np.float64)
    people = [Person(_NO_KEYPOINTS, _clipped(person.box_xyxy, limits)) for person in frame.persons]
    for polygon in frame.ignore_polygons:
        box = _clipped(np.concatenate([polygon.min(0), polygon.max(0)]), limits)
        people.append(Person(_NO_KEYPOINTS, box, iscrowd=crowds, difficult=not crowds))
    still = replace(frame, video_id="", frame_index=-1, ignore_polygons=())
    return replace(still, filename=name, persons=tuple(people))


def _clipped(box: np.ndarray | None, limits: np.ndarray) -> np.ndarray:
    assert box is not None, "drawn people have boxes"
    return np.clip(box, 0, limits)
