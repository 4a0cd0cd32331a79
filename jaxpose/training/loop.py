"""The training loop: batches in, steps, metrics, evaluation, checkpoints; resumable and stoppable.

The loop takes any iterator of host batches. Metrics are read a few steps late, so that the device
never waits for the host; that is safe because a step whose loss is not finite changes nothing.
"""

import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import jax
from absl import logging
from tqdm import tqdm

from jaxpose.errors import DataError, PreemptedError
from jaxpose.training.checkpoint import Checkpoints
from jaxpose.training.leaves import flatten_tree
from jaxpose.training.ledger import Ledger, Meter
from jaxpose.training.metrics import MetricWriter
from jaxpose.training.state import TrainState
from jaxpose.training.stop import StopRequest, Watchdog


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
    _warned: bool = False

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
        self._catch_up(state, start)
        meter = Meter()
        with progress:
            for number in range(start + 1, self.plan.total + 1):
                self._poll(state, number - 1)
                self.watchdog.beat("input", exit_code=DataError.exit_code)
                host = next(batches)
                self.watchdog.beat("step")
                meter.waited()
                batch = self.put(host)
                # What the step needs is on the device; whatever else went there would be a fault.
                with jax.transfer_guard("disallow"):
                    state, metrics = self.step(state, batch, self.key)
                self.ledger.push(number, metrics, [str(name) for name in host.get("id", ())])
                meter.stepped(len(host["mask"]) * jax.process_count())
                progress.update()
                if self.plan.due(self.plan.log_every, number):
                    self._log(number, host, meter, progress)
                self._boundary(state, number, meter)
        return state

    def _catch_up(self, state: TrainState, start: int) -> None:
        """Evaluate a resumed step whose evaluation a signal interrupted."""
        due = start > 0 and self.plan.due(self.plan.eval_every, start)
        if due and self.evaluate is not None and not self.checkpoints.metrics(start):
            self.watchdog.beat("evaluation and saving")
            metrics = self.evaluate(state, start)
            self._report(start, metrics)
            self.checkpoints.add_metrics(start, metrics)

    def _report(self, step: int, metrics: Mapping[str, float]) -> None:
        self.writer.scalars(step, {f"eval/{name}": v for name, v in metrics.items()})
        best = self.checkpoints.best_metric
        if best and best not in metrics and not self._warned:
            logging.warning(
                "config.checkpoint.best is %r, which this evaluation does not give; no step will "
                "count as best (it gives %s)",
                best,
                ", ".join(sorted(metrics)) or "nothing",
            )
            self._warned = True

    def _poll(self, state: TrainState, step: int) -> None:
        if self.stop.requested(step):
            self.save(state, step, {})
            self.checkpoints.wait()
            raise PreemptedError(
                f"stopped by {self.stop.reason}; step {step} is saved, the same command resumes"
            )

    def _log(self, step: int, host: Mapping[str, Any], meter: Meter, progress: tqdm) -> None:
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
            # Two runs that read the same records in the same order have the same figure here.
            "input/ids_crc32": float(zlib.crc32("\n".join(map(str, host.get("id", ()))).encode())),
        }
        self.writer.scalars(step, values)

    def _boundary(self, state: TrainState, step: int, meter: Meter) -> None:
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
            self._report(step, metrics)
        if due or self.plan.due(self.plan.save_every, step):
            self.save(state, step, metrics)
        meter.resume()

    def save(self, state: TrainState, step: int, metrics: dict[str, float]) -> None:
        """Hand the state of `step` to the checkpoint writer, every metric read before."""
        self.ledger.drain()
        if self.checkpoints.latest_step() == step:
            return
        self.checkpoints.save(step, flatten_tree(state), {"step": step}, metrics or None)
