"""Where the figures of a run go: console lines, metrics.jsonl and TensorBoard."""

import json
import math
import sys
import time
from collections.abc import Mapping
from typing import IO, Any

import numpy as np
from etils import epath

from jaxpose.errors import CheckpointError
from jaxpose.training.workdir import write_atomic

FILE_NAME = "metrics.jsonl"


def truncate_metrics(path: epath.PathLike, last_step: int) -> int:
    """Drop the lines of a metrics.jsonl beyond `last_step`, and torn ones; returns how many.

    A resumed run does those steps again, so that the file has each of them once.
    """
    file = epath.Path(path)
    if not file.exists():
        return 0
    lines = file.read_text().splitlines()
    kept = [line for line in lines if _step_of(line) <= last_step]
    if len(kept) < len(lines):
        write_atomic(file, "".join(f"{line}\n" for line in kept))
    return len(lines) - len(kept)


def _step_of(line: str) -> float:
    try:
        return int(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError):
        return math.inf  # cut off by a kill in the middle of writing


class MetricWriter:
    """Writes metrics of steps; process 0 only (`primary`), elsewhere every call does nothing.

    `resume_step` is the step the run continues from (None: from scratch): later figures of an
    interrupted run disappear. Console lines come at most every `console_seconds`.
    """

    def __init__(
        self,
        workdir: epath.PathLike,
        resume_step: int | None = None,
        primary: bool = True,
        console_seconds: float = 10.0,
        tensorboard: bool = True,
    ) -> None:
        self._primary = primary
        self._console_seconds = console_seconds
        self._next_line = -math.inf
        self._board: Any = None
        self._file: IO[str] | None = None
        if primary:
            self._open(epath.Path(workdir), -1 if resume_step is None else resume_step, tensorboard)

    def _open(self, workdir: epath.Path, step: int, tensorboard: bool) -> None:
        path = workdir / FILE_NAME
        try:
            truncate_metrics(path, step)
            self._file = path.open("a", encoding="utf-8")
        except OSError as error:
            raise CheckpointError(f"cannot write {path}: {error.strerror or error}") from error
        if tensorboard:
            # Here, because it is slow to import and inference never needs it.
            from tensorboardX import SummaryWriter

            self._board = SummaryWriter(str(workdir / "tensorboard"), purge_step=step + 1)

    def scalars(self, step: int, values: Mapping[str, Any], console: bool | None = None) -> None:
        """Write one line of numbers; `console` True or False overrides the rate limit."""
        if not self._primary:
            return
        numbers = {name: float(value) for name, value in values.items()}
        self._append(step, numbers)
        if self._board is not None:
            for name, value in numbers.items():
                self._board.add_scalar(name, value, step)
        now = time.monotonic()
        if console or (console is None and now >= self._next_line):
            self._next_line = now + self._console_seconds
            self._print(step, numbers)

    def _append(self, step: int, numbers: Mapping[str, float]) -> None:
        assert self._file is not None, "the metric writer is closed"
        # JSON has no NaN; float() reads these names back.
        row = {name: v if math.isfinite(v) else repr(v) for name, v in numbers.items()}
        try:
            self._file.write(json.dumps({"step": step, **row}) + "\n")
            self._file.flush()
        except OSError as error:
            raise CheckpointError(f"cannot write {FILE_NAME}: {error.strerror or error}") from error

    def _print(self, step: int, numbers: Mapping[str, float]) -> None:
        figures = "  ".join(f"{name} {value:.4g}" for name, value in numbers.items())
        line = f"step {step}  {figures}"
        bars = _progress_bars()
        if bars is None:
            print(line, file=sys.stderr, flush=True)
        else:
            bars.write(line, file=sys.stderr)

    def image(self, step: int, name: str, picture: np.ndarray) -> None:
        """Write a uint8 RGB picture [H,W,3] to TensorBoard."""
        if self._board is not None:
            self._board.add_image(name, picture, step, dataformats="HWC")

    def text(self, name: str, text: str, step: int = 0) -> None:
        """Write a text, such as the configuration, to TensorBoard (indented: as code)."""
        if self._board is not None:
            code = "".join(f"    {line}\n" for line in text.splitlines())
            self._board.add_text(name, code, step)

    def close(self) -> None:
        """Flush and close everything; later calls fail. May be called again."""
        if self._board is not None:
            self._board.close()
            self._board = None
        if self._file is not None:
            self._file.close()
            self._file = None

    def __enter__(self) -> "MetricWriter":
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        self.close()


def _progress_bars() -> Any:
    # A plain print would tear a bar that is being drawn.
    tqdm = sys.modules.get("tqdm")
    return tqdm.tqdm if tqdm is not None and tqdm.tqdm._instances else None
