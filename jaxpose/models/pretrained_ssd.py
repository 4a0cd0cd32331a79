"""Names of other implementations of SSD and its VGG16 base, and how their weights become ours."""

import re
import zlib
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from flax.traverse_util import unflatten_dict

from jaxpose.errors import CheckpointError, UsageError
from jaxpose.models.named_weights import (
    TENSORS,
    Path,
    described,
    fit,
    variable_shapes,
    without_prefix,
    without_wrappers,
)
from jaxpose.models.ssd import SSD, initial_value

# Position of each convolution in the `features` of torchvision's vgg16, which ssd.pytorch shares.
_VGG = {
    "conv1_1": 0, "conv1_2": 2,
    "conv2_1": 5, "conv2_2": 7,
    "conv3_1": 10, "conv3_2": 12, "conv3_3": 14,
    "conv4_1": 17, "conv4_2": 19, "conv4_3": 21,
    "conv5_1": 24, "conv5_2": 26, "conv5_3": 28,
}  # fmt: skip
_LEVELS = range(7)
_EXTRAS = [(number, index) for number in range(6, 11) for index in (1, 2)]

# Our layer -> its name in a detector.
DETECTORS: Mapping[str, Mapping[str, str]] = {
    # amdegroot/ssd.pytorch, ssd.py
    "ssd_pytorch": {
        **{layer: f"vgg.{place}" for layer, place in _VGG.items()},
        "fc6": "vgg.31",
        "fc7": "vgg.33",
        "l2norm": "L2Norm",
        **{f"conv{n}_{i}": f"extras.{2 * (n - 6) + i - 1}" for n, i in _EXTRAS},
        **{f"{head}_{level}": f"{head}.{level}" for head in ("loc", "conf") for level in _LEVELS},
    },
    # torchvision/models/detection/ssd.py: pool4 opens the first block of `extra`
    "torchvision_ssd": {
        **{layer: f"backbone.features.{place}" for layer, place in _VGG.items() if place < 23},
        **{layer: f"backbone.extra.0.{n - 23}" for layer, n in _VGG.items() if n > 23},
        "fc6": "backbone.extra.0.7.1",
        "fc7": "backbone.extra.0.7.3",
        "l2norm": "backbone.scale_weight",
        **{f"conv{n}_{i}": f"backbone.extra.{n - 5}.{2 * (i - 1)}" for n, i in _EXTRAS},
        **{f"loc_{level}": f"head.regression_head.module_list.{level}" for level in _LEVELS},
        **{f"conf_{level}": f"head.classification_head.module_list.{level}" for level in _LEVELS},
    },
}
# Our layer -> its name in weights of the base alone.
_BASES: Mapping[str, Mapping[str, str]] = {
    "torchvision_vgg16": {
        **{layer: f"features.{place}" for layer, place in _VGG.items()},
        "fc6": "classifier.0",
        "fc7": "classifier.3",
    },
    "vgg16_reducedfc": {
        **{layer: f"{place}" for layer, place in _VGG.items()},
        "fc6": "31",
        "fc7": "33",
    },
}
# torchvision trains IMAGENET1K_V1 on RGB 0..1 divided by these.
IMAGENET_STD = (0.229, 0.224, 0.225)
IMAGENET_MEAN = (0.485, 0.456, 0.406)
CAFFE_MEAN = (123.0, 117.0, 104.0)  # RGB 0..255
_CLASSIFIER = tuple(f"classifier.{n}.{t}" for t in ("bias", "weight") for n in (0, 3))
# Beside the weights of a base that this project wrote: what its images lose, blue green red 0..255.
MEAN = "mean"
_SEED = 0  # of the layers that weights of the base alone lack


def ssd_variables(model: SSD, weights: Mapping[str, np.ndarray], source: str) -> dict[str, Any]:
    """`load_named_weights` for an SSD."""
    if source in _BASES:
        params = _with_new_layers(model, vgg_base_weights(model, weights, source, pixels=False))
        return {"params": unflatten_dict(params, sep="/")}
    if source not in DETECTORS:
        known = ", ".join([*DETECTORS, *_BASES])
        raise UsageError(f"load_named_weights: unknown source {source!r}; use one of: {known}")
    if source == "torchvision_ssd" and model.image_size != 300:
        # Its SSD512 has the same shapes but other strides and paddings, so nothing would notice.
        raise UsageError(
            f"load_named_weights: torchvision_ssd is an SSD300, not an SSD{model.image_size}; "
            "build SSD(300, ...)"
        )
    weights = without_wrappers(weights)
    shapes = variable_shapes(model, model.image_size)
    names = {path: _source_name(path, DETECTORS[source]) for path in shapes}
    return unflatten_dict(fit(names, shapes, weights, "", _mismatch(model, source)))


