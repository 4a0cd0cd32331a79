"""Score a checkpoint on a split and write the figures with the protocol they were measured by."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import cv2
import jax
import numpy as np
from ml_collections import ConfigDict

import jaxpose
from jaxpose.errors import DataError, UsageError
from jaxpose.inference.restore import Restored, restore
from jaxpose.pipelines import bottom_up_report, detection_report, pose_report
from jaxpose.pipelines.config_checks import check_config
from jaxpose.pipelines.prepare import Records, open_sets
from jaxpose.pipelines.record_sets import drawn_folder
from jaxpose.pipelines.scoring import collect
from jaxpose.pipelines.system_protocol import choice, run_name
from jaxpose.tasks import make_task
from jaxpose.training.sharding import (
    data_mesh,
    distributed_start,
    local_rows,
    put_batch,
    replicate,
)
from jaxpose.training.step import make_predict_step
from jaxpose.training.workdir import write_atomic
from jaxpose.zoo.finding import find, is_path

SCORES = "scores.json"
_REPORTS = {"pose": pose_report, "detection": detection_report, "bottom_up": bottom_up_report}
PROTOCOLS = {task: report.protocol for task, report in _REPORTS.items()}
TABLES = {task: report.table for task, report in _REPORTS.items()}


def evaluate(
    workdir: str,
    *,
    step: int | None = None,
    dataset: str | None = None,
    split: str | None = None,
    data_dir: str | None = None,
    source: str | None = None,
    flip_test: bool | None = None,
    batch_size: int | None = None,
    output_dir: str | None = None,
    distributed: str = "off",
    **of_detectors: Any,
) -> dict[str, Any]:
    """Score a run's checkpoint; None takes what the run's config says.

    `workdir` may be any checkpoint that `jaxpose.restore` takes; `output_dir` is needed for one
    that is no training run's folder, since results go nowhere else then.
    `flip_test` is of pose networks, `of_detectors` are fields of `config.eval` of detectors
    (score_thresholds of the sweep, rule, iou_threshold, plus_one, inclusive and difficult of VOC
    AP). Prints a table and writes `scores.json` and `pictures/evaluation.png` into `output_dir`,
    else the workdir; for another data set or split than the run's own, into
    `eval_<data set>_<split>` in the workdir.

    With `distributed` 'auto' (see `sharding.distributed_start`) each process of a job reads and
    predicts its rows of each batch; all of them get all scores, process 0 prints and writes.

    Returns:
      what scores.json holds: flat metrics and a `protocol` block.

    Raises:
      CheckpointError: no intact checkpoint. DataError: no such records or split. UsageError: an
        option of the other task, or a detector without any class of the data set.
    """
    distributed_start(distributed, option="--distributed")
    if not output_dir and not (is_path(workdir) and find(workdir).is_dir()):
        raise UsageError(f"--output_dir is needed beside {workdir}, which is no run's folder")
    restored = restore(workdir, step)
    records = opened_split(
        workdir, restored, dataset=dataset, split=split, data_dir=data_dir, source=source,
        flip_test=flip_test, batch_size=batch_size, **of_detectors,
    )  # fmt: skip
    evaluator, sheet = one_pass(restored, records, records.validation())
    metrics = evaluator.result()
    made = _provenance(restored, records)
    made |= {"run": run_name(workdir), "checkpoint_choice": choice(restored.config, step)}
    report = metrics | {"protocol": PROTOCOLS[restored.config.task](records) | made}
    if jax.process_index() == 0:
        own = _folder(Path(workdir), restored.config, records.config)
        folder = Path(output_dir) if output_dir else own
        _write(folder, report, sheet)
        for line in TABLES[restored.config.task](report, records):
            print(line)
        print(f"written to {folder / SCORES}")
    return report


def _write(folder: Path, report: Mapping[str, Any], sheet: Any) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    write_atomic(folder / SCORES, json.dumps(report, indent=2))
    if sheet is not None:
        (folder / "pictures").mkdir(exist_ok=True)
        cv2.imwrite(str(folder / "pictures" / "evaluation.png"), sheet[..., ::-1])


def opened_split(
    workdir: str,
    restored: Restored,
    *,
    dataset: str | None = None,
    split: str | None = None,
    data_dir: str | None = None,
    source: str | None = None,
    flip_test: bool | None = None,
    batch_size: int | None = None,
    **of_detectors: Any,
) -> Records:
    """The split that is scored, as `validation_set`; arguments and errors as of `evaluate`."""
    config = restored.config.copy_and_resolve_references().unlock()
    _set_data(config, dataset, split, source)
    config.data_dir = data_dir or _own_data(config, Path(workdir))
    _set_options(config, flip_test, batch_size, of_detectors)
    return open_sets(config)


def one_pass(
    restored: Restored, records: Records, batches: Iterable[Mapping[str, Any]]
) -> tuple[Any, np.ndarray | None]:
    """The task's evaluator after one pass over batches of the records, and the first as a picture.

    It scores by the options of `records.config`.
    """
    task = make_task(records.config)
    mesh = data_mesh()
    local_rows(mesh, records.config.eval.batch_size)
    return collect(
        task,
        make_predict_step(task, mesh),
        replicate(mesh, restored.variables),
        batches,
        lambda batch: put_batch(mesh, batch, names=task.example),
    )


def _folder(workdir: Path, own: ConfigDict, scored: ConfigDict) -> Path:
    """Where scores go: those of another set must not take the place of the run's own."""
    data_set, split = scored.data.eval, scored.data.eval_split
    if (data_set, split) == (own.data.eval, own.data.eval_split):
        return workdir
    return workdir / f"eval_{data_set}_{split}"


