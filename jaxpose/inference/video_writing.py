"""Writing videos: H.264 through PyAV where it is installed, else MPEG-4 part 2 through OpenCV."""

from fractions import Fraction
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np

from jaxpose.errors import DataError

_TICK = Fraction(1, 90_000)  # the clock of MPEG
_QUALITY = "20"  # x264's constant rate factor; 18 cannot be told from the original


class VideoFile(Protocol):
    """An MP4 file that is being written; frames are RGB uint8 [H, W, 3], all of one size."""

    def add(self, image: np.ndarray, seconds: float) -> None:
        """Append a frame that is shown from a time on; times must not fall."""

    def close(self) -> None:
        """Finish the file."""


def has_h264() -> bool:
    """Whether videos are written as H.264, which browsers play."""
    return find_spec("av") is not None


def create_video(path: Path, width: int, height: int, rate: float) -> VideoFile:
    """Begin an MP4 file; its folder is made. Odd sides are made even by repeating the last px.

    Args:
      width, height: of the frames, px.
      rate: frames a second. H.264 keeps the times of the frames instead, where they are given.

    Raises:
      DataError: it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        kind = H264File if has_h264() else Mp4vFile
        return kind(path, width + width % 2, height + height % 2, rate)
    except OSError as error:
        raise DataError(f"{path}: cannot be written: {error.strerror or error}") from error


class H264File:
    """H.264 in MP4, at the times of the frames; see `VideoFile`."""

    def __init__(self, path: Path, width: int, height: int, rate: float) -> None:
        import av  # an extra

        self._container = av.open(str(path), "w")
        stream: Any = self._container.add_stream("libx264", rate=Fraction(rate).limit_denominator())
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.codec_context.time_base = _TICK
        stream.options = {"crf": _QUALITY}
        self._stream, self._last = stream, -1

    def add(self, image: np.ndarray, seconds: float) -> None:
        """See `VideoFile`."""
        import av

        frame = av.VideoFrame.from_ndarray(_even(image), format="rgb24")
        self._last = max(self._last + 1, round(seconds / _TICK))
        frame.pts, frame.time_base = self._last, _TICK
        self._container.mux(self._stream.encode(frame))

    def close(self) -> None:
        """See `VideoFile`."""
        if self._last >= 0:
            self._container.mux(self._stream.encode(None))
        self._container.close()


class Mp4vFile:
    """MPEG-4 part 2 in MP4, at a constant rate; see `VideoFile`."""

    def __init__(self, path: Path, width: int, height: int, rate: float) -> None:
        code = cv2.VideoWriter_fourcc(*"mp4v")  # type: ignore[attr-defined]  # not in its stubs
        self._writer = cv2.VideoWriter(str(path), code, rate, (width, height))
        if not self._writer.isOpened():
            raise OSError(None, "OpenCV cannot open it")

    def add(self, image: np.ndarray, seconds: float) -> None:
        """See `VideoFile`; the time is that of the rate."""
        self._writer.write(cv2.cvtColor(_even(image), cv2.COLOR_RGB2BGR))

    def close(self) -> None:
        """See `VideoFile`."""
        self._writer.release()


def _even(image: np.ndarray) -> np.ndarray:
    height, width = image.shape[:2]
    if height % 2 == 0 and width % 2 == 0:
        return np.ascontiguousarray(image)
    return cv2.copyMakeBorder(image, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE)
