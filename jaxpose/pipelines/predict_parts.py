"""Estimated people of a large run, kept in parts until all of them are merged into result files.

A part is up to 128 pictures that follow one another in the run, or one video. It is one file,
`<output folder>/parts/<number>.npz`, that appears whole or not at all, so a part that is there is
finished, whichever process wrote it. The parts do not depend on the number of processes.
"""

import hashlib
import json
import os
import uuid
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jaxpose.annotations.json_files import load_json, parse_json
from jaxpose.errors import DataError, UsageError
from jaxpose.inference.frames import Frame
from jaxpose.inference.people import FrameResult, Person
from jaxpose.inference.sources import Source
from jaxpose.inference.video import VideoReport
from jaxpose.training.workdir import write_atomic

PARTS, RUN = "parts", "run.json"
PICTURES = 128
_ARRAYS = ("boxes_xyxy", "scores", "keypoints", "keypoint_scores")
_FRAME = ("name", "video", "index", "error", "note", "decode_seconds", "whole_input", "folder")


class Part(NamedTuple):
    """What one part holds.

    Attributes:
      frames: its frames without pixels, with their results, in the order of the run.
      videos: how much of each of its videos was read.
      seconds: stage -> time that the device, or drawing, was busy with it.
    """

    frames: tuple[tuple[Frame, FrameResult], ...]
    videos: tuple[VideoReport, ...]
    seconds: dict[str, float]


def cut_parts(sources: Sequence[Source]) -> list[list[Source]]:
    """The sources of each part, in the order of the run."""
    parts = []
    for is_video, group in groupby(sources, lambda source: source.is_video):
        run = list(group)
        size = 1 if is_video else PICTURES
        parts += [run[i : i + size] for i in range(0, len(run), size)]
    return parts


class Parts:
    """The parts of one run in a folder.

    Attributes:
      folder: that they lie in.
      count: number of parts.
      run: everything that decides about the results, of JSON's types; the same for each part.
      networks: the checkpoints as the first process named them.
    """

    def __init__(
        self, folder: Path, count: int, run: Mapping[str, Any], networks: Mapping[str, str]
    ) -> None:
        self.folder, self.count, self.run, self.networks = folder, count, run, networks
        # As it is written: tuples have become lists.
        self._digest = digest(run)

    @classmethod
    def begin(
        cls, folder: Path, count: int, run: Mapping[str, Any], networks: Mapping[str, str]
    ) -> "Parts":
        """Begin a run in a folder, or go on with the same one.

        Raises:
          UsageError: the folder holds parts of another run. DataError: it cannot be read.
          CheckpointError: it cannot be written.
        """
        parts = cls(folder, count, run, networks)
        if (folder / RUN).exists():
            found = cls.find(folder)
            other = sorted(k for k in run if digest(run[k]) != digest(found.run.get(k)))
            if other:
                raise UsageError(
                    f"{folder}: holds parts of a run that differs in {', '.join(other)}; give the "
                    "same inputs and options, delete the folder, or choose another --output_dir"
                )
            return parts
        folder.mkdir(parents=True, exist_ok=True)
        document = {"parts": count, "run": dict(run), "networks": dict(networks)}
        write_atomic(folder / RUN, json.dumps(document, indent=2))
        return parts

    @classmethod
    def find(cls, folder: Path) -> "Parts":
        """The run whose parts lie in a folder; DataError where there is none."""
        if not (folder / RUN).exists():
            raise DataError(f"{folder}: no parts here; predict with --shard=I/N first")
        document = load_json(folder / RUN)
        try:
            return cls(folder, document["parts"], document["run"], document["networks"])
        except (KeyError, TypeError) as error:
            raise DataError(f"{folder / RUN}: not of this form ({error!r}); delete it") from None

    def path(self, number: int) -> Path:
        """File of a part."""
        return self.folder / f"{number:06d}.npz"

    def drawn(self, number: int) -> Path:
        """Folder of what was drawn of a part, until it is merged."""
        return self.folder / f"{number:06d}"

    def missing(self, numbers: Iterable[int]) -> list[int]:
        """Those of some parts that are not there, not whole, or of another run."""
        return [number for number in numbers if not self._is_finished(number)]

    def _is_finished(self, number: int) -> bool:
        try:
            self.read(number)
        except DataError:
            return False
        return True

    def write(self, number: int, part: Part) -> None:
        """Write a part, whole or not at all.

        Raises:
          DataError: it cannot be written.
        """
        people = [person for _, result in part.frames for person in result.people]
        arrays: dict[str, Any] = {
            name: np.stack([getattr(person, key) for person in people]) if people else np.zeros(0)
            for name, key in zip(_ARRAYS, Person._fields, strict=False)
        }
        about = {
            "run": self._digest,
            "frames": [_frame_row(*one) for one in part.frames],
            "videos": [asdict(video) for video in part.videos],
            "seconds": part.seconds,
        }
        arrays["about"] = np.frombuffer(json.dumps(about).encode(), np.uint8)
        # A name of its own: two machines may be told to write the same part.
        temporary = self.folder / f".{uuid.uuid4().hex}.tmp"
        try:
            with temporary.open("wb") as file:
                np.savez(file, **arrays)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(self.path(number))
        except OSError as error:
            temporary.unlink(missing_ok=True)
            raise DataError(f"{self.path(number)}: cannot be written: {error.strerror}") from None

    def read(self, number: int) -> Part:
        """Read a part.

        Raises:
          DataError: it is missing, damaged or of another run.
        """
        path = self.path(number)
        try:
            with np.load(path, allow_pickle=False) as file:
                arrays = dict(file)
        except FileNotFoundError:
            raise DataError(f"{path}: this part is missing") from None
        except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
            raise DataError(f"{path}: damaged: {error}") from None
        try:
            about = parse_json(arrays["about"].tobytes(), str(path))
            if about["run"] != self._digest:
                raise DataError(f"{path}: of a run with other inputs, networks or options")
            frames = _frames(about["frames"], arrays, tuple(self.run["joints"]))
            videos = tuple(VideoReport(**video) for video in about["videos"])
            return Part(frames, videos, about["seconds"])
        except (KeyError, TypeError, IndexError) as error:
            raise DataError(f"{path}: not of this form ({error!r})") from None


def digest(value: Any) -> str:
    """SHA-256 of a document's JSON, in hex."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def _frame_row(frame: Frame, result: FrameResult) -> dict[str, Any]:
    size = {"width": result.width, "height": result.height, "people": len(result.people)}
    return {name: getattr(frame, name) for name in _FRAME} | size


def _frames(
    rows: Sequence[Mapping[str, Any]], arrays: Mapping[str, np.ndarray], joints: tuple[str, ...]
) -> tuple[tuple[Frame, FrameResult], ...]:
    frames, first = [], 0
    for row in rows:
        people = tuple(
            Person(
                arrays["boxes_xyxy"][n], float(arrays["scores"][n]), arrays["keypoints"][n],
                arrays["keypoint_scores"][n], joints,
            )
            for n in range(first, first + row["people"])
        )  # fmt: skip
        first += row["people"]
        frame = Frame(image=None, **{name: row[name] for name in _FRAME})
        result = FrameResult(frame.name, row["width"], row["height"], people, frame.video)
        result = result._replace(index=frame.index, error=frame.error, folder=frame.folder)
        frames.append((frame, result))
    return tuple(frames)