def _set_data(
    config: ConfigDict,
    dataset: str | None,
    split: str | None,
    source: str | None,
) -> None:
    if config.task == "detection" and dataset not in (None, config.data.eval):
        config.eval.classes = ()  # all that network and that data set share
    config.data.eval = dataset or config.data.eval
    config.data.eval_split = split or config.data.eval_split
    # The training sets need not be at hand.
    config.data.train, config.data.train_split = (config.data.eval,), config.data.eval_split
    config.data.source = source or config.data.source


def _own_data(config: ConfigDict, workdir: Path) -> str:
    """The run's own data folder; drawn people have moved with a workdir that was moved."""
    if not config.data.synthetic.train_videos or Path(config.data_dir).is_dir():
        return config.data_dir
    moved = drawn_folder("", workdir)
    if not moved.is_dir():
        raise DataError(
            f"{config.data_dir}: the drawn people of this run are gone; run its training command "
            "again to draw them, or name another folder of records with --data_dir"
        )
    return str(moved)


def _set_options(
    config: ConfigDict,
    flip_test: bool | None,
    batch_size: int | None,
    of_detectors: Mapping[str, Any],
) -> None:
    if flip_test is not None:
        if config.task == "detection":
            raise UsageError("--flip_test is of pose networks; this checkpoint holds a detector")
        config.eval.flip_test = flip_test
    if of_detectors and config.task != "detection":
        strangers = ", ".join(f"--{name}" for name in of_detectors)
        raise UsageError(f"{strangers}: of detectors only; this checkpoint finds poses")
    config.eval.update({name: _plain(value) for name, value in of_detectors.items()})
    if batch_size is not None and batch_size < 1:
        raise UsageError(f"--batch_size is {batch_size}; it must be 1 or more")
    config.eval.batch_size = batch_size or config.eval.batch_size
    check_config(config)


def _plain(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _provenance(restored: Restored, records: Records) -> dict[str, Any]:
    """The part of the protocol that all tasks share: data, checkpoint, versions."""
    config, manifest = records.config, records.validation_set
    return {
        "data_set": manifest.dataset,
        "data_digest": manifest.source_digest,
        "split": config.data.eval_split,
        "records": config.data.source,
        "notes": list(manifest.notes),
        "input_size": list(config.input_size),
        "checkpoint_step": restored.step,
        "checkpoint_digest": restored.digest,
        "jaxpose": jaxpose.__version__,
        "jax": jax.__version__,
        "device": jax.devices()[0].device_kind,
    }
