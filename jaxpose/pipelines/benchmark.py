"""Measure one mode over batch sizes and dtypes; a row for each, also where memory runs out."""

import gc
import itertools
import json
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import jax
from ml_collections import ConfigDict
from tqdm import tqdm

from jaxpose.annotations.json_files import write_json
from jaxpose.config import to_json, without_paths
from jaxpose.errors import UsageError
from jaxpose.inference.options import Options
from jaxpose.inference.options import batch_sizes as default_sizes
from jaxpose.pipelines.benchmark_bench import Bench
from jaxpose.pipelines.benchmark_compare import SCHEMA
from jaxpose.pipelines.benchmark_compile import Compilations
from jaxpose.pipelines.benchmark_frames import Frames
from jaxpose.pipelines.benchmark_machine import MemoryWatch, machine
from jaxpose.pipelines.benchmark_predict import networks_of, predict_row
from jaxpose.pipelines.benchmark_step import infer_row, step_row
from jaxpose.pipelines.benchmark_table import table_lines
from jaxpose.pipelines.benchmark_timing import Budget
from jaxpose.pipelines.benchmark_train import input_row, train_row
from jaxpose.pipelines.config_checks import check_config
from jaxpose.training.sharding import data_mesh, distributed_start, local_rows

Measure = Callable[[Bench, int, str], dict[str, Any]]
MODES: dict[str, Measure] = {
    "input": input_row,
    "step": step_row,
    "train": train_row,
    "infer": infer_row,
}
_FRAME_SIZE = (1280, 720)
_NO_MEMORY = "RESOURCE_EXHAUSTED"  # how XLA's errors begin


def benchmark(
    mode: str,
    config: ConfigDict | None,
    name: str,
    *,
    batch_sizes: Sequence[str | int] = (),
    dtypes: Sequence[str] = (),
    windows: int = 5,
    seconds: float = 1.0,
    workdir: str | None = None,
    output: str | None = None,
    **of_predict: Any,
) -> dict[str, Any]:
    """Measure, print a table, and write `output` after every row.

    Args:
      mode: one of `MODES`, or 'predict'.
      config: of the run that is measured; not needed for predict with checkpoints.
      name: of the config, for the table.
      batch_sizes, dtypes: every combination is a row; the config's own where empty.
      windows, seconds: see `benchmark_timing.Budget`.
      workdir: where drawn people are; runs/<name> without.
      output: JSON file.
      of_predict: detector, pose, detector_config and people of `networks_of`; inputs, frame_size
        and pose_batch_size.

    Returns:
      what the JSON file holds.

    Raises:
      UsageError, DataError, CheckpointError: what the user can mend.
    """
    if config is not None:
        distributed_start(config.distributed)
        config = config.copy_and_resolve_references().unlock()
        check_config(config)
    bench = Bench(
        config,
        data_mesh(),
        Budget(windows, seconds),
        Path(workdir or f"runs/{name}"),
        lambda _: None,
    )
    if mode == "predict":
        measure, own = _prepared_predict(bench, of_predict)
        name = name or bench.data
    else:
        measure, own = MODES[mode], _own_choice(mode, config)
    choices = checked_choices(bench, mode, batch_sizes or [own[0]], dtypes, own[1])
    document = _empty_document(bench, mode, name, of_predict)
    _sweep(bench, measure, choices, document, output)
    if jax.process_index() == 0:
        for line in table_lines(document):
            print(line)
    return document


def _empty_document(bench: Bench, mode: str, name: str, options: dict[str, Any]) -> dict[str, Any]:
    """Everything but the rows, for JSON."""
    settings = bench.config and json.loads(without_paths(to_json(bench.config)))
    return {
        "schema": SCHEMA,
        "mode": mode,
        "config": name,
        "settings": settings,
        "options": {key: str(v) for key, v in options.items() if key != "detector_config"},
        "machine": machine(),
        "budget": bench.budget._asdict(),
        "data": "",
        "rows": [],
    }


