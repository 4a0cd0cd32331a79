"""Score a checkpoint on a split and write the figures with the protocol they were measured by."""

import json
from pathlib import Path
from typing import Any

import cv2
import jax

import jaxpose
from jaxpose.config import skeleton_of
from jaxpose.errors import CheckpointError, UsageError
from jaxpose.inference.restore import Restored, restore
from jaxpose.pipelines.prepare import Records, open_sets
from jaxpose.pipelines.scoring import score
from jaxpose.skeletons import conversion
from jaxpose.tasks import make_task
from jaxpose.training.sharding import data_mesh, local_rows, put_batch, replicate
from jaxpose.training.step import make_predict_step
from jaxpose.training.workdir import write_atomic

SCORES = "scores.json"


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
) -> dict[str, Any]:
    """Score a run's checkpoint; None takes what the run's config says.

    Writes `scores.json` and `pictures/evaluation.png` into the workdir and prints a table.

    Returns:
      what scores.json holds: flat metrics and a `protocol` block.

    Raises:
      CheckpointError: no intact checkpoint. DataError: no such records or split.
    """
    if not Path(workdir).is_dir():
        raise CheckpointError(f"{workdir}: no such folder; --workdir is a training run's folder")
    restored = restore(workdir, step)
    config = restored.config.copy_and_resolve_references().unlock()
    config.data.eval = dataset or config.data.eval
    config.data.train = (config.data.eval,)  # the training sets need not be at hand
    config.data.eval_split = split or config.data.eval_split
    config.data_dir = data_dir or config.data_dir
    config.data.source = source or config.data.source
    config.eval.flip_test = config.eval.flip_test if flip_test is None else flip_test
    config.eval.batch_size = batch_size or config.eval.batch_size
    if config.eval.batch_size < 1:
        raise UsageError(f"--batch_size is {config.eval.batch_size}; it must be 1 or more")
    records = open_sets(config)
    metrics, sheet = _score(restored, records)
    report = metrics | {"protocol": protocol(restored, records)}
    folder = Path(workdir)
    write_atomic(folder / SCORES, json.dumps(report, indent=2))
    if sheet is not None:
        (folder / "pictures").mkdir(exist_ok=True)
        cv2.imwrite(str(folder / "pictures" / "evaluation.png"), sheet[..., ::-1])
    for line in table(report, records):
        print(line)
    print(f"written to {folder / SCORES}")
    return report


def _score(restored: Restored, records: Records) -> tuple[dict[str, Any], Any]:
    task = make_task(records.config)
    mesh = data_mesh()
    local_rows(mesh, records.config.eval.batch_size)
    return score(
        task,
        make_predict_step(task, mesh),
        replicate(mesh, restored.variables),
        records.validation(),
        lambda batch: put_batch(mesh, batch, names=task.example),
    )


def protocol(restored: Restored, records: Records) -> dict[str, Any]:
    """How the figures came about: everything that a comparison must agree on."""
    config, manifest = records.config, records.validation_set
    shared = int((conversion(manifest.skeleton, skeleton_of(config)) >= 0).sum())
    network, data = skeleton_of(config).size, manifest.skeleton.size
    return {
        "data_set": manifest.dataset,
        "data_digest": manifest.source_digest,
        "split": config.data.eval_split,
        "records": config.data.source,
        "boxes": "ground truth: one crop a person, from its own annotation",
        "joints": f"{shared} common (network {network}, data set {data})",
        "flip_test": bool(config.eval.flip_test),
        "pckh": "distance <= 0.5 head sizes; head size = 0.6 x head box diagonal, see notes",
        "pck": "distance <= 0.2 x longer side of the person box",
        "mean": "unweighted over joints, without pelvis and thorax",
        "oks": "pycocotools, 10 thresholds from 0.50 to 0.95, sigmas of the joint set",
        "notes": list(manifest.notes),
        "input_size": list(config.input_size),
        "checkpoint_step": restored.step,
        "checkpoint_digest": restored.digest,
        "jaxpose": jaxpose.__version__,
        "jax": jax.__version__,
        "device": jax.devices()[0].device_kind,
    }


def table(report: dict[str, Any], records: Records) -> list[str]:
    """The scores as lines of text: one a joint, then the means."""
    names = [name for name in ("pckh", "pck") if name in report]
    joints = [j for j in skeleton_of(records.config).joints if f"pck_{j}" in report]
    lines = ["joint             " + "".join(f"{name:>8s}" for name in names)]
    for label, suffix in [*((j, f"_{j}") for j in joints), ("mean", "")]:
        cells = "".join(f"{report.get(name + suffix, float('nan')):8.2f}" for name in names)
        lines.append(f"{label:18s}{cells}")
    lines += [f"{name}: {report[name]:.2f}" for name in report if name.startswith("oks_")]
    data = records.config.data
    lines.append(
        f"{report['people']} people of {data.eval} {data.eval_split}, step "
        f"{report['protocol']['checkpoint_step']}, joints {report['protocol']['joints']}"
    )
    return lines
