"""How far an imported network is from a PyTorch twin with the same weights; needs torch.

The twins (torch_twins.py, torch_twins_ssd.py) get the weights as they lie in the file, and a
picture is treated as the source does it, but for ssd.pytorch's rounding of the resized picture to
whole grey values. Boxes and joints come from twin_results.py.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import jax
import jax.numpy as jnp
import numpy as np
import torch
import torch_twins_ssd
from flax.traverse_util import unflatten_dict
from torch_twins import HourglassNet, PoseNet
from twin_results import detections, joints

from jaxpose.inference.restore import Restored
from jaxpose.models.named_weights import variable_shapes
from jaxpose.models.pretrained_ssd import MEAN, vgg_base_weights
from jaxpose.models.ssd import SSD
from jaxpose.models.vgg import VGG16
from jaxpose.models.weight_files import read_weights
from jaxpose.ops import affine
from jaxpose.tasks import detection_prediction, pose_prediction
from jaxpose.tasks.detection_augment import prepare

_IMAGENET_MEAN, _IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_TORCHVISION_MEAN, _CAFFE_MEAN = (0.48235, 0.45882, 0.40784), (123.0, 117.0, 104.0)
_MPII_MEAN = (0.4404, 0.4440, 0.4327)
# Boxes that lie further apart are not the same detection.
_SAME_BOX = 1.0


class Parity(NamedTuple):
    """Largest absolute errors.

    Attributes:
      raw: of the network's outputs (heat maps; class logits and offsets; features of a base).
      spread: standard deviation of those outputs.
      final: of joints or boxes in px of the picture; None for a base.
      unmatched: detections of either side that the other lacks.
      compared: joints or detections that were compared.
    """

    raw: float
    spread: float
    final: float | None = None
    unmatched: int = 0
    compared: int = 0


def base_parity(
    file: Path,
    weights: Mapping[str, np.ndarray],
    source: str,
    image: np.ndarray,
) -> Parity:
    """Parity of a VGG16: conv4_3 and, where the file has fc6 and fc7, fc7.

    Args:
      file: what was written.
      weights: as read from the file.
      source: 'torchvision_vgg16' or 'vgg16_reducedfc'.
      image: RGB uint8 [H, W, 3].
    """
    twin = torch_twins_ssd.SSD(300, 2).eval()
    state, pixels = _base_state(weights, source), _resized(image, 300)
    twin.load_state_dict(state, strict=False)
    if source == "vgg16_reducedfc":
        x = pixels[..., ::-1] - np.array(_CAFFE_MEAN[::-1], np.float32)
    elif "vgg.31.weight" in state or not any(n.startswith("classifier") for n in weights):
        x = (pixels / 255 - np.array(_IMAGENET_MEAN)) / np.array(_IMAGENET_STD)
    else:
        x = pixels - 255 * np.array(_TORCHVISION_MEAN)
    with torch.no_grad():
        features = [nhwc.permute(0, 2, 3, 1).numpy() for nhwc in twin.base(_nchw(x))]
    whole = "vgg.31.weight" in state
    ours = _base_features(file, pixels[None, ..., ::-1])[: 1 + whole]
    return Parity(*_raw(ours, features[: 1 + whole]))


def detector_parity(
    network: Restored, weights: Mapping[str, np.ndarray], source: str, image: np.ndarray
) -> Parity:
    """Parity of a detector's outputs, and of its detections of all classes in RGB uint8 [H,W,3]."""
    options = detection_prediction.network_options(network.config)
    size, classes = options["size"], len(network.config.classes) + 1
    width = float(network.config.model.width)
    if source == "torchvision_ssd":
        twin: torch.nn.Module = torch_twins_ssd.TorchvisionSSD(classes, width)
        x = torch.from_numpy(image.copy()).permute(2, 0, 1)[None] / 255
        x = (x - _column(_TORCHVISION_MEAN)) / _column((1 / 255,) * 3)
        x = torch.nn.functional.interpolate(x, (300, 300), mode="bilinear", align_corners=False)
    else:
        twin = torch_twins_ssd.SSD(size, classes, width)
        x = _nchw(_resized(image, size) - np.array(_CAFFE_MEAN, np.float32))
        x = x.flip(1) if source == "ssd_caffe" else x
    logits, offsets = _forward(twin, weights, x)
    outputs, found = _own_detections(network, image)
    raw = _raw(outputs, [logits.numpy(), offsets.numpy()])
    theirs = detections(logits[0], offsets[0], source, size, network.config.default_boxes.scales)
    height, width_px = image.shape[:2]
    theirs[:, 2:] *= [width_px, height, width_px, height]
    error, unmatched, matched = _boxes_error(found, theirs)
    return Parity(*raw, error, unmatched, matched)


