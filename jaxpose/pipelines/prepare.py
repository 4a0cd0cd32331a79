"""Find, or make, the record folders that a config names, and fill in what they decide."""

import copy
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
from jax.experimental import multihost_utils
from ml_collections import ConfigDict
from tqdm import tqdm

from jaxpose.config import set_skeleton, skeleton_of
from jaxpose.data.manifest import Manifest, open_records, record_folder
from jaxpose.data.pipeline import eval_batches, train_batches
from jaxpose.data.requirements import REQUIREMENTS
from jaxpose.data.sources import Source
from jaxpose.errors import DataError, UsageError
from jaxpose.pipelines.config_checks import check_config


@dataclass(frozen=True)
class Records:
    """The opened data sets of a run.

    Attributes:
      config: the run's config with joint set and canvas filled in.
      train_sets: manifests in the order of `config.data.train`; validation_set: the scored one.
    """

    config: ConfigDict
    train_sets: tuple[Manifest, ...]
    validation_set: Manifest

    @property
    def steps_per_epoch(self) -> float:
        """Training steps in which as many persons pass as the training splits hold."""
        split = self.config.data.train_split
        return sum(s.split(split).records for s in self.train_sets) / self.config.batch_size

    def train(self, start_step: int) -> Iterator[Mapping[str, Any]]:
        """Endless training batches of this process, from a step on."""
        data = self.config.data
        return train_batches(
            [manifest.path for manifest in self.train_sets],
            weights=tuple(data.weights) or None,
            target=skeleton_of(self.config),
            batch_size=self.config.batch_size,
            seed=self.config.seed,
            split=data.train_split,
            start_step=start_step,
            process_index=jax.process_index(),
            process_count=jax.process_count(),
            source=data.source,
            window_shards=data.window_shards,
        )

    def validation(self) -> Iterator[Mapping[str, Any]]:
        """One pass over the validation split, each person once."""
        return self.people(self.validation_set, self.config.data.eval_split)

    def people(self, manifest: Manifest, split: str) -> Iterator[Mapping[str, Any]]:
        """One pass over a split, this process's rows; padding rows have mask 0."""
        return eval_batches(
            manifest.path,
            split,
            target=skeleton_of(self.config),
            batch_size=self.config.eval.batch_size,
            process_index=jax.process_index(),
            process_count=jax.process_count(),
            source=self.config.data.source,
        )

    def describe(self) -> str:
        """One line: data sets, splits and how many people each holds."""
        data = self.config.data
        train = ", ".join(
            f"{manifest.dataset} ({manifest.split(data.train_split).records} people)"
            for manifest in self.train_sets
        )
        scored = self.validation_set.split(data.eval_split).records
        return f"train on {train}; score on {data.eval} {data.eval_split} ({scored} people)"


def data_folder(config: ConfigDict) -> Path:
    """`config.data_dir`, else JAXPOSE_DATA, else ~/jaxpose_data."""
    text = config.data_dir or os.environ.get("JAXPOSE_DATA") or "~/jaxpose_data"
    return Path(text).expanduser()


def prepare_records(config: ConfigDict, workdir: Path) -> Records:
    """Open the records of a config; drawn and custom sets are made first where they are missing.

    Process 0 makes them while the others wait.

    Raises:
      DataError: records are missing (the message says how to get each), or damaged.
    """
    config = copy.deepcopy(config).unlock()
    check_config(config)
    if config.data.synthetic.train_videos:
        # Apart from real records, whose names they carry.
        config.data_dir = str(Path(config.data_dir or workdir / "data") / "drawn_people")
    if jax.process_index() == 0:
        _make(config)
    if jax.process_count() > 1:
        multihost_utils.sync_global_devices("records are there")
    return open_sets(config)


def open_sets(config: ConfigDict) -> Records:
    """Open the built record folders of a config and fill in joint set and canvas.

    Raises:
      DataError: records are missing or damaged.
    """
    folders = _folders(config)
    missing = [name for name, folder in folders.items() if not folder.exists()]
    if missing:
        raise DataError(missing_message(config, missing))
    opened = {name: open_records(folder) for name, folder in folders.items()}
    train_sets = tuple(opened[name] for name in config.data.train)
    if config.skeleton == "data":
        set_skeleton(config, train_sets[0].skeleton)
    else:
        set_skeleton(config, skeleton_of(config))
    config.canvas = train_sets[0].canvas
    return Records(config.lock(), train_sets, opened[config.data.eval])


