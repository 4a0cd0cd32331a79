"""The networks in the package: a weight file NAME.npz and its model card NAME.md, side by side.

Whatever lies there is offered; adding a network is adding its two files.
"""

import hashlib
from pathlib import Path
from typing import NamedTuple

from jaxpose.config import from_json, skeleton_of
from jaxpose.errors import CheckpointError, UsageError
from jaxpose.training.weight_file import read_weight_file
from jaxpose.zoo.cards import Scores, read_card

FOLDER = Path(__file__).parent
# What `predict` and `PoseEstimator.restore` take where nothing else is named, by task.
DEFAULTS = {"detection": "person_ssd_small", "pose": "person_hourglass_small"}


class Model(NamedTuple):
    """A network of the package.

    Attributes:
      name: as `jaxpose.restore`, `--detector` and `--pose` take it.
      task: `detection` or `pose`.
      joints: K joint names of a pose network, else ().
      classes: class names of a detector, else ().
      input_size: (height, width) px of what the network gets.
      parameters: number of trained values, without BatchNorm's statistics.
      bytes: size of the file; sha256: of the file, hexadecimal.
      scores: data set/split -> score -> value in percent, from the model card.
      licence: one line on the terms of weights and training data, from the model card.
      path: of the file; its model card lies beside it, with the ending `.md`.
    """

    name: str
    task: str
    joints: tuple[str, ...]
    classes: tuple[str, ...]
    input_size: tuple[int, int]
    parameters: int
    bytes: int
    sha256: str
    scores: Scores
    licence: str
    path: Path


def names() -> tuple[str, ...]:
    """Names of the networks in the package, in alphabetical order."""
    return tuple(sorted(file.stem for file in FOLDER.glob("*.npz")))


def path(name: str) -> Path:
    """File of a network in the package.

    Raises:
      CheckpointError: there is none of this name.
    """
    if name not in names():
        raise CheckpointError(f"no network {name!r} comes with jaxpose; {offer()}")
    return FOLDER / f"{name}.npz"


def default(task: str) -> str:
    """Name of the network that serves a task where nothing else is named.

    Raises:
      UsageError: it is not in this installation.
    """
    if DEFAULTS[task] not in names():
        flag = {"detection": "detector", "pose": "pose"}[task]
        raise UsageError(f"no {task} network comes with this installation; give --{flag}=PATH")
    return DEFAULTS[task]


def offer() -> str:
    """The names, as part of a message."""
    return f"there are: {', '.join(names()) or 'none in this installation'}"


def models() -> list[Model]:
    """What comes with jaxpose; every file is read and its digests are checked.

    Raises:
      CheckpointError: a file is damaged, or has no model card or that of another file.
    """
    return [_model(name) for name in names()]


def file_digest(file: Path) -> str:
    """SHA-256 of a file's bytes, hexadecimal."""
    return hashlib.sha256(file.read_bytes()).hexdigest()


def _model(name: str) -> Model:
    file = path(name)
    handed, card = read_weight_file(file), read_card(file.with_suffix(".md"))
    config, digest = from_json(handed.config), file_digest(file)
    if card.sha256 != digest:
        raise CheckpointError(
            f"{file.with_suffix('.md')} is the card of another file than {file.name}: put back "
            "both, or measure again with tools/model_card.py"
        )
    has_joints = config.task != "detection"
    height, width = config.input_size
    return Model(
        name=name,
        task=config.task,
        joints=skeleton_of(config).joints if has_joints else (),
        classes=() if has_joints else tuple(config.classes),
        input_size=(height, width),
        parameters=sum(value.size for value in handed.weights.params.values()),
        bytes=file.stat().st_size,
        sha256=digest,
        scores=card.scores,
        licence=card.licence,
        path=file,
    )
