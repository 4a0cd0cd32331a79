"""The synthetic multi-person video data set: drawn on demand, written as the real sets are stored.

Every video is a function of (seed, split, index): neither the number of videos nor the order or
number of processes changes one of them.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context, parent_process
from pathlib import Path
from threading import Thread

import numpy as np

from jaxpose.annotations.schema import Frame
from jaxpose.annotations.synthetic_files import (
    FORMATS,
    convert_frame,
    image_name,
    image_root,
    write_annotations,
    write_jpeg,
)
from jaxpose.annotations.synthetic_labels import frame_record
from jaxpose.annotations.synthetic_video import Plan, plan_video, render
from jaxpose.errors import UsageError

SPLITS = ("train", "val")
DEFAULT_SIZE = (384, 288)
# MPII holds stills: every so many frames of a video become one.
STILLS_EVERY = 2
_VALIDATION_NUMBERS = 500_000


@dataclass(frozen=True, eq=False)
class Video:
    """A drawn video.

    Attributes:
      name: `NNNNNN_synthetic`, unique over both splits.
      split: `train` or `val`.
      frames: image uint8 [h, w, 3] RGB and its annotation with the joints of `SYNTHETIC`.
    """

    name: str
    split: str
    frames: tuple[tuple[np.ndarray, Frame], ...]


@dataclass(frozen=True)
class Summary:
    """What was written into one format: counts over both splits."""

    format: str
    videos: int
    images: int
    persons: int


@dataclass(frozen=True)
class _Job:
    """One video to write; plain values, since it travels to another process."""

    directory: str
    format: str
    seed: int
    split: str
    index: int
    frames: int
    size: tuple[int, int]


def video_name(split: str, index: int) -> str:
    """Name of a video; PoseTrack18's number at the front tells the splits apart."""
    return f"{index + (_VALIDATION_NUMBERS if split == 'val' else 0):06d}_synthetic"


def video_plan(seed: int, split: str, index: int, frames: int, size: tuple[int, int]) -> Plan:
    """Everything that decides a video, before its frames are drawn.

    Args:
      seed: of the data set.
      split: `train` or `val`; their people, backgrounds and motions are drawn independently.
      index: of the video in its split.
      frames: number of frames.
      size: width and height in px.
    """
    return plan_video(np.random.default_rng((seed, SPLITS.index(split), index)), frames, size)


def _rendered(
    plan: Plan, format_name: str, split: str, video: str
) -> Iterator[tuple[np.ndarray, Frame]]:
    step = STILLS_EVERY if format_name == "mpii" else 1
    for frame in range(0, len(plan.labelled), step):
        image, owners = render(plan, frame)
        name = image_name(format_name, split, video, frame)
        yield image, frame_record(plan, frame, owners, name, video)


def draw_dataset(
    seed: int,
    train_videos: int,
    val_videos: int,
    frames_per_video: int,
    size: tuple[int, int] = DEFAULT_SIZE,
) -> list[Video]:
    """Draw the data set into memory: training videos, then validation videos.

    Frames that nobody annotated have is_labeled False and no persons; people who stand in an
    ignore polygon are not annotated either. Joints outside the picture are absent.
    """
    videos = []
    for split, count in zip(SPLITS, (train_videos, val_videos), strict=True):
        for index in range(count):
            name = video_name(split, index)
            plan = video_plan(seed, split, index, frames_per_video, size)
            frames = tuple(_rendered(plan, "posetrack18", split, name))
            videos.append(Video(name, split, frames))
    return videos


def _write_video(job: _Job) -> list[Frame]:
    """Draw one video, write its images, return its annotations in the joints of its format."""
    name = video_name(job.split, job.index)
    plan = video_plan(job.seed, job.split, job.index, job.frames, job.size)
    records = []
    for image, record in _rendered(plan, job.format, job.split, name):
        if job.format == "mpii" and not record.persons:
            continue
        write_jpeg(image_root(job.directory, job.format) / record.filename, image)
        records.append(convert_frame(record, job.format))
    return records


