"""The figures of a run while it trains: losses read late, images per second, input stalls."""

import json
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jax

from jaxpose.errors import JaxposeError

# Steps whose metrics may be in flight: enough to hide the host, few enough to stop soon.
LAG = 2


@dataclass
class Ledger:
    """Reads metrics `LAG` steps late; accumulates sums and counts and divides once per log line.

    Attributes:
      workdir: where `nonfinite.jsonl` is written.
      policy: 'stop' at the first step whose loss is not finite, or 'skip' it.
      budget: how many skipped steps are tolerated.
    """

    workdir: Path
    policy: str
    budget: int
    pending: deque[tuple[int, Any, list[str]]] = field(default_factory=deque)
    sums: dict[str, float] = field(default_factory=dict)
    count: int = 0
    skipped: int = 0

    def push(self, step: int, metrics: Any, ids: list[str]) -> None:
        """Take the metrics of a step that may still be running."""
        self.pending.append((step, metrics, ids))
        while len(self.pending) > LAG:
            self._read(*self.pending.popleft())

    def drain(self) -> None:
        """Wait for every step that was pushed and read its metrics."""
        while self.pending:
            self._read(*self.pending.popleft())

    def means(self) -> dict[str, float]:
        """Means since the last call."""
        means = {name: total / max(self.count, 1) for name, total in self.sums.items()}
        self.sums, self.count = {}, 0
        return means

    def _read(self, step: int, metrics: Any, ids: list[str]) -> None:
        values = {name: float(value) for name, value in jax.device_get(metrics).items()}
        if not values.pop("finite"):
            self._refuse(step, values, ids)
            return
        for name, value in values.items():
            self.sums[name] = self.sums.get(name, 0.0) + value
        self.count += 1

    def _refuse(self, step: int, values: Mapping[str, float], ids: list[str]) -> None:
        self.skipped += 1
        row = {"step": step, "process": jax.process_index(), "ids": ids}
        row |= {name: repr(value) for name, value in values.items()}
        path = self.workdir / "nonfinite.jsonl"
        with open(path, "a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        if self.policy == "stop" or self.skipped > self.budget:
            raise JaxposeError(
                f"loss or gradient is not finite at step {step}; the update was not applied, the "
                f"records of the batch are in {path}; lower the learning rate, look at those "
                "records, or go on with --config.non_finite=skip"
            )


class Meter:
    """Images per second and the share of time spent waiting for input, since the last reading."""

    def __init__(self) -> None:
        self._images, self._waiting, self._spent = 0, 0.0, 0.0
        self._mark = time.perf_counter()

    def waited(self) -> None:
        """The time since the last call went into waiting for a batch."""
        now = time.perf_counter()
        self._waiting += now - self._mark
        self._spent += now - self._mark
        self._mark = now

    def stepped(self, images: int) -> None:
        """The time since the last call went into a step of so many images."""
        now = time.perf_counter()
        self._spent += now - self._mark
        self._mark = now
        self._images += images

    def resume(self) -> None:
        """Leave out what happened since the last step (evaluation, saving)."""
        self._mark = time.perf_counter()

    def rates(self) -> dict[str, float]:
        """Images per second and share of time spent on input since the last call."""
        spent = max(self._spent, 1e-9)
        rates = {
            "images_per_second": self._images / spent,
            "stall_fraction": self._waiting / spent,
        }
        self._images, self._waiting, self._spent = 0, 0.0, 0.0
        return rates