def missing_message(config: ConfigDict, missing: list[str]) -> str:
    """What to do about data sets without records: where from, folder tree, build command."""
    data_dir, source = data_folder(config), config.data.source
    lines = [f"no {source} in {data_dir} for: {', '.join(missing)}"]
    for name in missing:
        lines += how_to_get(name, data_dir, source)
    lines.append("or try the same network on drawn people: add :smoke to the config's name")
    return "\n".join(lines)


def how_to_get(name: str, data_dir: Path, source: str) -> list[str]:
    """Where a data set comes from, its expected folder tree, build command, disk and time."""
    if name not in REQUIREMENTS:
        build = f"build_records.py coco_keypoints --name={name} --data_dir={data_dir}"
        return [f"{name}: a set of your own; name its files in config.data.custom, or {build}"]
    need = REQUIREMENTS[name]
    command = need.command.replace("DATA_DIR", str(data_dir))
    if source != "records":
        command += f" --format={source}"
    tree = "".join(f"\n      {line}" for line in need.tree.splitlines())
    return [
        f"{name}: {need.where}{f' ({need.homepage})' if need.homepage else ''}",
        f"    expected in SOURCE:{tree}",
        f"    build: {command}",
        f"    disk: {need.disk}; time: {need.time}",
    ]


def _folders(config: ConfigDict) -> dict[str, Path]:
    names = dict.fromkeys([*config.data.train, config.data.eval])
    if not config.data.train:
        raise UsageError("config.data.train names no data set")
    return {
        name: record_folder(data_folder(config), name, "people", config.data.source)
        for name in names
    }


def _make(config: ConfigDict) -> None:
    from jaxpose.data.build import build

    custom, drawn = config.data.custom, config.data.synthetic
    if drawn.train_videos:
        _draw(config)
    elif custom.train_json and _may_build(config):
        images, scored = custom.train_images, custom.validation_json
        if not images or not scored:
            raise UsageError(
                "config.data.custom needs train_json, train_images and validation_json "
                "(and validation_images where those lie elsewhere)"
            )
        source = Source(
            Path(images),
            train=Path(custom.train_json),
            validation=Path(scored),
            images=Path(images),
            validation_images=Path(custom.validation_images or images),
        )
        build(
            "coco_keypoints",
            source,
            data_folder(config),
            canvas=2 * max(config.input_size),
            format=config.data.source,
            name=custom.name,
        )


def _may_build(config: ConfigDict) -> bool:
    """Whether the custom set's files are there; without them, its records must be."""
    custom = config.data.custom
    folder = record_folder(data_folder(config), custom.name, "people", config.data.source)
    return Path(custom.train_json).exists() or not folder.exists()


def _draw(config: ConfigDict) -> None:
    """Draw the synthetic set in the original formats of its data sets, and convert those."""
    from jaxpose.annotations.synthetic import write_dataset
    from jaxpose.data.build import build

    drawn, root = config.data.synthetic, data_folder(config)
    names = tuple(dict.fromkeys([*config.data.train, config.data.eval]))
    source = root / "drawn"
    marker, settings = source / "complete", f"seed {config.seed}, {drawn.to_json(sort_keys=True)}"
    if marker.exists() and marker.read_text() != settings:
        raise DataError(f"{source}: drawn with other settings; delete {root} to draw it again")
    if not marker.exists():
        videos = drawn.train_videos + drawn.validation_videos
        shutil.rmtree(source, ignore_errors=True)  # half drawn, by a run that was killed
        with tqdm(total=videos, unit="video", desc="draw") as progress:
            write_dataset(
                source,
                seed=config.seed,
                train_videos=drawn.train_videos,
                val_videos=drawn.validation_videos,
                frames_per_video=drawn.frames,
                formats=tuple(config.data.train),
                val_formats=(config.data.eval,),
                processes=os.cpu_count() or 1,
                progress=progress.update,
            )
        marker.write_text(settings)
    for name in names:
        build(name, source / name, root, canvas=drawn.canvas, format=config.data.source)