def vgg_base_weights(
    model: SSD, weights: Mapping[str, np.ndarray], source: str, pixels: bool = True
) -> dict[str, np.ndarray]:
    """ImageNet weights for the base of `model`.

    fc6 and fc7 of 'torchvision_vgg16' are decimated from its classifier as in the SSD paper (3.1):
    every fourth output, and of the 7x7 positions every third. Without a classifier, or with one of
    NaNs (IMAGENET1K_FEATURES), they are left out; so are those that 'vgg16_reducedfc' lacks both.

    Args:
      model: the SSD: width 1 without BatchNorm, or nothing fits.
      weights: name -> array in PyTorch layout; a common prefix 'module.' ('vgg.') is dropped.
      source: 'torchvision_vgg16' or 'vgg16_reducedfc', see `vgg_source`.
      pixels: adapt conv1_1 to an input of 0..255 minus the mean where its weights were trained on
        a normalised one (torchvision's IMAGENET1K_V1, told by a classifier that is not NaN or not
        there); otherwise the weights stay as they are.

    Returns:
      Path of a parameter ('vgg/conv1_1/kernel') -> float32 array. Channels of the input stay in
      the order of the source: RGB for 'torchvision_vgg16', BGR (Caffe) for 'vgg16_reducedfc'.

    Raises:
      UsageError: unknown source.
      MismatchError: names missing or unexpected, shapes or values wrong; it has all of them.
    """
    if source not in _BASES:
        known = ", ".join(_BASES)
        raise UsageError(f"vgg_base_weights: unknown source {source!r}; use one of: {known}")
    weights = _plain(weights)
    layers, ignored, normalised = dict(_BASES[source]), MEAN, False
    if source == "torchvision_vgg16":
        normalised = not _is_nan(weights)
        weights, ignored = _decimated(weights), r"classifier\.6\.(weight|bias)"
    if not any(f"{layers[fc]}.{t}" in weights for fc in ("fc6", "fc7") for t in ("weight", "bias")):
        del layers["fc6"], layers["fc7"]
    shapes = variable_shapes(model, model.image_size)
    names = {
        path: _source_name(path, layers)
        for path in shapes
        if path[1] == "vgg" and (path[2] not in ("fc6", "fc7") or path[2] in layers)
    }
    fitted = fit(names, shapes, weights, ignored, _mismatch(model, source))
    base = {"/".join(path[1:]): array for path, array in fitted.items()}
    if pixels and normalised:
        # Dividing the input by 255 std or the kernel is the same: the borders are padded with 0.
        base["vgg/conv1_1/kernel"] /= 255 * np.array(IMAGENET_STD, np.float32)[:, None]
    return base


def base_mean(weights: Mapping[str, np.ndarray], source: str) -> tuple[float, ...]:
    """What images 0..255 lose, red green blue, before `vgg_base_weights` of a source see them."""
    if source == "torchvision_vgg16" and not _is_nan(_plain(weights)):
        return tuple(255 * mean for mean in IMAGENET_MEAN)
    return CAFFE_MEAN


def as_reducedfc(base: Mapping[str, np.ndarray], channels: str) -> dict[str, np.ndarray]:
    """What `vgg_base_weights` returned, under the names and in the layout of 'vgg16_reducedfc'.

    Args:
      base: path -> array, adapted to pixels.
      channels: 'rgb' or 'bgr', the order that its conv1_1 takes; the result takes BGR.
    """
    named = {}
    for path, array in base.items():
        _, layer, tensor = path.split("/")
        if layer == "conv1_1" and tensor == "kernel" and channels == "rgb":
            array = array[:, :, ::-1]
        name = f"{_BASES['vgg16_reducedfc'][layer]}.{TENSORS[tensor]}"
        named[name] = np.ascontiguousarray(
            array.transpose(3, 2, 0, 1) if array.ndim == 4 else array
        )
    return named


def vgg_source(names: Iterable[str]) -> str:
    """Which source the weights of a base are of, by their names.

    Raises:
      CheckpointError: neither; the message says what was found.
    """
    found = sorted(_plain(dict.fromkeys(names)))
    for source, layers in _BASES.items():
        if f"{layers['conv1_1']}.weight" in found:
            return source
    what = f"{len(found)} names ({', '.join(found[:3])}{', ...' if len(found) > 3 else ''})"
    for source, layers in DETECTORS.items():
        if f"{layers['conv1_1']}.weight" in found:
            what = f"a whole detector of {source}"
    raise CheckpointError(
        f"base weights: found {what}, neither torchvision_vgg16 (features.0.weight, ...) nor "
        "vgg16_reducedfc (0.weight, ...); give the weights of a VGG16"
    )


def _with_new_layers(model: SSD, base: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    filled = {}
    for (_, *names), shape in variable_shapes(model, model.image_size).items():
        path = "/".join(names)
        generator = np.random.default_rng([_SEED, zlib.crc32(path.encode())])
        filled[path] = initial_value(path, shape, generator, base=base)
    return filled


def _source_name(path: Path, layers: Mapping[str, str]) -> str:
    """Name of one of our tensors there; where it has none, our own path."""
    *_, layer, tensor = path
    if layer not in layers:
        return "/".join(path)
    if layers[layer].endswith("scale_weight"):  # a parameter without a module of its own
        return layers[layer]
    return f"{layers[layer]}.{TENSORS[tensor]}"


def _plain(weights: Mapping[str, Any]) -> Mapping[str, Any]:
    return without_prefix(without_wrappers(weights), "vgg.")


def _is_nan(weights: Mapping[str, np.ndarray]) -> bool:
    present = [weights[name] for name in _CLASSIFIER if name in weights]
    return bool(present) and all(np.isnan(array).all() for array in present)


def _decimated(weights: Mapping[str, np.ndarray]) -> Mapping[str, np.ndarray]:
    """The classifier as convolutions; what is not of VGG16's shape stays, to be reported."""
    if _is_nan(weights):
        return {n: array for n, array in weights.items() if not re.match(r"classifier\.", n)}
    changed = dict(weights)
    for name, array in weights.items():
        if name not in _CLASSIFIER:
            continue
        if array.shape == (4096, 512 * 7 * 7):
            changed[name] = array.reshape(4096, 512, 7, 7)[::4, :, ::3, ::3]
        elif array.shape == (4096, 4096):
            changed[name] = array[::4, ::4, None, None]
        elif array.shape == (4096,):
            changed[name] = array[::4]
    return changed


def _mismatch(model: SSD, source: str) -> str:
    text = described(model, "image_size", "num_classes", "batch_norm", "width")
    return f"weights of {source} do not fit {text}"