def hourglass_parity(
    network: Restored, weights: Mapping[str, np.ndarray], source: str, image: np.ndarray
) -> Parity:
    """Parity of an hourglass's heat maps, and of the joints it puts into RGB uint8 [H, W, 3]."""
    config, model = network.config, network.task.model
    sizes = {name: config.model[name] for name in ("stacks", "features", "depth")}
    if source == "pytorch_pose":
        sizes["blocks"] = config.model.blocks
        twin: torch.nn.Module = HourglassNet(len(config.joints), **sizes)
        mean = np.array(_MPII_MEAN if config.mean == _MPII_MEAN else config.mean, np.float32)
    else:
        twin, mean = PoseNet(len(config.joints), **sizes), np.zeros(3, np.float32)
    steps = pose_prediction.pose_steps(config, flip_test=False)
    center, side = np.array(image.shape[1::-1]) / 2, float(max(image.shape[:2]))
    batch = {"image": image[None], "matrix": np.eye(2, 3, dtype=np.float32)[None]}
    crop = affine.crop_matrix(center[None], np.array([side / 200]), steps.size)

    @jax.jit
    def run(variables: Any, batch: Any) -> Any:
        inputs = steps.show(batch, crop, jnp.arange(1))
        return model.apply(variables, inputs), steps.estimate(variables, inputs, crop)

    outputs, found = run(network.variables, batch)
    crops = np.asarray(pose_prediction.crop_images(batch, crop, steps.size))
    maps = _forward(twin, weights, _nchw(crops[0] - mean)).numpy()
    raw = _raw([outputs], [maps.transpose(0, 1, 3, 4, 2)])
    there = maps[-1, 0].max((1, 2)) > 0  # a map without a positive value tells no joint
    theirs = joints(maps[-1, 0], center, side, steps.size[0], borders=source != "pytorch_pose")
    error = np.abs(np.asarray(found["points"][0]) - theirs)[there].max(initial=0)
    return Parity(*raw, float(error), 0, int(there.sum()))


def _base_features(file: Path, bgr: np.ndarray) -> list[np.ndarray]:
    """conv4_3 and fc7 of an imported base in this project's VGG16; fc6 and fc7 may be missing."""
    weights = read_weights(file)
    base = vgg_base_weights(SSD(300, 2), weights, "vgg16_reducedfc")
    shapes = variable_shapes(SSD(300, 2), 300)
    params = {
        path[2:]: base.get("/".join(path[1:]), np.zeros(shape, np.float32))
        for path, shape in shapes.items()
        if path[1] == "vgg"
    }
    x = bgr - weights[MEAN]
    return list(jax.jit(VGG16().apply)({"params": unflatten_dict(params)}, x))


def _forward(twin: torch.nn.Module, weights: Mapping[str, np.ndarray], x: torch.Tensor) -> Any:
    names = list(weights)
    prefix = next((p for p in ("model.module.", "module.", "model.") if _all(names, p)), "")
    state = {n.removeprefix(prefix): torch.tensor(np.array(a)) for n, a in weights.items()}
    missing = twin.load_state_dict(state, strict=False).missing_keys
    assert all("num_batches" in name or "skip_layer" in name for name in missing), missing
    with torch.no_grad():
        return twin.eval()(x)


def _all(names: list[str], prefix: str) -> bool:
    return all(name.startswith(prefix) for name in names)


def _raw(ours: Any, theirs: list[np.ndarray]) -> tuple[float, float]:
    pairs = list(zip((np.asarray(part) for part in ours), theirs, strict=True))
    return max(float(np.abs(a - b).max()) for a, b in pairs), float(min(b.std() for _, b in pairs))


def _resized(image: np.ndarray, size: int) -> np.ndarray:
    return cv2.resize(image.astype(np.float32), (size, size), interpolation=cv2.INTER_LINEAR)


def _nchw(image: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(image, np.float32)).permute(2, 0, 1)[None]


def _column(values: tuple[float, ...]) -> torch.Tensor:
    return torch.tensor(values)[:, None, None]


def _base_state(weights: Mapping[str, np.ndarray], source: str) -> dict[str, torch.Tensor]:
    """ssd.pytorch's names of a VGG16's weights; fc6 and fc7 cut out of the classifier."""
    state = {}
    for name, array in weights.items():
        tensor = torch.tensor(np.array(array)).float()
        plain = name.removeprefix("module.").removeprefix("vgg.").removeprefix("features.")
        if not plain.startswith("classifier"):
            state[f"vgg.{plain}"] = tensor
        elif tensor.isnan().any():
            continue
        elif plain.startswith("classifier.0"):
            wide = tensor.view(4096, 512, 7, 7)[:, :, ::3, ::3] if tensor.ndim == 2 else tensor
            state[plain.replace("classifier.0", "vgg.31")] = wide[::4]
        elif plain.startswith("classifier.3"):
            wide = tensor[:, ::4, None, None] if tensor.ndim == 2 else tensor
            state[plain.replace("classifier.3", "vgg.33")] = wide[::4]
    return state


def _own_detections(network: Restored, image: np.ndarray) -> tuple[Any, np.ndarray]:
    """Raw outputs, and rows as of `twin_results.detections` in px of the picture."""
    height, width = image.shape[:2]
    options = detection_prediction.network_options(network.config)
    extent = np.array([[width, height]], np.float32)
    valid = np.concatenate([np.zeros_like(extent), extent], 1)
    batch = {"image": image[None], "valid": valid, "size": extent}

    @jax.jit
    def run(variables: Any, batch: Any) -> Any:
        inputs, _ = prepare(batch, options["size"], options["mean"], options["channels"], False)
        return network.task.model.apply(variables, inputs), network.task.predict(variables, batch)

    outputs, found = run(network.variables, batch)
    classes, scores, boxes, kept = (
        np.asarray(found[name][0]) for name in ("classes", "scores", "boxes", "valid")
    )
    return outputs, np.concatenate([classes[:, None], scores[:, None], boxes], 1)[kept]


def _boxes_error(ours: np.ndarray, theirs: np.ndarray) -> tuple[float, int, int]:
    """Largest error of the detections that both have, those that one lacks, those compared."""
    error, free = 0.0, np.ones(len(ours), bool)
    for row in theirs:
        distance = np.abs(ours[:, 2:] - row[2:]).max(1, initial=0)
        distance[~free | (ours[:, 0] != row[0])] = np.inf
        if distance.min(initial=np.inf) < _SAME_BOX:
            error, free[distance.argmin()] = max(error, float(distance.min())), False
    matched = int((~free).sum())
    return error, len(ours) + len(theirs) - 2 * matched, matched