def checked_choices(
    bench: Bench, mode: str, sizes: Sequence[str | int], dtypes: Sequence[str], own_dtype: str
) -> list[tuple[int, str]]:
    """Batch size and dtype of every row; what cannot be measured is refused before anything is.

    Raises:
      UsageError: a size that is no number or does not fit the devices, a dtype without meaning.
    """
    if dtypes and mode == "input":
        raise UsageError("--dtypes has no meaning for --mode=input, whose batches are uint8")
    numbers = [_batch_size(text) for text in sizes]
    choices = list(itertools.product(numbers, dtypes or [own_dtype]))
    for size, dtype in choices:
        if bench.config is not None:
            bench.row_config(size, dtype)
        elif dtype not in ("float32", "bfloat16"):
            raise UsageError(f"--dtypes={dtype}: choose float32 or bfloat16")
        if mode != "predict":
            local_rows(bench.mesh, size)
    return choices


def _batch_size(text: str | int) -> int:
    if not str(text).isdecimal() or int(text) < 1:
        raise UsageError(f"--batch_sizes={text}: give whole numbers from 1")
    return int(text)


def _own_choice(mode: str, config: ConfigDict | None) -> tuple[int, str]:
    assert config is not None
    size = config.eval.batch_size if mode == "infer" else config.batch_size
    return int(size), config.model.dtype


def _prepared_predict(bench: Bench, given: dict[str, Any]) -> tuple[Measure, tuple[int, str]]:
    """How a row is measured, and the batch size and dtype that are taken without others."""
    given = dict(given)
    inputs, size = given.pop("inputs", ()), given.pop("frame_size", _FRAME_SIZE)
    people_a_batch = given.pop("pose_batch_size", None)
    if len(size) != 2 or not all(str(side).isdecimal() for side in size):
        raise UsageError(f"--frame_size={','.join(map(str, size))}: give width,height in px")
    networks = networks_of(bench.config, **given)
    frames = Frames(inputs, (int(size[0]), int(size[1])), networks.boxes)
    bench.data = networks.words
    network = networks.pose or networks.detector
    assert network is not None
    own = (default_sizes(Options(), None).frames, network.config.model.dtype)
    return partial(predict_row, networks, frames, people_a_batch), own


def _sweep(
    bench: Bench,
    measure: Measure,
    choices: Sequence[tuple[int, str]],
    document: dict[str, Any],
    output: str | None,
) -> None:
    """Add the rows to the document, and write it as far as it is."""
    primary = jax.process_index() == 0

    def write() -> None:
        document["data"] = bench.data
        if output and primary:
            write_json(output, document)

    write()  # what cannot be written shows before the first hour
    with tqdm(total=len(choices), unit="row", desc="benchmark", disable=not primary) as progress:
        for size, dtype in choices:
            where = f"batch {size}, {dtype}"
            bench.phase = partial(_show_phase, progress, where)
            document["rows"].append(measured_row(bench, measure, size, dtype))
            progress.update()
            write()


def _show_phase(progress: tqdm, where: str, what: str) -> None:
    progress.set_postfix_str(f"{where}: {what}")


def measured_row(bench: Bench, measure: Measure, size: int, dtype: str) -> dict[str, Any]:
    """A row's figures, or why there are none: memory that ran out ends the row, nothing else."""
    row: dict[str, Any] = {"batch_size": size, "dtype": dtype, "status": "ok"}
    if measure in (step_row, train_row, infer_row):
        bench.peaks(dtype)  # before the memory is watched: it takes some itself
    memory = MemoryWatch()
    with Compilations() as compilations:
        try:
            row |= measure(bench, size, dtype)
        except (jax.errors.JaxRuntimeError, MemoryError) as error:
            if isinstance(error, jax.errors.JaxRuntimeError) and _NO_MEMORY not in str(error):
                raise
            row |= {"status": "out of memory", "error": " ".join(str(error).split())[:300]}
    gc.collect()  # what the failed row held
    row |= {"compilations": compilations.programs, "compilations_from_cache": compilations.answered}
    return row | memory.figures()
