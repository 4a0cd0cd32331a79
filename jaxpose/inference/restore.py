"""A trained network back from its checkpoint, in three lines, on any device count.

import jaxpose
network = jaxpose.restore("runs/quickstart")
joints = network.predict(images_uint8)  # {'points': [B, K, 2], 'scores': [B, K]}
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from etils import epath
from ml_collections import ConfigDict

from jaxpose.config import from_json
from jaxpose.errors import CheckpointError
from jaxpose.tasks import make_task
from jaxpose.tasks.task import Task
from jaxpose.training.leaves import compare_leaves, listed
from jaxpose.training.saved_steps import first_line
from jaxpose.training.state import abstract_variables, nested
from jaxpose.training.weight_file import read_weight_file
from jaxpose.training.weights import Weights, load_weights
from jaxpose.zoo.finding import find


class Restored(NamedTuple):
    """A network with its weights.

    Attributes:
      config: the training run's configuration.
      task: model and its plain functions; `config.joints` or `config.classes` name the outputs.
      variables: nested Linen variables, EMA weights where the run kept them.
      step: training step of the weights.
      digest: sha256 over the leaf digests of the checkpoint.
      predict: uint8 RGB images [B, H, W, 3] to a dict of arrays in px of those images; jitted,
        compiles once per shape. A pose network takes one person an image: points [B, K, 2] and
        scores [B, K]. A detector: people as boxes [B, N, 4] xyxy, scores, classes (1..) and valid
        [B, N]; UsageError where it knows no class `person`. A bottom-up network: the peaks and
        limbs of all people, see `ops.grouping.Candidates`, which `PoseEstimator` makes people of.
    """

    config: ConfigDict
    task: Task
    variables: dict[str, Any]
    step: int
    digest: str
    predict: Callable[[Any], dict[str, jax.Array]]


def restore(path: str | Path, step: int | None = None) -> Restored:
    """Restore a run's network: the best step by its metric, else the newest intact one.

    Args:
      path: workdir, its `checkpoints` folder, one step's folder, a single file of
        tools/export_weights.py, a name of `jaxpose.zoo.list()`, or a URL, see `zoo.finding.find`.
      step: a certain step instead.

    Raises:
      CheckpointError: nothing intact there, or weights of another architecture. UsageError: a URL
        of an unknown kind.
    """
    weights, text, where = _read(find(path), step)
    config = _parsed(text, where)
    task = make_task(config)
    variables = _checked_variables(task, weights)
    compiled = jax.jit(task.predict_images)

    def predict(images: Any) -> dict[str, jax.Array]:
        """What the network finds in uint8 RGB images [B, H, W, 3]."""
        images = np.asarray(images)
        if images.dtype != np.uint8 or images.ndim != 4 or images.shape[-1] != 3:
            raise ValueError(
                f"predict takes uint8 RGB images [B, H, W, 3], not {images.dtype} {images.shape}"
            )
        return compiled(variables, images)

    return Restored(config, task, variables, weights.step, weights.digest, predict)


def _read(path: epath.Path, step: int | None) -> tuple[Weights, str, epath.Path]:
    """Weights, the configuration's text, and the file that it is from."""
    if not path.is_file():
        return load_weights(path, step=step), config_text(path), _config_file(path)
    handed = read_weight_file(path)
    if step not in (None, handed.weights.step):
        raise CheckpointError(f"{path} holds step {handed.weights.step}, not {step}")
    return handed.weights, handed.config, path


def config_text(path: str | epath.Path) -> str:
    """The configuration beside a checkpoint, as JSON; `path` as for `restore`.

    Raises:
      CheckpointError: there is none, or it cannot be read.
    """
    file = _config_file(epath.Path(path))
    try:
        return file.read_text()
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{file} cannot be read: {first_line(error)}") from error


def _config_file(path: epath.Path) -> epath.Path:
    # The path may be the workdir, its checkpoints folder or a step's folder.
    for folder in (path, path.parent, path.parent.parent):
        if (folder / "config.json").exists():
            return folder / "config.json"
    raise CheckpointError(f"{path}: no config.json there or in the two folders above")


def _parsed(text: str, where: epath.Path) -> ConfigDict:
    try:
        return from_json(text)
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise CheckpointError(
            f"{where} is damaged ({first_line(error)}); put back a copy, or train into another "
            "--workdir"
        ) from error


def _checked_variables(task: Task, weights: Weights) -> dict[str, Any]:
    params, batch_stats = _abstract(task)
    found = weights.params | weights.batch_stats
    problems = compare_leaves(params | batch_stats, found, check_dtype=False)
    problems += [f"{name}: not wanted" for name in found if name not in params | batch_stats]
    if problems:
        raise CheckpointError(
            f"step {weights.step}: the weights are not those of the network in config.json: "
            f"{listed(problems)}"
        )
    return jax.device_put(nested(weights.params, weights.batch_stats))


def _abstract(task: Task) -> tuple[dict[str, Any], dict[str, Any]]:
    return abstract_variables(task.model, task.input_shape)
