"""Weights of other implementations as checkpoints of this project, or as a base to train from."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from flax.traverse_util import flatten_dict
from ml_collections import ConfigDict

from jaxpose.config import to_json
from jaxpose.errors import CheckpointError, UsageError
from jaxpose.models.pretrained import load_named_weights
from jaxpose.models.pretrained_openpose import SOURCE as OPENPOSE
from jaxpose.models.pretrained_ssd import MEAN, as_reducedfc, base_mean, vgg_base_weights
from jaxpose.models.source_networks import hourglass_of, openpose_of, ssd_of
from jaxpose.models.ssd import SSD
from jaxpose.models.weight_files import read_weights
from jaxpose.pipelines.import_configs import detector_config, hourglass_config, openpose_config
from jaxpose.training.checkpoint import Checkpoints
from jaxpose.training.weight_file import write_weight_file
from jaxpose.training.weights import Weights
from jaxpose.training.workdir import write_atomic

# source -> its names in `load_named_weights`.
DETECTORS = {
    "torchvision_ssd": "torchvision_ssd",
    "ssd_pytorch": "ssd_pytorch",
    "ssd_caffe": "ssd_pytorch",
}
HOURGLASSES = {"pytorch_pose": "pytorch_pose", "princeton_hourglass": "princeton"}
BASES = ("torchvision_vgg16", "vgg16_reducedfc")
SOURCES = (*BASES, *DETECTORS, *HOURGLASSES, OPENPOSE)


class Imported(NamedTuple):
    """What was imported.

    Attributes:
      output: the file or folder that was written.
      weights: name -> array, as read.
      config: of the network; None for a base, which is none.
      parameters: their number.
    """

    output: Path
    weights: Mapping[str, np.ndarray]
    config: ConfigDict | None
    parameters: int


def import_weights(
    file: str | Path,
    source: str,
    output: str | Path,
    *,
    classes: str = "",
    joints: str = "",
    scales: str = "",
    mean: tuple[float, ...] = (),
) -> Imported:
    """Convert a weight file; nothing in it is executed.

    A network becomes a checkpoint with its config, for `jaxpose.restore`, `PoseEstimator.restore`,
    `predict`, `evaluate` and `config.init_from`; a VGG16 alone becomes what
    `config.model.base_weights` of a detector takes.

    Args:
      file: see `read_weights`.
      source: one of `SOURCES`.
      output: a new folder, or a file that ends in .npz. A base is always a file: `vgg16.npz` in
        the folder.
      classes, scales: of a detector, see `detector_config`.
      joints, mean: of a hourglass, see `hourglass_config`; joints of OpenPose, `openpose_config`.

    Raises:
      UsageError: an unknown source or suffix, or names that do not suit the network.
      CheckpointError: the file cannot be read or does not fit (then a `MismatchError`, with all
        that differs), or the output holds a checkpoint already or cannot be written.
    """
    if source not in SOURCES:
        raise UsageError(f"--source={source}: there are {', '.join(SOURCES)}")
    weights, target = read_weights(file), Path(output)
    if source in BASES:
        return _import_base(weights, source, target)
    if source in DETECTORS:
        ssd = ssd_of(weights, DETECTORS[source])
        variables = load_named_weights(ssd, weights, DETECTORS[source])
        config = detector_config(source, ssd, classes, scales)
    elif source == OPENPOSE:
        openpose = openpose_of(weights)
        variables = load_named_weights(openpose, weights, source)
        config = openpose_config(openpose, joints)
    else:
        hourglass = hourglass_of(weights, HOURGLASSES[source])
        variables = load_named_weights(hourglass, weights, HOURGLASSES[source])
        config = hourglass_config(HOURGLASSES[source], hourglass, joints, mean)
    origin = {"source": source, "file": Path(file).name, "sha256": _digest(file)}
    params = flatten_dict(variables["params"], sep="/")
    statistics = flatten_dict(variables.get("batch_stats", {}), sep="/")
    checkpoint = Weights(0, params, statistics, False, {"imported": origin}, {}, "")
    _write(target, checkpoint, to_json(config))
    return Imported(target, weights, config, sum(array.size for array in params.values()))


def _import_base(weights: Mapping[str, np.ndarray], source: str, target: Path) -> Imported:
    base = vgg_base_weights(SSD(300, 2), weights, source)
    order = "bgr" if source == "vgg16_reducedfc" else "rgb"
    arrays = as_reducedfc(base, order)
    mean = np.array(base_mean(weights, source)[::-1], np.float32)
    target = target if target.suffix == ".npz" else target / "vgg16.npz"
    _make_folder(target.parent)
    try:
        with open(target, "wb") as file:
            np.savez(file, **arrays, **{MEAN: mean})  # type: ignore[arg-type]
    except OSError as error:
        raise _cannot_write(target, error) from error
    return Imported(target, weights, None, sum(array.size for array in arrays.values()))


def _write(target: Path, weights: Weights, config: str) -> None:
    if target.suffix == ".npz":
        _make_folder(target.parent)
        write_weight_file(target, weights, config)
        return
    if (target / "config.json").exists() or (target / "checkpoints").exists():
        raise CheckpointError(f"{target} holds a checkpoint already; choose another --output")
    _make_folder(target)
    arrays: dict[str, Any] = {f"params/{name}": array for name, array in weights.params.items()}
    arrays |= {f"batch_stats/{name}": array for name, array in weights.batch_stats.items()}
    with Checkpoints(target / "checkpoints", asynchronous=False) as checkpoints:
        checkpoints.save(weights.step, arrays, weights.metadata)
    write_atomic(target / "config.json", config)


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _cannot_write(folder, error) from error


def _cannot_write(path: Path, error: OSError) -> CheckpointError:
    return CheckpointError(f"cannot write {path}: {error.strerror or error}")


def _digest(file: str | Path) -> str:
    with open(file, "rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