def _run(jobs: Sequence[_Job], processes: int) -> Iterator[list[Frame]]:
    if processes <= 1 or len(jobs) <= 1:
        yield from map(_write_video, jobs)
        return
    # A forked copy of a process that runs JAX's threads may hang, so start fresh ones.
    context = get_context("spawn")
    with ProcessPoolExecutor(processes, context, initializer=_end_with_parent) as pool:
        yield from pool.map(_write_video, jobs)


def _end_with_parent() -> None:
    """Make this worker end with a killed parent; it would draw on and then wait for ever."""
    parent = parent_process()
    assert parent is not None, "called in workers only"

    def end() -> None:
        parent.join()
        os._exit(1)

    Thread(target=end, daemon=True).start()


def write_dataset(
    directory: str | Path,
    seed: int = 0,
    train_videos: int = 48,
    val_videos: int = 10,
    frames_per_video: int = 8,
    size: tuple[int, int] = DEFAULT_SIZE,
    formats: Sequence[str] = tuple(FORMATS),
    val_formats: Sequence[str] | None = None,
    processes: int = 1,
    progress: Callable[[int], object] = lambda done: None,
) -> list[Summary]:
    """Draw the data set and write it in the original file formats of the real ones.

    Writes `posetrack18/annotations/{train,val}/<video>.json` with
    `posetrack18/images/{train,val}/<video>/000000.jpg`, the same for `posetrack17`, and stills as
    `mpii/annot/{train,valid}.json` with `mpii/images/<video>_000000.jpg`.

    Args:
      directory: created if missing.
      seed, train_videos, val_videos, frames_per_video, size: as `draw_dataset`.
      formats: video i of the training split is written in `formats[i % len(formats)]`.
      val_formats: likewise for validation; `formats` without it.
      processes: videos drawn at the same time; the files do not depend on it.
      progress: called with the number of videos just finished.

    Returns:
      Counts by format.

    Raises:
      UsageError: an unknown format, or numbers that are not positive. DataError: a file cannot be
        written.
    """
    cycles = {
        "train": tuple(formats),
        "val": tuple(formats if val_formats is None else val_formats),
    }
    counts = {"train": train_videos, "val": val_videos}
    _check(cycles, counts, frames_per_video, size)
    jobs = [
        _Job(str(directory), cycle[i % len(cycle)], seed, split, i, frames_per_video, size)
        for split, cycle in cycles.items()
        for i in range(counts[split])
    ]
    written: list[list[Frame]] = []
    for records in _run(jobs, processes):
        written.append(records)
        progress(1)
    for split in SPLITS:
        for name in FORMATS:
            mine = [
                r
                for j, r in zip(jobs, written, strict=True)
                if (j.format, j.split) == (name, split)
            ]
            write_annotations(Path(directory), name, split, [f for r in mine for f in r])
    return [_summary(name, jobs, written) for name in FORMATS if name in {j.format for j in jobs}]


def _check(
    cycles: dict[str, tuple[str, ...]],
    counts: dict[str, int],
    frames: int,
    size: tuple[int, int],
) -> None:
    for split, cycle in cycles.items():
        unknown = [name for name in cycle if name not in FORMATS]
        if unknown or not cycle:
            what = f"unknown format {unknown[0]!r}" if unknown else f"no format for {split} videos"
            raise UsageError(f"{what}; choose from {', '.join(FORMATS)}")
    if min(counts.values()) < 0 or frames < 1:
        raise UsageError(f"{counts} videos of {frames} frames: cannot draw a negative number")
    if min(size) < 64 or max(size) > 4096:
        raise UsageError(f"frames of {size[0]} x {size[1]} px; sides must be 64 to 4096")


def _summary(name: str, jobs: Sequence[_Job], written: Sequence[list[Frame]]) -> Summary:
    mine = [records for job, records in zip(jobs, written, strict=True) if job.format == name]
    frames = [frame for records in mine for frame in records]
    return Summary(name, len(mine), len(frames), sum(len(frame.persons) for frame in frames))
