"""Every row of the report at tiny size: real commands and configs, tiny networks, drawn people.

What differs from a real run is here: sizes, numbers of steps, and the drawn stand-ins. The figures
say that the chain works from end to end, nothing about the networks. It runs without TensorFlow.
"""

from pathlib import Path
from typing import Any

from jaxpose.pipelines.report_tables import NETWORKS, TABLES, Network, Table
from jaxpose.pipelines.table_commands import Places
from jaxpose.pipelines.table_drawing import DRAWN, FOLDERS, Amount, draw_sets, is_drawn
from jaxpose.pipelines.table_execution import timed

AMOUNT = Amount(train_videos=48, validation_videos=4, frames=4, size=(192, 144))
_CANVAS = 192
# Steps by the side of the detector's input; a run's last fifth has a tenth of its learning rate.
_STEPS = {300: 100, 512: 40}
_DETECTION: dict[str, Any] = {
    "model.width": 0.0625,
    "model.batch_norm": True,
    "batch_size": 4,
    "eval.batch_size": 4,
    "log_every": 10,
    # The same shapes on every data set, so that a program compiled once serves several networks.
    "max_boxes": 8,
    "max_ignored": 8,
    "optimizer.name": "adam",
    "optimizer.momentum": 0.0,
    "optimizer.warmup_steps": 10,
}
_POSE: dict[str, Any] = {
    "model.blocks": 1,
    "model.features": 32,
    "model.depth": 3,
    "input_size": (96, 96),
    "batch_size": 16,
    "eval.batch_size": 16,
    "log_every": 20,
    "steps": 400,
    "optimizer.learning_rate": 2.5e-3,
    "optimizer.drop_epochs": (),
    # Drawn people come upright and at one scale, so little augmentation learns faster.
    "augment.scale": 0.08,
    "augment.rotation": 10.0,
}
_BOTTOM_UP: dict[str, Any] = {
    "model.width": 0.125,
    "model.batch_norm": True,
    "model.stages": 2,
    "input_size": (96, 96),
    "eval.input_size": (144, 192),
    "batch_size": 8,
    "eval.batch_size": 8,
    "max_boxes": 8,
    "max_ignored": 8,
    "log_every": 20,
    "steps": 200,
    "optimizer.name": "adam",
    "optimizer.learning_rate": 2e-3,
    "optimizer.momentum": 0.0,
    "optimizer.weight_decay": 0.0,
}


def changes(network: Network) -> dict[str, Any]:
    """Fields of a network's config that the smoke run changes, with their values."""
    chosen = dict(_POSE if network.task == "pose" else _BOTTOM_UP)
    if network.task == "detection":
        chosen = _DETECTION | {"steps": _STEPS[network.facts["input_size"][0]]}
    chosen["optimizer.drop_steps"] = (chosen["steps"] * 4 // 5,)
    every = {"every_steps": chosen["steps"], "every_epochs": 0.0}
    for part in ("eval", "checkpoint"):
        chosen |= {f"{part}.{name}": value for name, value in every.items()}
    return chosen


def _small(network: Network) -> Network:
    changed = changes(network)
    facts = {name: changed.get(name, value) for name, value in network.facts.items()}
    return network._replace(facts=facts)


def small_tables() -> tuple[Table, ...]:
    """The report's tables with the networks of the smoke run."""
    small = {run: _small(network) for run, network in NETWORKS.items()}
    tables = []
    for table in TABLES:
        rows = []
        for row in table.rows:
            detector, pose = row.detector, row.pose
            rows.append(
                row._replace(
                    detector=detector and small[detector.run], pose=pose and small[pose.run]
                )
            )
        tables.append(table._replace(rows=tuple(rows)))
    return tuple(tables)


def smoke_places(folder: Path, repository: Path) -> Places:
    """Where the smoke run has its things, and the flags that make its networks tiny."""
    flags = {
        run: tuple(f"--config.{name}={value}" for name, value in changes(network).items())
        for run, network in NETWORKS.items()
    }
    return Places(
        runs=folder,
        data_dir=folder / "records",
        given_data_dir=str(folder / "records"),
        sources={name: str(folder / DRAWN / below) for name, below in FOLDERS.items()},
        base_weights={},
        build=(f"--canvas={_CANVAS}", "--noprogress"),
        train=flags,
        repository=repository,
        source="shards",
    )


def draw(folder: Path) -> None:
    """Draw all data sets of the smoke run, unless they are there."""
    if not is_drawn(folder / DRAWN, AMOUNT):
        print("drawing stand-ins for PoseTrack17, MPII, COCO and VOC", flush=True)
        with timed(folder, "draw", "data sets"):
            draw_sets(folder / DRAWN, AMOUNT)
