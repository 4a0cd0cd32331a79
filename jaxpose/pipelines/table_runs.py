"""The training runs that lie in a folder, and which network of the report each one is."""

import json
import runpy
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from jaxpose.errors import CheckpointError
from jaxpose.pipelines.report_tables import Network
from jaxpose.training.saved_steps import list_steps
from jaxpose.training.weights import chosen_step

# Parts of a config that make the network what it is; the rest says where and how often.
_RECIPE = ("augment", "batch_size", "default_boxes", "ema_decay", "epochs", "grouping", "heatmap",
           "init_from", "matching", "mean", "midpoints", "model", "optimizer", "part_limbs",
           "steps", "targets")  # fmt: skip


class Run(NamedTuple):
    """A training run as it lies on disk.

    Attributes:
      folder: its workdir.
      fields: its config by dotted name, lists as tuples.
      step, digest: of the checkpoint that evaluation takes now.
      newest: last step that was saved.
    """

    folder: Path
    fields: Mapping[str, Any]
    step: int
    digest: str
    newest: int

    @property
    def finished(self) -> bool:
        """Whether its steps are done; a config in epochs does not tell."""
        return self.newest >= self.fields.get("steps", 0)

    def differs(self, facts: Mapping[str, Any]) -> list[str]:
        """Names of the facts that are not this run's."""
        return [name for name, value in facts.items() if self.fields.get(name) != value]


def find_runs(folder: Path) -> list[Run]:
    """Runs in the folders below `folder` that have a checkpoint, sorted by name.

    A damaged run, or one of another version of this package, is left out with a line on stderr: it
    may be of no table at all.
    """
    found = []
    for file in sorted(folder.glob("*/config.json")):
        try:
            found += _read_run(file)
        except CheckpointError as error:
            print(f"run left out: {error}", file=sys.stderr)
    return found


def _read_run(file: Path) -> list[Run]:
    """The run of a config file; none without a checkpoint."""
    chosen, fields = chosen_step(file.parent), _read_fields(file)
    if chosen is None:
        return []
    newest = max(list_steps(file.parent / "checkpoints"))
    return [Run(file.parent, fields, *chosen, newest)]


def _read_fields(file: Path) -> dict[str, Any]:
    try:
        return flat(json.loads(file.read_text(encoding="utf-8")))
    except (OSError, ValueError, AttributeError) as error:
        raise CheckpointError(f"{file} is damaged ({error}); put back a copy") from None


def runs_of(network: Network, runs: Sequence[Run]) -> list[Run]:
    """Those of the runs that are this network, trained on the data sets themselves."""
    facts = {**network.facts, "task": network.task, "data.synthetic.train_videos": 0}
    return [run for run in runs if not run.differs(facts)]


def flat(config: Any, prefix: str = "") -> dict[str, Any]:
    """Nested dicts as one with dotted names; lists become tuples, as configs have them."""
    fields: dict[str, Any] = {}
    for name, value in config.items():
        if isinstance(value, Mapping):
            fields |= flat(value, f"{prefix}{name}.")
        else:
            fields[prefix + name] = tuple(value) if isinstance(value, list) else value
    return fields


def recipe_of(network: Network, repository: Path) -> dict[str, Any]:
    """The fields of a network's config file, by dotted name; the file is code and is run."""
    file, _, variant = network.config.partition(":")
    config = runpy.run_path(str(repository / file))["get_config"](variant or None)
    return flat(json.loads(config.to_json()))


def deviations(run: Run, recipe: Mapping[str, Any]) -> list[str]:
    """What the run does not do as its config file says, as `name = value (file's value)`."""
    listed = []
    for name, value in run.fields.items():
        asked = recipe.get(name)
        if name.split(".")[0] in _RECIPE and name != "model.base_weights" and value != asked:
            listed.append(f"{name} = {value} ({asked})")
    if run.fields.get("model.base_weights") == "" and not run.fields.get("model.batch_norm"):
        listed.append("no ImageNet weights in its base")
    return listed
