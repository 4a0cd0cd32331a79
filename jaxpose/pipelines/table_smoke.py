"""Every row of the report at tiny size: real commands and configs, tiny networks, drawn people.

What differs from a real run is here: sizes, numbers of steps, and the drawn stand-ins. The figures
say that the chain works from end to end, nothing about the networks.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jaxpose.pipelines.report_tables import (
    NETWORKS,
    POSE_MPII,
    POSE_POSETRACK,
    SSD_POSETRACK,
    TABLES,
    Network,
    Table,
)
from jaxpose.pipelines.table_commands import Command, Places, folder_of
from jaxpose.pipelines.table_drawing import FOLDERS, POSETRACK, Amount, draw_sets
from jaxpose.pipelines.table_execution import timed
from jaxpose.pipelines.table_runs import Run

AMOUNT = Amount(train_videos=24, validation_videos=4, frames=4, size=(192, 144))
_CANVAS = 192
# Networks whose people OpenPose's tables get, written as OpenPose writes them.
STAND_INS: Mapping[str, tuple[Network, Network]] = {
    "mpii": (SSD_POSETRACK, POSE_MPII),
    "posetrack": (SSD_POSETRACK, POSE_POSETRACK),
}
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
    "optimizer.drop_steps": (),
}
_POSE: dict[str, Any] = {
    "model.blocks": 1,
    "model.features": 32,
    "model.depth": 3,
    "input_size": (96, 96),
    "batch_size": 16,
    "eval.batch_size": 16,
    "log_every": 20,
    "steps": 150,
    "optimizer.learning_rate": 2.5e-3,
    "optimizer.drop_epochs": (),
    # Drawn people come upright and at one scale, so little augmentation learns faster.
    "augment.scale": 0.08,
    "augment.rotation": 10.0,
}


def changes(network: Network) -> dict[str, Any]:
    """Fields of a network's config that the smoke run changes, with their values."""
    chosen = dict(_POSE)
    if network.task == "detection":
        chosen = _DETECTION | {"steps": _STEPS[network.facts["input_size"][0]]}
    every = {"every_steps": chosen["steps"], "every_epochs": 0.0}
    both = {f"{part}.{name}": value for part in ("eval", "checkpoint") for name, value in every.items()}
    return chosen | both


def _small(network: Network) -> Network:
    changed = changes(network)
    facts = {name: changed.get(name, value) for name, value in network.facts.items()}
    return network._replace(facts=facts)


def small_tables() -> tuple[Table, ...]:
    """The report's tables, their networks those of the smoke run."""
    small = {run: _small(network) for run, network in NETWORKS.items()}

    def replaced(network: Network | None) -> Network | None:
        return network and small[network.run]

    return tuple(
        table._replace(
            rows=tuple(
                row._replace(detector=replaced(row.detector), pose=replaced(row.pose))
                for row in table.rows
            )
        )
        for table in TABLES
    )


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
        sources={name: str(folder / "drawn" / below) for name, below in FOLDERS.items()},
        base_weights="",
        build=(f"--canvas={_CANVAS}", "--noprogress"),
        train=flags,
        repository=repository,
    )


def draw(folder: Path) -> None:
    """Draw all data sets of the smoke run, unless they are there."""
    with timed(folder, "draw", "drawn stand-ins for PoseTrack17, MPII, COCO and VOC"):
        draw_sets(folder / "drawn", AMOUNT)


def openpose_folders(folder: Path) -> dict[str, Path]:
    """Where the files in OpenPose's format are, by what their OpenPose would be trained on."""
    return {trained: folder / f"openpose_{trained}" / "openpose" for trained in STAND_INS}


def stand_in_commands(
    tables: Sequence[Table], folder: Path, places: Places, runs: Sequence[Run]
) -> list[Command]:
    """The commands that write them: two systems' people of the validation split."""
    commands = []
    for table in tables:
        detector, pose = (folder_of(n, places, runs) for n in STAND_INS[table.openpose])
        words = (
            "-m",
            "jaxpose.predict",
            f"{places.sources[POSETRACK]}/images/val",
            f"--detector={detector}",
            f"--pose={pose}",
            "--format=openpose",
            f"--output_dir={openpose_folders(folder)[table.openpose].parent}",
        )
        commands.append(Command(words, (table.number,)))
    return commands
