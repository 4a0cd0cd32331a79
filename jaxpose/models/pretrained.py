"""Weights of other implementations, by name, into our parameters.

For the hourglass a table gives for every layer of ours the name that a source uses; the names of
SSD are in `pretrained_ssd`, those of OpenPose's network in `pretrained_openpose`.
"""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from flax.traverse_util import unflatten_dict

from jaxpose.errors import UsageError
from jaxpose.models.hourglass import StackedHourglass
from jaxpose.models.named_weights import (
    TENSORS,
    described,
    fit,
    variable_shapes,
    without_wrappers,
)
from jaxpose.models.openpose import OpenPose
from jaxpose.models.pretrained_openpose import openpose_variables
from jaxpose.models.pretrained_ssd import ssd_variables
from jaxpose.models.ssd import SSD


class _Source(NamedTuple):
    """Names of one implementation.

    Attributes:
      places: path of a residual block or a single layer of ours -> its name there; besides the
        <names> that a path binds, `inward` counts levels from the innermost one (0) and `nested`
        is one 'low2.' for every level outside this one.
      layers: our name of a layer inside a residual block -> its name there.
      ignored: names (regular expression) that its files hold and the network does not use.
    """

    places: Mapping[str, str]
    layers: Mapping[str, str]
    ignored: str


_LAYERS = {f"{kind}{n}": f"{kind}{n}" for kind in ("bn", "conv") for n in (1, 2, 3)}
_WRAPPED_LAYERS = {
    **{ours: ours + ".conv" if ours.startswith("conv") else ours for ours in _LAYERS},
    "skip": "skip_layer.conv",
}

# A counter of PyTorch's BatchNorm, without effect where the momentum is a number.
_COUNTER = r"(.*\.)?num_batches_tracked"

SOURCES: Mapping[str, _Source] = {
    # princeton-vl/pose-hg-train, src/models/hg.lua
    "pose_hg_train": _Source(
        places={
            "stem/conv": "pre.0.conv",
            "stem/bn": "pre.0.bn",
            "stem/res1": "pre.1",
            "stem/res2": "pre.3",
            "stem/res3": "pre.4",
            "stack<s>/hourglass/level<level>_<branch>/block<b>": "hg.{s}.{nested}{branch}.{b}",
            "stack<s>/features/block<b>": "ll.{s}.{b}",
            "stack<s>/linear_conv": "lin.{s}.conv",
            "stack<s>/linear_bn": "lin.{s}.bn",
            "stack<s>/heatmaps": "out.{s}.conv",
            "stack<s>/merge_features": "ll_.{s}.conv",
            "stack<s>/merge_heatmaps": "out_.{s}.conv",
        },
        layers=_WRAPPED_LAYERS,
        ignored=_COUNTER,
    ),
    # bearpaw/pytorch-pose, pose/models/hourglass.py
    "pytorch_pose": _Source(
        places={
            "stem/conv": "conv1",
            "stem/bn": "bn1",
            "stem/res<n>": "layer{n}.0",
            "stack<s>/hourglass/level<level>_up1/block<b>": "hg.{s}.hg.{inward}.0.{b}",
            "stack<s>/hourglass/level<level>_low1/block<b>": "hg.{s}.hg.{inward}.1.{b}",
            "stack<s>/hourglass/level<level>_low3/block<b>": "hg.{s}.hg.{inward}.2.{b}",
            "stack<s>/hourglass/level<level>_low2/block<b>": "hg.{s}.hg.{inward}.3.{b}",
            "stack<s>/features/block<b>": "res.{s}.{b}",
            "stack<s>/linear_conv": "fc.{s}.0",
            "stack<s>/linear_bn": "fc.{s}.1",
            "stack<s>/heatmaps": "score.{s}",
            "stack<s>/merge_features": "fc_.{s}",
            "stack<s>/merge_heatmaps": "score_.{s}",
        },
        layers={**_LAYERS, "skip": "downsample.0"},
        ignored=_COUNTER,
    ),
    # princeton-vl/pytorch_stacked_hourglass: one block everywhere, so its names have no number
    "princeton": _Source(
        places={
            "stem/conv": "pre.0.conv",
            "stem/bn": "pre.0.bn",
            "stem/res1": "pre.1",
            "stem/res2": "pre.3",
            "stem/res3": "pre.4",
            "stack<s>/hourglass/level<level>_<branch>/block0": "hgs.{s}.0.{nested}{branch}",
            "stack<s>/features/block0": "features.{s}.0",
            "stack<s>/linear_conv": "features.{s}.1.conv",
            "stack<s>/linear_bn": "features.{s}.1.bn",
            "stack<s>/heatmaps": "outs.{s}.conv",
            "stack<s>/merge_features": "merge_features.{s}.conv.conv",
            "stack<s>/merge_heatmaps": "merge_preds.{s}.conv.conv",
        },
        layers=_WRAPPED_LAYERS,
        # Registered in every block, called only where the number of channels changes.
        ignored=r"(pre\.3|features\.\d+\.0|hgs\..+)\.skip_layer\.conv\.(weight|bias)|" + _COUNTER,
    ),
}


