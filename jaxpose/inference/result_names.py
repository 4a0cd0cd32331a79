"""Names of results made from names of inputs: inside the output folder, and no two alike."""

import re
import unicodedata
from pathlib import PurePosixPath

from jaxpose.annotations.validation import UNWRITABLE
from jaxpose.inference.people import FrameResult

# File systems allow 255 bytes; the results' own endings need some of them.
_LONGEST_PART = 200


def safe_name(name: str) -> str:
    """A relative path with forward slashes that stays below its folder; harmless names stay as is.

    Leading slashes go; `..`, drive colons, and characters that no text file can hold become `_`;
    parts longer than 200 bytes are cut before their suffix.
    """
    parts = UNWRITABLE.sub("_", name).replace("\\", "/").split("/")
    kept = [_cut(part if part != ".." else "_") for part in parts if part not in ("", ".")]
    path = "/".join(kept) or "_"
    return f"{path[0]}_{path[2:]}" if re.match(r"[A-Za-z]:", path) else path


def _cut(part: str) -> str:
    if len(part.encode()) <= _LONGEST_PART:
        return part
    suffix = PurePosixPath(part).suffix
    suffix = suffix if len(suffix.encode()) < 16 else ""
    room = _LONGEST_PART - len(suffix.encode())
    return part.encode()[:room].decode(errors="ignore") + suffix


class UniqueNames:
    """Hands out each name once: names that a file system may take for the same get a number."""

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def claim(self, name: str) -> str:
        """The safe name, with `_2`, `_3`, ... before its suffix if it is taken."""
        path = PurePosixPath(safe_name(name))
        chosen, number = path, 1
        while _folded(str(chosen)) in self._taken:
            number += 1
            chosen = path.with_name(f"{path.stem}_{number}{path.suffix}")
        self._taken.add(_folded(str(chosen)))
        return str(chosen)


def _folded(name: str) -> str:
    # Windows and macOS know neither case nor the way in which an accent is put together.
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


class ResultNames:
    """Unique names for the frames of a run."""

    def __init__(self) -> None:
        self._names, self._videos = UniqueNames(), UniqueNames()
        self._video, self._index, self._claimed = "", -1, ""

    def unique(self, frame: FrameResult) -> FrameResult:
        """The frame under a name, and in a video, that no frame before it had.

        The frames of a video must follow one another. One that goes back in time, or comes after
        another video, begins a new video.
        """
        if not frame.video:
            self._video = ""
            return frame._replace(name=self._names.claim(frame.name))
        if frame.video != self._video or frame.index <= self._index:
            self._claimed = self._videos.claim(frame.video)
        self._video, self._index = frame.video, frame.index
        within = frame.name.removeprefix(frame.video + "/")
        return frame._replace(name=f"{self._claimed}/{safe_name(within)}", video=self._claimed)
