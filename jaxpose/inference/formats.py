"""Result files of a run, in every format asked for at once, written while the frames come."""

from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Protocol

from jaxpose.errors import UsageError
from jaxpose.inference.coco_results import CocoResults
from jaxpose.inference.openpose import OpenPoseResults
from jaxpose.inference.people import FrameResult
from jaxpose.inference.posetrack_results import posetrack17_results, posetrack18_results
from jaxpose.inference.result_names import ResultNames


class ResultWriter(Protocol):
    """A writer of one format; `notes` are lines for the console."""

    notes: list[str]

    def add(self, frame: FrameResult) -> None:
        """Take the next frame."""

    def close(self) -> list[Path]:
        """Write what is still held; all files."""


FORMATS: dict[str, Callable[[Path, tuple[str, ...], float], ResultWriter]] = {
    "coco": CocoResults,
    "openpose": OpenPoseResults,
    "posetrack17": posetrack17_results,
    "posetrack18": posetrack18_results,
}


def check_formats(names: Sequence[str]) -> None:
    """Raise UsageError for a name that is not of `FORMATS`."""
    unknown = [name for name in names if name not in FORMATS]
    if unknown:
        raise UsageError(f"--format={unknown[0]}: unknown, choose from {','.join(FORMATS)}")


class ResultFiles:
    """Writes `<folder>/<format>/...` for each format; see the writers for the names below.

    As a context manager it closes itself, also on an error or Ctrl-C: what was estimated is kept.

    Attributes:
      notes: lines for the console: joints that a format lacks or the network, known from the start;
        after `close` also how images are numbered, and inputs that had to be renamed.
    """

    def __init__(
        self,
        folder: str | Path,
        formats: Sequence[str],
        joint_names: Sequence[str],
        keypoint_threshold: float = 0.0,
    ) -> None:
        """Prepare the files; nothing is written yet.

        Args:
          folder: the output folder, made when needed.
          formats: names of `FORMATS`.
          joint_names: K joints of the network.
          keypoint_threshold: joints with a lower score are left out of the files. (poseval counts
            a joint that is written where none is annotated as false.)

        Raises:
          UsageError: an unknown format.
        """
        check_formats(formats)
        self._writers = [
            FORMATS[name](Path(folder) / name, tuple(joint_names), keypoint_threshold)
            for name in dict.fromkeys(formats)
        ]
        self._names = ResultNames()
        self._renamed: list[str] = []
        self._paths: list[Path] | None = None
        self.notes = [note for writer in self._writers for note in writer.notes]

    def add(self, frame: FrameResult) -> FrameResult:
        """Take the next frame; those of a video follow one another.

        Returns:
          The frame under the name that it has in the files: safe, and unlike all others.

        Raises:
          DataError: a file cannot be written.
        """
        unique = self._names.unique(frame)
        if unique.name != frame.name:
            self._renamed.append(f"{frame.name!r} is {unique.name!r} in the result files")
        for writer in self._writers:
            writer.add(unique)
        return unique

    def close(self) -> list[Path]:
        """Write what is still held; a second call does nothing.

        Returns:
          All files.

        Raises:
          DataError: a file cannot be written.
        """
        if self._paths is not None:
            return self._paths
        self._paths = [path for writer in self._writers for path in writer.close()]
        self.notes = [note for writer in self._writers for note in writer.notes]
        if self._renamed:
            more = f", and {len(self._renamed) - 1} more" if len(self._renamed) > 1 else ""
            self.notes.append(f"name taken or unusable: {self._renamed[0]}{more}")
        return self._paths

    def __enter__(self) -> "ResultFiles":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
