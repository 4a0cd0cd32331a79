"""What a run of `predict` tells at its end: figures, notes, rows of failed inputs."""

import sys
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from jaxpose.errors import SomeInputsFailedError
from jaxpose.inference.frames import Frame
from jaxpose.inference.people import FrameResult
from jaxpose.inference.video import VideoReport

REPORT = "predict.json"
_EXAMPLES = 3


class Tally:
    """Counts frames, people, failures and times.

    Attributes:
      errors: one text for every input that failed.
      seconds: stage -> time in which it was busy; for decoding summed over its threads.
    """

    def __init__(self) -> None:
        self.frames = self.people = 0
        self.errors: list[str] = []
        self.seconds: dict[str, float] = defaultdict(float)
        self._noted: dict[str, list[str]] = defaultdict(list)
        self._began = time.perf_counter()
        self._first = 0.0

    def add(self, frame: Frame, result: FrameResult) -> None:
        """Count a frame or failed input; lost frames of a video fail with the video alone."""
        if result.error:
            if not result.video:
                self.errors.append(result.error)
            return
        self._first = self._first or time.perf_counter() - self._began
        self.frames += 1
        self.people += len(result.people)
        self.seconds["decode"] += frame.decode_seconds
        for note in filter(None, frame.note.split("; ")):
            self._noted[note].append(frame.name)

    def notes(self) -> list[str]:
        """What was done to which pictures."""
        lines = []
        for note, names in self._noted.items():
            more = ", ..." if len(names) > _EXAMPLES else ""
            lines.append(
                f"{_counted(len(names), 'frame')} {note}: {', '.join(names[:_EXAMPLES])}{more}"
            )
        return lines

    def raise_failures(self, inputs: int) -> None:
        """Raise SomeInputsFailedError where some of so many inputs failed."""
        if self.errors:
            failed = f"{len(self.errors)} of {inputs} inputs failed"
            raise SomeInputsFailedError(f"{failed}, see above")

    def speed(self, drawn: int) -> str:
        """The line of frames a second; each stage as if it ran alone, without compilation."""
        took = time.perf_counter() - self._began
        counts = {"decode": self.frames, "detect": self.frames, "pose": self.frames, "draw": drawn}
        alone = [
            f"{stage} {count / self.seconds[stage]:.3g}"
            for stage, count in counts.items()
            if count and self.seconds.get(stage)
        ]
        return (
            f"{_counted(self.frames, 'frame')}, {_counted(self.people, 'person', 'people')} "
            f"in {took:.1f} s: "
            f"{self.frames / took:.3g} frames/s (each stage alone: {', '.join(alone) or 'none'}; "
            f"first result after {self._first:.1f} s)"
        )

    def document(self, videos: Mapping[str, VideoReport], **more: Any) -> dict[str, Any]:
        """Everything, for JSON."""
        return {
            "frames": self.frames,
            "people": self.people,
            "seconds": {name: round(value, 3) for name, value in self.seconds.items()},
            "videos": [
                {
                    "name": video.name,
                    "frames_per_second": video.rate,
                    "frames_expected": video.expected,
                    "frames_read": video.read,
                    "frames_failed": video.failed,
                }
                for video in videos.values()
            ],
            "errors": self.errors,
            "notes": self.notes(),
            **more,
        }


def tell(notes: Iterable[str], tally: Tally, videos: Mapping[str, VideoReport]) -> None:
    """Print notes, how much of each video was read, and on stderr what failed."""
    for line in [*notes, *tally.notes(), *video_lines(videos)]:
        print(line)
    for error in tally.errors:
        print(f"failed: {error}", file=sys.stderr)


def video_lines(videos: Mapping[str, VideoReport]) -> list[str]:
    """How much of each video was read; nothing of one that could not even be opened."""
    return [
        f"{video.name}: {f'{video.read} of ' if video.expected else ''}"
        f"{_counted(video.expected or video.read, 'frame')} read, "
        f"{video.failed} failed, {video.rate:.4g} frames/s"
        for video in videos.values()
        if video.read or video.failed or video.expected
    ]


def _counted(number: int, one: str, many: str = "") -> str:
    """1 frame, 2 frames, 1 person, 2 people."""
    return f"{number} {one if number == 1 else many or one + 's'}"
