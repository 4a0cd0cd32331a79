"""What `predict` leaves behind: result files, drawn pictures and drawn videos."""

import time
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path, PurePosixPath
from types import TracebackType

import cv2
import numpy as np

from jaxpose.annotations.images import resolve_inside
from jaxpose.drawing_people import draw_people
from jaxpose.errors import DataError
from jaxpose.inference.formats import ResultFiles
from jaxpose.inference.frames import Frame
from jaxpose.inference.people import FrameResult
from jaxpose.inference.video_writing import VideoFile, create_video, has_h264

IMAGES, VIDEOS = "images", "videos"
_JPEG_QUALITY = 92


def image_file(folder: Path, name: str) -> Path:
    """Where the drawn picture of a frame of this name goes; DataError outside the folder."""
    known = PurePosixPath(name).suffix.lower() in (".jpg", ".jpeg", ".png")
    return resolve_inside(folder, name if known else f"{name}.jpg")


def video_file(folder: Path, name: str) -> Path:
    """Where the drawn video of this name goes; DataError outside the folder."""
    return resolve_inside(folder, f"{name}.mp4")


class Output:
    """Writes everything about each frame as it comes; a context manager, which finishes the files.

    Attributes:
      files: of the formats; its notes are for the console.
      draw_seconds: time spent on drawing and encoding.
      drawn: frames that were drawn.
      draws: whether frames are needed with their pixels.
    """

    def __init__(
        self,
        folder: Path,
        formats: Sequence[str],
        joint_names: Sequence[str],
        keypoint_threshold: float,
        *,
        save_images: bool,
        save_video: bool,
        boxes: bool = True,
        labels: bool = True,
    ) -> None:
        self.files = ResultFiles(folder, formats, joint_names, keypoint_threshold)
        self.draw_seconds, self.drawn = 0.0, 0
        self.draws = save_images or save_video
        self._folder, self._save_images, self._save_video = folder, save_images, save_video
        self._draw = partial(draw_people, threshold=keypoint_threshold, boxes=boxes, labels=labels)
        self._video_name, self._video = "", ExitStack()

    def notes(self) -> list[str]:
        """Lines for the console, on videos as well, complete once the output is closed."""
        none = "no video is written: no frame of a video was read; --save_images draws on pictures"
        codec = "videos are MPEG-4 part 2; for H.264, which browsers play, install jaxpose[video]"
        if not self._save_video or (self._video_name and has_h264()):
            return self.files.notes
        return [*self.files.notes, codec if self._video_name else none]

    def add(self, frame: Frame, result: FrameResult, rate: float) -> None:
        """Take the next frame; it is drawn on where pictures or videos are asked for.

        Args:
          rate: frames a second of its video.

        Raises:
          DataError: a file cannot be written.
        """
        named = self.files.add(result)
        wanted = self._save_images or (self._save_video and bool(result.video))
        if frame.image is None or not wanted:
            return
        started = time.perf_counter()
        drawn = self._draw(frame.image, result.people)
        if self._save_images:
            self._write_image(named.name, drawn)
        if self._save_video and named.video:
            self._video_of(named.video, drawn, rate).add(drawn, frame.seconds)
        self.draw_seconds += time.perf_counter() - started
        self.drawn += 1

    def _write_image(self, name: str, image: np.ndarray) -> None:
        path = image_file(self._folder / IMAGES, name)
        options = [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY]
        encoded = cv2.imencode(path.suffix, cv2.cvtColor(image, cv2.COLOR_RGB2BGR), options)[1]
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(encoded.tobytes())
        except OSError as error:
            raise DataError(f"{path}: cannot be written: {error.strerror}") from None

    def _video_of(self, name: str, image: np.ndarray, rate: float) -> VideoFile:
        """The file of a video; that of the video before is finished."""
        if name != self._video_name:
            self._video.close()
            path = video_file(self._folder / VIDEOS, name)
            self._writer = create_video(path, image.shape[1], image.shape[0], rate)
            self._video.callback(self._writer.close)
            self._video_name = name
        return self._writer

    def __enter__(self) -> "Output":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self.files:
            self._video.close()
