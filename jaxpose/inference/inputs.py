"""Frames out of pictures, folders, videos and a camera, decoded ahead in threads."""

import os
import time
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from itertools import groupby, repeat
from pathlib import Path
from typing import Any

from jaxpose.errors import DataError, UsageError
from jaxpose.inference.frames import Frame, checked_image, results_ahead
from jaxpose.inference.pictures import read_picture
from jaxpose.inference.sources import Source, find_sources
from jaxpose.inference.video import VideoReport, frame_count, read_video

# Decoding scales with threads: OpenCV lets go of the interpreter. More than these nobody needs.
_MOST_THREADS = 16
# Frames of a video that are decoded before they are asked for.
_VIDEO_AHEAD = 8


class Inputs:
    """The frames of some sources, in order; iterate once.

    Attributes:
      sources: of `find_sources`.
      videos: name -> how much of the video was read, from the moment that its first frame is there.
    """

    def __init__(self, sources: Sequence[Source]) -> None:
        self.sources = sources
        self.videos: dict[str, VideoReport] = {}

    @property
    def count(self) -> int:
        """Number of inputs."""
        return len(self.sources)

    def expected_frames(self) -> int:
        """Number of frames by the headers of the videos, for a progress bar."""
        return sum(frame_count(s.path) if s.is_video else 1 for s in self.sources)

    def known_frames(self) -> int | None:
        """Number of frames, where no video makes it uncertain."""
        return None if any(s.is_video for s in self.sources) else len(self.sources)

    def __iter__(self) -> Iterator[Frame]:
        """Read all sources; a Frame with an `error` for what cannot be."""
        for is_video, sources in groupby(self.sources, lambda source: source.is_video):
            if not is_video:
                yield from _pictures(list(sources))
                continue
            for source in sources:
                self.videos[source.name] = report = VideoReport(source.name)
                yield from _ahead(read_video(source.path, report), _VIDEO_AHEAD)


class Camera:
    """The frames of a camera, until it is interrupted; otherwise like `Inputs`."""

    def __init__(self, number: int) -> None:
        self._number = number
        self.videos: dict[str, VideoReport] = {}

    @property
    def count(self) -> int:
        """One input."""
        return 1

    def expected_frames(self) -> None:
        """Nobody knows how many frames there will be."""

    def known_frames(self) -> int:
        """1: each frame is a picture of its own, which does not wait for a batch of others."""
        return 1

    def __iter__(self) -> Iterator[Frame]:
        """Read the camera; frames that nobody had time for are as many as two."""
        report = VideoReport(f"webcam{self._number}")
        self.videos[report.name] = report
        yield from _ahead(read_video(self._number, report), 2)


def frames_of(source: Any) -> tuple[Iterable[Frame], int | None]:
    """Frames of a folder, video, pattern, or of many of these and of images; their number if known.

    Args:
      source: a path or pattern, or an iterable of these and of RGB images uint8 [H, W, 3], in any
        mixture. An image is named by its place, 000000, 000001, ...; paths that follow one another
        are gathered before they are read, so that their names can be told apart.

    Raises:
      UsageError: an empty list.
    """
    if isinstance(source, (str, Path)):
        source = [source]
    count = len(source) if hasattr(source, "__len__") else None
    if count == 0:
        raise UsageError("no pictures: the list is empty")
    paths = [] if count is None else [_is_path(item) for item in source]
    if paths and all(paths):
        inputs = Inputs(find_sources(source))
        return inputs, inputs.known_frames()
    return _mixed(source), None if any(paths) else count


def _mixed(items: Iterable[Any]) -> Iterator[Frame]:
    for are_paths, run in groupby(enumerate(items), lambda item: _is_path(item[1])):
        if are_paths:
            yield from Inputs(find_sources([path for _, path in run]))
        else:
            yield from (Frame(f"{i:06d}", checked_image(image)) for i, image in run)


def _is_path(item: Any) -> bool:
    return isinstance(item, (str, Path))


def _pictures(sources: Sequence[Source]) -> Iterator[Frame]:
    threads = min(_MOST_THREADS, os.cpu_count() or 1)
    calls = (partial(_picture, source) for source in sources)
    return results_ahead(calls, 2 * threads, threads)


def _picture(source: Source) -> Frame:
    if source.error:
        return Frame(source.name, None, error=source.error, whole_input=True)
    started = time.perf_counter()
    try:
        picture = read_picture(source.path)
    except DataError as error:
        return Frame(source.name, None, error=str(error), folder=source.folder)
    took = time.perf_counter() - started
    frame = Frame(source.name, picture.image, note=picture.note, decode_seconds=took)
    return frame._replace(folder=source.folder)


def _ahead(frames: Iterator[Frame], ahead: int) -> Iterator[Frame]:
    """The frames of one reader, decoded in a thread of its own."""
    for frame in results_ahead(repeat(partial(next, frames, None)), ahead, 1):
        if frame is None:
            return
        yield frame
