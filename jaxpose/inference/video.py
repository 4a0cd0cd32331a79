"""Videos and cameras, frame by frame, through OpenCV."""

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2

from jaxpose.errors import DataError
from jaxpose.inference.frames import Frame

SUFFIXES = frozenset(
    ".avi .flv .m4v .mkv .mov .mp4 .mpeg .mpg .ogv .ts .webm .wmv".split()  # noqa: SIM905
)
# A video of which less can be read is an input that failed.
LEAST_SHARE = 0.95
_USUAL_RATE = 25.0
_NO_CAMERA = "is it connected, and not in use by another program?"
TURNED = "turned upright by its video's orientation"


@dataclass
class VideoReport:
    """How much of a video was read; grows while it is.

    Attributes:
      name: as in `Frame.video`.
      rate: frames a second by its header; 0 where it does not tell.
      expected: frames by its header; 0 where it does not tell (cameras, streams).
      read, failed: frames that were decoded, and that could not be.
    """

    name: str
    rate: float = 0.0
    expected: int = 0
    read: int = 0
    failed: int = 0

    @property
    def usual_rate(self) -> float:
        """Frames a second to write with; 25 where the header does not tell."""
        return self.rate or _USUAL_RATE

    @property
    def complete(self) -> bool:
        """Whether at least 95 % of the frames that the header promises were read."""
        return self.read > 0 and self.read >= LEAST_SHARE * self.expected


def open_video(source: str | Path | int) -> cv2.VideoCapture:
    """Open a video file, or a camera by its number.

    Raises:
      DataError: it cannot be opened.
    """
    # FFmpeg would write about damaged files to the console, beside the error rows.
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    if isinstance(source, int):
        capture, fault = cv2.VideoCapture(source), _NO_CAMERA
    else:
        if not Path(source).is_file():
            raise DataError(f"{source}: no such video file")
        capture = cv2.VideoCapture(str(source))
        fault = "damaged, cut off, or of an unknown format"
    if not capture.isOpened():
        raise DataError(f"{_called(source)}: cannot be opened; {fault}")
    return capture


def frame_count(path: str | Path) -> int:
    """Frames of a video by its header; 0 where it cannot be opened or does not tell."""
    try:
        capture = open_video(path)
    except DataError:
        return 0
    count = max(0, int(capture.get(cv2.CAP_PROP_FRAME_COUNT)))
    capture.release()
    return count


def read_video(source: str | Path | int, report: VideoReport) -> Iterator[Frame]:
    """Decode a video or camera frame by frame, upright by its metadata.

    A frame that cannot be decoded comes as a Frame with an error and keeps its place. At the end
    of a video of which less than 95 % could be read comes one more Frame with an error, named as
    the video. So it does where nothing can be opened.

    Args:
      source: file, or number of a camera.
      report: its name is taken, all else is filled in.
    """
    try:
        capture = open_video(source)
    except DataError as error:
        yield Frame(report.name, None, error=str(error), whole_input=True)
        return
    try:
        report.rate = max(0.0, float(capture.get(cv2.CAP_PROP_FPS)))
        report.expected = max(0, int(capture.get(cv2.CAP_PROP_FRAME_COUNT)))
        yield from _frames(capture, report)
    finally:
        capture.release()
    if not report.complete:
        text = f"{_called(source)}: {_lack(source, report)}"
        yield Frame(report.name, None, error=text, whole_input=True)


def _called(source: str | Path | int) -> str:
    return f"camera {source}" if isinstance(source, int) else str(source)


def _lack(source: str | Path | int, report: VideoReport) -> str:
    if isinstance(source, int) and not report.read:
        return f"gives no picture; {_NO_CAMERA}"
    share = f"only {report.read} of {report.expected or 'an unknown number of'} frames"
    return f"{share} could be read; damaged or cut off"


def _frames(capture: cv2.VideoCapture, report: VideoReport) -> Iterator[Frame]:
    index, started = 0, time.perf_counter()
    note = TURNED if capture.get(cv2.CAP_PROP_ORIENTATION_META) % 360 else ""
    while capture.grab():
        name, seconds = f"{report.name}/{index:06d}", _seconds(capture, report, index)
        decoded, bgr = capture.retrieve()
        if decoded and bgr is not None:
            report.read += 1
            image = cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)
            took = time.perf_counter() - started
            frame = Frame(name, image, report.name, index, note=note, seconds=seconds)
            yield frame._replace(decode_seconds=took)
        else:
            report.failed += 1
            text = f"{name}: this frame of the video cannot be decoded"
            yield Frame(name, None, report.name, index, error=text)
        index, started = index + 1, time.perf_counter()


def _seconds(capture: cv2.VideoCapture, report: VideoReport, index: int) -> float:
    """Time of the frame that was grabbed last; by its number where the video does not tell."""
    stamp = float(capture.get(cv2.CAP_PROP_POS_MSEC)) / 1000
    return stamp if stamp > 0 else index / report.usual_rate
