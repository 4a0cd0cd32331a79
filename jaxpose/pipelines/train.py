"""The main job: records -> trained, scored, restorable network."""

import json
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import jax
from ml_collections import ConfigDict
from tqdm import tqdm

from jaxpose.config import from_json, to_json
from jaxpose.errors import PreemptedError, UsageError
from jaxpose.pipelines.baselines import mean_pose_scores
from jaxpose.pipelines.closing import report_lines
from jaxpose.pipelines.config_checks import check_resume
from jaxpose.pipelines.prepare import Records, prepare_records
from jaxpose.pipelines.scoring import collect
from jaxpose.pipelines.start import check_space, starting_state
from jaxpose.tasks import make_task
from jaxpose.training.checkpoint import Checkpoints
from jaxpose.training.leaves import flatten_tree
from jaxpose.training.ledger import Ledger
from jaxpose.training.loop import Loop, Plan
from jaxpose.training.metrics import MetricWriter
from jaxpose.training.optimizer import make_optimizer
from jaxpose.training.sharding import (
    abstract,
    data_mesh,
    distributed_start,
    local_rows,
    put_batch,
    replicate,
    replicated,
    wait_for_processes,
)
from jaxpose.training.state import TrainState, variables
from jaxpose.training.step import abstract_batch, make_predict_step, make_train_step
from jaxpose.training.stop import StopRequest, Watchdog, run_interruptible
from jaxpose.training.workdir import open_workdir, write_atomic


def train(config: ConfigDict, workdir: str) -> dict[str, float]:
    """Train, or resume, the run of a config in a folder; returns the last evaluation's metrics.

    Raises:
      UsageError, DataError, CheckpointError: what the user can mend.
      PreemptedError: a signal came; the state is saved and the same call resumes.
    """
    if config.data.train_split.endswith("_unlabeled"):
        raise UsageError(
            f"config.data.train_split is {config.data.train_split!r}: nobody is annotated in it, "
            "and people would count as background"
        )
    distributed_start(config.distributed)
    with open_workdir(workdir, primary=jax.process_index() == 0) as folder:
        device = jax.devices()[0]
        say(f"jax {jax.__version__}, {jax.device_count()} x {device.device_kind}")
        records = prepare_records(config, Path(folder))
        with StopRequest() as stop, Watchdog(config.watchdog_seconds) as watchdog:
            return Job(records, Path(folder), stop, watchdog).run()


def say(text: str) -> None:
    """Print on process 0."""
    if jax.process_index() == 0:
        print(text, flush=True)


