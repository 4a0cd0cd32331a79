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
from jaxpose.training.state import abstract_variables, nested
from jaxpose.training.weights import Weights, load_weights


class Restored(NamedTuple):
    """A network with its weights.

    Attributes:
      config: the training run's configuration.
      task: model and its plain functions; `task.skeleton` names the joints.
      variables: nested Linen variables, EMA weights where the run kept them.
      step: training step of the weights.
      digest: sha256 over the leaf digests of the checkpoint.
      predict: uint8 RGB images [B, H, W, 3], one person each, to points [B, K, 2] in px of those
        images and scores [B, K]; jitted, compiles once per shape.
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
      path: workdir, its `checkpoints` folder, or one step's folder.
      step: a certain step instead.

    Raises:
      CheckpointError: nothing intact there, or weights of another architecture.
    """
    weights = load_weights(path, step=step)
    config = from_json(_config_text(epath.Path(path)))
    task = make_task(config)
    variables = _checked_variables(task, weights)
    compiled = jax.jit(task.predict_images)

    def predict(images: Any) -> dict[str, jax.Array]:
        """Joints of one person an image: uint8 RGB [B, H, W, 3]."""
        images = np.asarray(images)
        if images.dtype != np.uint8 or images.ndim != 4 or images.shape[-1] != 3:
            raise ValueError(
                f"predict takes uint8 RGB images [B, H, W, 3], not {images.dtype} {images.shape}"
            )
        return compiled(variables, images)

    return Restored(config, task, variables, weights.step, weights.digest, predict)


def _config_text(path: epath.Path) -> str:
    # The path may be the workdir, its checkpoints folder or a step's folder.
    for folder in (path, path.parent, path.parent.parent):
        if (folder / "config.json").exists():
            return (folder / "config.json").read_text()
    raise CheckpointError(f"{path}: no config.json there or in the two folders above")


def _checked_variables(task: Task, weights: Weights) -> dict[str, Any]:
    wanted = [{p: s.shape for p, s in part.items()} for part in _abstract(task)]
    found = [
        {path: np.shape(value) for path, value in part.items()}
        for part in (weights.params, weights.batch_stats)
    ]
    if found != wanted:
        raise CheckpointError(
            f"step {weights.step}: the weights are not those of the network in config.json"
        )
    return jax.device_put(nested(weights.params, weights.batch_stats))


def _abstract(task: Task) -> tuple[dict[str, Any], dict[str, Any]]:
    return abstract_variables(task.model, task.input_shape)
