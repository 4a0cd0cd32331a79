"""Find, or make, the record folders that a config names, and fill in what they decide."""

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
from ml_collections import ConfigDict

from jaxpose.data.manifest import Manifest, open_records
from jaxpose.data.pipeline import eval_batches, train_batches
from jaxpose.errors import DataError
from jaxpose.pipelines.config_checks import check_config
from jaxpose.pipelines.make_records import make_records
from jaxpose.pipelines.missing import missing_message
from jaxpose.pipelines.record_sets import (
    RECORDS,
    drawn_folder,
    fill_in,
    record_folders,
    scored_rows,
    training_rows,
)
from jaxpose.training.sharding import wait_for_processes


@dataclass(frozen=True)
class Records:
    """The opened data sets of a run.

    Attributes:
      config: the run's config with what the records decide filled in.
      train_sets: manifests in the order of `config.data.train`; validation_set: the scored one.
    """

    config: ConfigDict
    train_sets: tuple[Manifest, ...]
    validation_set: Manifest

    @property
    def steps_per_epoch(self) -> float:
        """Training steps in which as many records pass as the training splits hold."""
        split = self.config.data.train_split
        return sum(s.split(split).records for s in self.train_sets) / self.config.batch_size

    def train(self, start_step: int) -> Iterator[Mapping[str, Any]]:
        """Endless training batches of this process, from a step on."""
        data = self.config.data
        return train_batches(
            [manifest.path for manifest in self.train_sets],
            weights=tuple(data.weights) or None,
            rows=training_rows(self.config),
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
        """One pass over the validation split, each record once."""
        return self.one_pass(self.validation_set, self.config.data.eval_split)

    def one_pass(self, manifest: Manifest, split: str) -> Iterator[Mapping[str, Any]]:
        """One pass over a split, this process's rows; padding rows have mask 0."""
        return eval_batches(
            manifest.path,
            split,
            rows=scored_rows(self.config, manifest, split),
            batch_size=self.config.eval.batch_size,
            process_index=jax.process_index(),
            process_count=jax.process_count(),
            source=self.config.data.source,
        )

    def describe(self) -> str:
        """One line: data sets, splits and how many people or images each holds."""
        data, kind = self.config.data, RECORDS[self.config.task]
        train = ", ".join(
            f"{manifest.dataset} ({manifest.split(data.train_split).records} {kind})"
            for manifest in self.train_sets
        )
        scored = self.validation_set.split(data.eval_split).records
        return f"train on {train}; score on {data.eval} {data.eval_split} ({scored} {kind})"


def prepare_records(config: ConfigDict, workdir: Path) -> Records:
    """Open the records of a config; drawn and custom sets are made first where they are missing.

    Process 0 makes them while the others wait.

    Raises:
      DataError: records are missing (the message says how to get each), or damaged.
    """
    config = copy.deepcopy(config).unlock()
    check_config(config)
    if config.data.synthetic.train_videos:
        config.data_dir = str(drawn_folder(config.data_dir, workdir))
    if jax.process_index() == 0:
        make_records(config)
    wait_for_processes("the records are there")
    return open_sets(config)


def open_sets(config: ConfigDict) -> Records:
    """Open the built record folders of a config and fill in what they decide.

    Raises:
      DataError: records are missing or damaged.
    """
    folders = record_folders(config)
    missing = [name for name, folder in folders.items() if not folder.exists()]
    if missing:
        raise DataError(missing_message(config, missing))
    opened = {name: open_records(folder) for name, folder in folders.items()}
    train_sets = tuple(opened[name] for name in config.data.train)
    fill_in(config, train_sets, opened[config.data.eval])
    return Records(config.lock(), train_sets, opened[config.data.eval])