class Job:
    """One run: its config, data, devices, files, and the way it is asked to stop."""

    def __init__(
        self, records: Records, folder: Path, stop: StopRequest, watchdog: Watchdog
    ) -> None:
        self.records, self.folder = records, folder
        self.stop, self.watchdog = stop, watchdog
        self.config = records.config
        self.primary = jax.process_index() == 0
        self.task = make_task(self.config)
        self.mesh = data_mesh()
        for rows in (self.config.batch_size, self.config.eval.batch_size):
            local_rows(self.mesh, rows)  # fails now rather than after the first compilation
        self.put = partial(put_batch, self.mesh, names=self.task.example)
        self.predict = make_predict_step(self.task, self.mesh)
        self.plan = make_plan(self.config, records.steps_per_epoch)
        self.optimizer, self.schedule, self.words = make_optimizer(
            self.config.optimizer, records.steps_per_epoch
        )
        # Made under jit: device_put cannot place a key on the devices of other processes.
        make_key = jax.jit(jax.random.key, out_shardings=replicated(self.mesh))
        self.key = make_key(self.config.seed)
        self.last: dict[str, float] = {}

    def run(self) -> dict[str, float]:
        """Start or resume, train to the end, report."""
        keep = self.config.checkpoint
        with Checkpoints(self.folder / "checkpoints", keep.max_to_keep, keep.best) as checkpoints:
            if checkpoints.steps() and (self.folder / "config.json").exists():
                self._compare_configs()
            host_state, start = starting_state(self.config, self.task, self.optimizer, checkpoints)
            self._announce(host_state)
            writer = MetricWriter(self.folder, resume_step=start or None, primary=self.primary)
            with writer:
                self._train(replicate(self.mesh, host_state), start, checkpoints, writer)
        for line in report_lines(self.folder, self.last, self.config.data.eval_split):
            say(line)
        return self.last

    def _train(
        self,
        state: TrainState,
        start: int,
        checkpoints: Checkpoints,
        writer: MetricWriter,
    ) -> None:
        batches = self.records.train(start)  # what is wrong with the data shows before compiling
        try:
            if start == 0 and self.config.compare_baselines:
                self._score_baselines(state)
            step = self._compile(state)
        except PreemptedError:
            if checkpoints.latest_step() != start:
                checkpoints.save(start, flatten_tree(state), {"step": start})
            checkpoints.wait()
            raise PreemptedError(
                f"stopped by {self.stop.reason} before training; step {start} is saved"
            ) from None
        loop = Loop(
            plan=self.plan,
            step=step,
            put=self.put,
            evaluate=partial(self.evaluate, writer),
            checkpoints=checkpoints,
            writer=writer,
            stop=self.stop,
            key=self.key,
            ledger=Ledger(self.folder, self.config.non_finite, self.config.non_finite_budget),
            watchdog=self.watchdog,
        )
        with closing(batches):  # type: ignore[type-var]  # both sources give generators
            state = loop.run(state, start, batches)
        if not self.last:  # resumed at the end: nothing was left to train
            self.last = checkpoints.metrics(self.plan.total)

    def _compile(self, state: TrainState) -> Callable[..., Any]:
        step = make_train_step(
            self.task,
            self.optimizer,
            self.schedule,
            self.mesh,
            ema_decay=self.config.ema_decay,
        )
        whole = replicated(self.mesh)
        shapes = (
            abstract(state, whole),
            abstract_batch(self.task, self.config.batch_size, self.mesh),
            jax.ShapeDtypeStruct(self.key.shape, self.key.dtype, sharding=whole),
        )
        say("compiling the training step")
        self.watchdog.beat("compilation", seconds=3600)
        compiled = run_interruptible(lambda: step.lower(*shapes).compile(), self.stop)
        wait_for_processes("the training step is compiled")
        return compiled

    def evaluate(
        self, writer: MetricWriter | None, state: TrainState, step: int
    ) -> dict[str, float]:
        """Scores of the validation split, with EMA weights where the run keeps them."""
        if self.primary:
            tqdm.write(f"scoring step {step}")
        weights = variables(state, ema=True)
        batches = self.records.validation()
        interrupted = partial(self._interrupted, step)
        evaluator, sheet = collect(self.task, self.predict, weights, batches, self.put, interrupted)
        if sheet is not None and writer is not None and self.primary:
            writer.image(step, "eval/predictions", sheet)
            path = self.folder / "pictures" / f"predictions_{step:07d}.png"
            path.parent.mkdir(exist_ok=True)
            cv2.imwrite(str(path), sheet[..., ::-1])
        self.last = {name: float(value) for name, value in evaluator.result().items()}
        return self.last

    def _interrupted(self, step: int) -> None:
        self.watchdog.beat("evaluation")
        if self.stop.requested():
            raise PreemptedError(
                f"stopped by {self.stop.reason} during evaluation; step {step} is saved"
            )

    def _score_baselines(self, state: TrainState) -> None:
        say("scoring the untrained network" + ", the mean pose" * (self.config.task == "pose"))
        scores = {"untrained": self.evaluate(None, state, 0)}
        if self.config.task == "pose":
            split = self.config.data.train_split
            people = self.records.one_pass(self.records.train_sets[0], split)
            scores["mean pose"] = mean_pose_scores(
                self.task, people, self.records.validation(), partial(self._interrupted, 0)
            )
        if self.primary:
            write_atomic(self.folder / "baselines.json", json.dumps(scores, indent=2))

    def _compare_configs(self) -> None:
        old = from_json((self.folder / "config.json").read_text())
        changed = check_resume(old, self.config)
        if changed:
            say(f"the config differs from the run so far in: {', '.join(changed)}")

    def _announce(self, state: TrainState) -> None:
        if self.primary:
            check_space(self.folder, state, self.config.checkpoint.max_to_keep)
            write_atomic(self.folder / "config.json", to_json(self.config))
        count = sum(leaf.size for leaf in state.params.values())
        say(f"{self.task.name} network, {self.task.outputs}, {count:,} parameters")
        say(self.records.describe())
        epoch = self.records.steps_per_epoch
        steps = f"{self.plan.total} steps of {self.config.batch_size}, {epoch:.1f} an epoch"
        say(f"{steps}; {self.words}")


def make_plan(config: ConfigDict, steps_per_epoch: float) -> Plan:
    """When to log, evaluate and save, in steps; an entry in steps goes before one in epochs."""

    def steps(part: ConfigDict) -> int:
        return part.every_steps or round(part.every_epochs * steps_per_epoch)

    return Plan(
        total=config.steps or max(1, round(config.epochs * steps_per_epoch)),
        log_every=config.log_every,
        eval_every=steps(config.eval),
        save_every=steps(config.checkpoint),
    )