def load_named_weights(
    model: StackedHourglass | SSD | OpenPose, weights: Mapping[str, np.ndarray], source: str
) -> dict[str, Any]:
    """Variables of `model` from the weights of another implementation.

    Images are to be preprocessed as the source does it. For an SSD:

    - 'ssd_pytorch' (amdegroot/ssd.pytorch, a detector that it trained): RGB 0..255 minus
      (123, 117, 104). Caffe's detectors, converted to the same names: BGR minus (104, 117, 123).
    - 'torchvision_ssd' (ssd300_vgg16, 91 classes): the same as RGB 0..255 minus (123, 117, 104);
      torchvision scales to 0..1 and back.
    - 'torchvision_vgg16' (IMAGENET1K_V1): RGB 0..1 minus (0.485, 0.456, 0.406) over
      (0.229, 0.224, 0.225); IMAGENET1K_FEATURES: RGB 0..255 minus (123, 117, 104).
    - 'vgg16_reducedfc' (base that ssd.pytorch starts from): Caffe's, BGR minus (104, 117, 123).

    For an OpenPose network:

    - 'openpose' (CMU's Caffe models under the names of Hzzone's and tensorboy's ports): BGR 0..255
      over 256, minus 0.5.

    The bases hold no detector: all layers that they lack are filled by `ssd.initial_value` with
    a fixed seed. Training takes them through `vgg_base_weights` instead.

    Args:
      model: the network; its sizes and stem must be those of the weights.
      weights: name -> array in PyTorch layout, names as in the source's state dict
        ('conv1.weight', 'pre.0.conv.weight', 'vgg.0.weight'); 'module.' and 'model.' before all
        of them are dropped.
      source: for a hourglass 'pose_hg_train', 'pytorch_pose' or 'princeton'; for others see above.

    Returns:
      {'params': ..., 'batch_stats': ...}, nested dicts of float32 NumPy arrays; SSD and OpenPose
      have no statistics.

    Raises:
      UsageError: unknown source.
      MismatchError: names missing or unexpected, shapes or values wrong; it has all of them.
    """
    weights = without_wrappers(weights)
    if isinstance(model, SSD):
        return ssd_variables(model, weights, source)
    if isinstance(model, OpenPose):
        return openpose_variables(model, weights, source)
    if source not in SOURCES:
        raise UsageError(
            f"load_named_weights: unknown source {source!r}; use one of: {', '.join(SOURCES)}"
        )
    shapes = variable_shapes(model, model.divisor)
    names = {path: _source_name(path, SOURCES[source], model.depth) for path in shapes}
    text = described(model, "num_joints", "stacks", "blocks", "features", "depth", "stem")
    mismatch = f"weights of {source} do not fit {text}"
    return unflatten_dict(fit(names, shapes, weights, SOURCES[source].ignored, mismatch))


def _source_name(path: tuple[str, ...], source: _Source, depth: int) -> str:
    """Name of one of our tensors there; where it has none, our own path."""
    _, *module, tensor = path
    *block, layer = module
    if layer in source.layers:
        place, suffix = "/".join(block), "." + source.layers[layer]
    else:
        place, suffix = "/".join(module), ""
    for pattern, name in source.places.items():
        if found := re.fullmatch(re.sub(r"<(\w+)>", r"(?P<\1>[a-z0-9]+)", pattern), place):
            bound = found.groupdict()
            level = int(bound.get("level", 1))
            their_place = name.format(**bound, inward=depth - level, nested="low2." * (level - 1))
            return f"{their_place}{suffix}.{TENSORS[tensor]}"
    return "/".join(path)
