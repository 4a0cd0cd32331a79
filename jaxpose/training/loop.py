"""The training loop: batches in, steps, metrics, evaluation, checkpoints; resumable and stoppable.

The loop takes any iterator of host batches. Metrics are read a few steps late, so that the device
never waits for the host; that is safe because a step whose loss is not finite changes nothing.
"""

import json
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jax
from tqdm import tqdm

from jaxpose.errors import DataError, JaxposeError, PreemptedError
from jaxpose.training.checkpoint import Checkpoints
from jaxpose.training.leaves import flatten_tree
from jaxpose.training.metrics import MetricWriter
from jaxpose.training.state import TrainState
from jaxpose.training.stop import StopRequest, Watchdog

# Steps whose metrics may be in flight: enough to hide the host, few enough to stop soon.
LAG = 2


@dataclass(frozen=True)
class Plan:
    """When what happens, in steps; 0 means only at the end."""

    total: int
    log_every: int
    eval_every: int
    save_every: int

    def due(self, every: int, step: int) -> bool:
        """Whether something that happens every so many steps happens after `step` steps."""
        return step == self.total or (every > 0 and step % every == 0)


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


@dataclass
class Loop:
    """The parts of a run.

    Attributes:
      step: (state, batch, key) -> (state, metrics), compiled.
      put: host batch -> device batch.
      evaluate: (state, step) -> flat metrics; may be None.
      key: PRNG key of the run; a step folds its number in.
    """

    plan: Plan
    step: Callable[..., tuple[TrainState, Any]]
    put: Callable[[Mapping[str, Any]], dict[str, jax.Array]]
    evaluate: Callable[[TrainState, int], dict[str, float]] | None
    checkpoints: Checkpoints
    writer: MetricWriter
    stop: StopRequest
    key: jax.Array
    ledger: Ledger
    watchdog: Watchdog
    unit: str = "images"

    def run(
        self, state: TrainState, start: int, batches: Iterator[Mapping[str, Any]]
    ) -> TrainState:
        """Train from step `start` to the end of the plan; returns the final state.

        Raises:
          PreemptedError: a signal came; the state of the last finished step was saved.
          JaxposeError: the loss is not finite and the plan says to stop.
        """
        progress = tqdm(
            total=self.plan.total,
            initial=start,
            unit="step",
            desc="train",
            disable=jax.process_index() != 0,
            mininterval=0.5,
        )
        meter = _Meter()
        with progress:
            for number in range(start + 1, self.plan.total + 1):
                self._poll(state, number - 1)
                self.watchdog.beat("input", exit_code=DataError.exit_code)
                host = next(batches)
                self.watchdog.beat("step")
                meter.waited()
                state, metrics = self.step(state, self.put(host), self.key)
                self.ledger.push(number, metrics, [str(name) for name in host.get("id", ())])
                meter.stepped(len(host["mask"]) * jax.process_count())
                progress.update()
                if self.plan.due(self.plan.log_every, number):
                    self._log(number, meter, progress)
                self._boundary(state, number, meter)
        return state

    def _poll(self, state: TrainState, step: int) -> None:
        if self.stop.requested(step):
            self.save(state, step, {})
            self.checkpoints.wait()
            raise PreemptedError(
                f"stopped by {self.stop.reason}; step {step} is saved, the same command resumes"
            )

    def _log(self, step: int, meter: "_Meter", progress: tqdm) -> None:
        self.ledger.drain()
        meter.stepped(0)  # the steps that were waited for belong to the time of training
        means = self.ledger.means()
        rates = meter.rates()
        loss = means.get("loss", float("nan"))
        progress.set_postfix_str(
            f"loss {loss:.3g}, {rates['images_per_second']:.0f} {self.unit}/s", refresh=False
        )
        values = {f"train/{name}": value for name, value in means.items()}
        values |= {
            "images_per_second": rates["images_per_second"],
            "input/stall_fraction": rates["stall_fraction"],
            "skipped_steps": float(self.ledger.skipped),
        }
        self.writer.scalars(step, values)

    def _boundary(self, state: TrainState, step: int, meter: "_Meter") -> None:
        metrics: dict[str, float] = {}
        due = self.plan.due(self.plan.eval_every, step)
        self.watchdog.beat("evaluation and saving")
        if due and self.evaluate is not None:
            self.ledger.drain()
            try:
                metrics = self.evaluate(state, step)
            except PreemptedError:
                self.save(state, step, {})
                self.checkpoints.wait()
                raise
            self.writer.scalars(step, {f"eval/{name}": v for name, v in metrics.items()})
        if due or self.plan.due(self.plan.save_every, step):
            self.save(state, step, metrics)
        meter.resume()

    def save(self, state: TrainState, step: int, metrics: dict[str, float]) -> None:
        """Hand the state of `step` to the checkpoint writer, every metric read before."""
        self.ledger.drain()
        if self.checkpoints.latest_step() == step:
            return
        self.checkpoints.save(step, flatten_tree(state), {"step": step}, metrics or None)


class _Meter:
    """Images per second and the share of time spent waiting for input, since the last reading."""

    def __init__(self) -> None:
        self._images, self._waiting, self._spent = 0, 0.0, 0.0
        self._mark = time.perf_counter()

    def waited(self) -> None:
        now = time.perf_counter()
        self._waiting += now - self._mark
        self._spent += now - self._mark
        self._mark = now

    def stepped(self, images: int) -> None:
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
