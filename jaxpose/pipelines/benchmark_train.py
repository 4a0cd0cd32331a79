"""Rows of the modes that read records: the input pipeline alone, and the whole training loop."""

import json
import math
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, suppress
from functools import partial
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict

from jaxpose.data.parallel import available_cores
from jaxpose.pipelines.benchmark_bench import Bench, speed_figures, utilisation_figures
from jaxpose.pipelines.benchmark_compile import Program
from jaxpose.pipelines.benchmark_programs import train_program
from jaxpose.pipelines.benchmark_step import Stepper, make_key, starting_state
from jaxpose.pipelines.benchmark_timing import Timing
from jaxpose.pipelines.prepare import Records, prepare_records
from jaxpose.tasks import make_task
from jaxpose.tasks.task import Task
from jaxpose.training.checkpoint import Checkpoints
from jaxpose.training.ledger import Ledger
from jaxpose.training.loop import Loop, Plan
from jaxpose.training.metrics import FILE_NAME, MetricWriter
from jaxpose.training.sharding import put_batch, replicate
from jaxpose.training.state import TrainState
from jaxpose.training.stop import StopRequest, Watchdog

_FIRST_STEPS = 3
_LEAST_STEPS = 2  # in a window

Batches = Iterator[Mapping[str, Any]]


def input_row(bench: Bench, batch_size: int, dtype: str) -> dict[str, Any]:
    """The input pipeline alone: batches as fast as the host makes them, and what it spends."""
    records = _records(bench, bench.row_config(batch_size, dtype))
    bench.phase("reading")
    with closing(records.train(0)) as batches:  # type: ignore[type-var]  # generators, both sources
        _window(batches, bench.budget.seconds)  # fills what is read ahead
        began, images = time.process_time(), 0
        windows, waited = [], []
        for _ in range(bench.budget.windows):
            times, rows = _window(batches, bench.budget.seconds)
            waited += times
            windows.append(sum(times) / len(times))
            images += rows
        cpu = (time.process_time() - began) / images
    timing = Timing(tuple(waited), tuple(windows))
    return {
        "dtype": "uint8",
        **speed_figures(timing, batch_size, bench.mesh.size),
        "cpu_ms_per_image": 1e3 * cpu,
        "images_per_second_per_core": 1 / cpu if cpu else None,
        "cores": available_cores(),
    }


def train_row(bench: Bench, batch_size: int, dtype: str) -> dict[str, Any]:
    """The training loop as `jaxpose.train` runs it, between its evaluations and checkpoints."""
    records = _records(bench, bench.row_config(batch_size, dtype))
    config, peaks = records.config, bench.peaks(dtype)
    task = make_task(config)
    bench.phase("compiling the training step")
    program = train_program(config, task, bench.mesh)
    state = replicate(bench.mesh, starting_state(config, task))
    with (
        TemporaryDirectory() as folder,
        closing(records.train(0)) as batches,  # type: ignore[type-var]
    ):
        stepper = Stepper(program, state, _put(bench, task, next(batches)), make_key(bench, config))
        steps = max(_LEAST_STEPS, bench.budget.calls(_seconds_of_steps(stepper)))
        bench.phase("training")
        stamps = _run_loop(bench, task, config, program, stepper.state, batches, steps, folder)
        rows = [json.loads(line) for line in (Path(folder) / FILE_NAME).read_text().splitlines()]
    timing, stalls = loop_timing(rows[1:], np.diff(stamps[steps:]).tolist(), batch_size)
    return {
        **speed_figures(timing, batch_size, bench.mesh.size),
        **utilisation_figures(program, timing.seconds, peaks),
        **program.figures(),
        "stall_fraction": float(np.median(stalls)),
        "window_stall_fraction": stalls,
    }


def loop_timing(
    rows: list[dict[str, Any]], between: list[float], batch_size: int
) -> tuple[Timing, list[float]]:
    """Timing and stall fractions from rows of metrics.jsonl.

    Args:
      rows: of the windows that count.
      between: seconds from one batch's arrival to the next one's.
      batch_size: images of a step.
    """
    windows = tuple(batch_size / row["images_per_second"] for row in rows)
    return Timing(tuple(between), windows), [row["input/stall_fraction"] for row in rows]


def _records(bench: Bench, config: ConfigDict) -> Records:
    bench.phase("opening the records")
    records = prepare_records(config, bench.workdir)
    bench.data = f"{config.data.source}: {records.describe()}"
    return records


def _window(batches: Batches, seconds: float) -> tuple[list[float], int]:
    """Take batches for so many seconds, one at least: seconds of each and images of all."""
    times: list[float] = []
    images = 0
    mark = began = time.perf_counter()
    while not times or mark - began < seconds:
        images += len(next(batches)["mask"])
        now = time.perf_counter()
        times.append(now - mark)
        mark = now
    return times, images


def _put(bench: Bench, task: Task, host: Mapping[str, Any]) -> dict[str, jax.Array]:
    return put_batch(bench.mesh, host, task.example)


def _seconds_of_steps(stepper: Stepper) -> float:
    """Seconds of the last of a few steps."""
    for _ in range(_FIRST_STEPS):
        started = time.perf_counter()
        jax.block_until_ready(stepper())
    return time.perf_counter() - started


def _run_loop(
    bench: Bench,
    task: Task,
    config: ConfigDict,
    program: Program,
    state: TrainState,
    batches: Batches,
    steps: int,
    folder: str,
) -> list[float]:
    """Run windows of so many steps, one to warm up; returns when each batch arrived.

    The loop ends with its batches, one step before its plan does, so nothing is saved or scored.
    """
    total = steps * (bench.budget.windows + 1)
    stamps: list[float] = []
    with (
        Checkpoints(Path(folder) / "checkpoints") as checkpoints,
        MetricWriter(folder, console_seconds=math.inf, tensorboard=False) as writer,
    ):
        loop = Loop(
            plan=Plan(total=total + 1, log_every=steps, eval_every=0, save_every=0),
            step=program.run,
            put=partial(_put, bench, task),
            evaluate=None,
            checkpoints=checkpoints,
            writer=writer,
            stop=StopRequest(),  # not entered: Ctrl-C ends a benchmark as any other program
            key=make_key(bench, config),
            ledger=Ledger(Path(folder), config.non_finite, config.non_finite_budget),
            watchdog=Watchdog(0),
        )
        with suppress(StopIteration):
            loop.run(state, 0, _stamped(islice(batches, total), stamps))
    return stamps


def _stamped(batches: Batches, stamps: list[float]) -> Batches:
    for batch in batches:
        stamps.append(time.perf_counter())
        yield batch
