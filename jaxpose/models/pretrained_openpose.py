"""Names of other implementations of OpenPose's network, and VGG19 of ImageNet for its trunk."""

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
from flax.traverse_util import unflatten_dict

from jaxpose.errors import UsageError
from jaxpose.models.named_weights import (
    TENSORS,
    Path,
    described,
    fit,
    variable_shapes,
    without_wrappers,
)
from jaxpose.models.openpose import BRANCHES, OpenPose
from jaxpose.models.pretrained_ssd import IMAGENET_MEAN, IMAGENET_STD

SOURCE = "openpose"
# Images lose `config.mean`, then all channels are divided by this.
PIXEL_SCALE = 256.0

# Position of each convolution in the `features` of torchvision's vgg19.
_VGG19 = {
    "conv1_1": 0, "conv1_2": 2,
    "conv2_1": 5, "conv2_2": 7,
    "conv3_1": 10, "conv3_2": 12, "conv3_3": 14, "conv3_4": 16,
    "conv4_1": 19, "conv4_2": 21,
}  # fmt: skip
# What follows conv4_2 there.
_UNUSED = r"(features\.(23|25|28|30|32|34)|classifier\.\d)\.(weight|bias)"
# Modules that the ports put before Caffe's names: model0, model1_1, ...; or, where they are plain
# sequences, before the position in them, in which a ReLU follows every convolution.
_MODULE = re.compile(r"model(\d)(?:_(\d))?\.(?:(\d+)\.)?")
# Positions in the sequence of the trunk.
_TRUNK = {position: layer for layer, position in _VGG19.items()}
_TRUNK |= {23: "conv4_3_CPM", 25: "conv4_4_CPM"}


def openpose_variables(
    model: OpenPose, weights: Mapping[str, np.ndarray], source: str
) -> dict[str, Any]:
    """`load_named_weights` for an OpenPose network."""
    if source != SOURCE:
        raise UsageError(f"load_named_weights: unknown source {source!r}; use {SOURCE}")
    weights = caffe_names(weights)
    shapes = variable_shapes(model, 4 * model.divisor)
    names = {path: _source_name(path) for path in shapes}
    return unflatten_dict(fit(names, shapes, weights, "", _mismatch(model, source)))


def caffe_names(weights: Mapping[str, Any]) -> dict[str, Any]:
    """The weights under Caffe's names of the layers.

    The ports put modules before them (Hzzone's: model1_1.conv5_1_CPM_L1.weight), or have positions
    in their place (tensorboy's: model1_1.0.weight).
    """
    return {_MODULE.sub(_layer, name, count=1): a for name, a in without_wrappers(weights).items()}


def _layer(module: re.Match[str]) -> str:
    """What stands in Caffe's name for a module: nothing, or the layer at a position and a dot."""
    stage, side, position = module.groups()
    if position is None:
        return ""
    if side is None:
        return f"{_TRUNK.get(int(position), f'position {position}')}."
    number = 1 + int(position) // 2
    if stage == "1":
        return f"conv5_{number}_CPM_L{side}."
    return f"Mconv{number}_stage{stage}_L{side}."


def _source_name(path: Path) -> str:
    """Name of one of our tensors there: conv1_1.weight, Mconv3_stage2_L1.bias."""
    _, *modules, layer, tensor = path
    ending = TENSORS[tensor]
    if not modules or modules == ["vgg"]:
        return f"{layer}.{ending}"
    stage, branch = modules
    number, side = layer.removeprefix("conv"), f"L{1 + BRANCHES.index(branch)}"
    if stage == "stage1":
        return f"conv5_{number}_CPM_{side}.{ending}"
    return f"Mconv{number}_{stage}_{side}.{ending}"


def vgg19_base_weights(
    model: OpenPose, weights: Mapping[str, np.ndarray], mean: tuple[float, ...], channels: str
) -> dict[str, np.ndarray]:
    """ImageNet weights for the trunk of `model`, adapted to its input.

    torchvision's VGG19 takes RGB 0..1, normalised; ours 0..255 less `mean`, over 256. The first
    layer's kernel and bias are changed so that both see the same photograph alike; at its borders
    only where `mean` is ImageNet's, since they are padded with 0.

    Args:
      model: width 1 without BatchNorm, or nothing fits.
      weights: name -> array, torchvision's vgg19 (IMAGENET1K_V1).
      mean: red green blue 0..255 that images lose.
      channels: 'rgb' or 'bgr', order of the images' channels.

    Returns:
      Path of a parameter ('vgg/conv1_1/kernel') -> float32 array.

    Raises:
      MismatchError: names missing or unexpected, shapes or values wrong; it has all of them.
    """
    shapes = variable_shapes(model, 4 * model.divisor)
    names = {path: _base_name(path) for path in shapes if path[1] == "vgg"}
    mismatch = _mismatch(model, "torchvision_vgg19")
    fitted = fit(names, shapes, without_wrappers(weights), _UNUSED, mismatch)
    base = {"/".join(path[1:]): array for path, array in fitted.items()}
    scale = 255 * np.array(IMAGENET_STD, np.float32)[:, None]
    kernel = base["vgg/conv1_1/kernel"] / scale
    shift = np.array(mean, np.float32) - 255 * np.array(IMAGENET_MEAN, np.float32)
    base["vgg/conv1_1/bias"] += (kernel * shift[:, None]).sum((0, 1, 2))
    kernel *= PIXEL_SCALE
    base["vgg/conv1_1/kernel"] = kernel[:, :, ::-1] if channels == "bgr" else kernel
    return base


def _base_name(path: Path) -> str:
    """Name of a tensor in torchvision's vgg19; where it has none (BatchNorm's), our own path."""
    *_, layer, tensor = path
    return f"features.{_VGG19[layer]}.{TENSORS[tensor]}" if layer in _VGG19 else "/".join(path)


def _mismatch(model: OpenPose, source: str) -> str:
    text = described(model, "num_parts", "num_limbs", "stages", "batch_norm", "width")
    return f"weights of {source} do not fit {text}"
