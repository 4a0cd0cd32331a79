"""Which network the weights of another implementation are of, by their names and shapes."""

import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from jaxpose.models.hourglass import StackedHourglass
from jaxpose.models.named_weights import without_wrappers
from jaxpose.models.openpose import OpenPose
from jaxpose.models.pretrained_openpose import caffe_names
from jaxpose.models.pretrained_ssd import DETECTORS
from jaxpose.models.ssd import SSD
from jaxpose.ops.default_boxes import BOXES_PER_CELL

# More of anything is no network in use; a file must not make one of a million layers be built.
_MOST = 16


def ssd_of(weights: Mapping[str, Any], source: str) -> SSD:
    """The SSD of 'ssd_pytorch' or 'torchvision_ssd' weights.

    What cannot be told, since a tensor is missing, is that of SSD300 for VOC: the mismatches that
    `load_named_weights` lists then say the rest.
    """
    weights, layers = without_wrappers(weights), DETECTORS[source]
    deepest = layers.get(f"loc_{len(BOXES_PER_CELL[512]) - 1}")
    size = 512 if source == "ssd_pytorch" and f"{deepest}.weight" in weights else 300
    logits = _channels(weights, f"{layers['conf_0']}.weight", 21 * BOXES_PER_CELL[size][0])
    narrow = _channels(weights, f"{layers['conv1_1']}.weight", 64)
    return SSD(size, max(2, logits // BOXES_PER_CELL[size][0]), width=narrow / 64)


def hourglass_of(weights: Mapping[str, Any], source: str) -> StackedHourglass:
    """The network of 'pytorch_pose' or 'princeton' weights.

    What cannot be told, since a tensor is missing, is that of pytorch-pose's smallest published
    network (2 stacks, 1 block, 16 joints): the mismatches that `load_named_weights` lists then say
    the rest.
    """
    weights = without_wrappers(weights)
    if source == "pytorch_pose":
        stem, heatmaps = "conv1.weight", "score.{}.weight"
        blocks = _count(weights, "res.0.{}.bn1.weight", 1)
        depth = _count(weights, "hg.0.hg.{}.0.0.bn1.weight", 4)
    else:
        stem, heatmaps, blocks = "pre.0.conv.weight", "outs.{}.conv.weight", 1
        levels = [re.match(r"hgs\.0\.0\.((?:low2\.)*)up1\.", name) for name in weights]
        depth = 1 + max((found[1].count("low2.") for found in levels if found), default=3)
    return StackedHourglass(
        num_joints=_channels(weights, heatmaps.format(0), 16),
        stacks=_count(weights, heatmaps, 2),
        blocks=blocks,
        features=4 * _channels(weights, stem, 64),
        depth=min(depth, 6),
        stem="pytorch_pose" if source == "pytorch_pose" else "pose_hg_train",
    )


def openpose_of(weights: Mapping[str, Any]) -> OpenPose:
    """The network of 'openpose' weights.

    What cannot be told, since a tensor is missing, is that of CMU's COCO model (18 parts, 19 limbs,
    6 stages): the mismatches that `load_named_weights` lists then say the rest.
    """
    weights = caffe_names(weights)
    later = [f"Mconv1_stage{number}_L1.weight" in weights for number in range(2, _MOST)]
    stages = 1 + later.index(False) if any(later) or "conv5_5_CPM_L1.weight" in weights else 6
    return OpenPose(
        num_parts=max(1, _channels(weights, "conv5_5_CPM_L2.weight", 19) - 1),
        num_limbs=max(1, _channels(weights, "conv5_5_CPM_L1.weight", 38) // 2),
        stages=stages,
        width=_channels(weights, "conv4_2.weight", 512) / 512,
    )


def _channels(weights: Mapping[str, Any], name: str, default: int) -> int:
    """Output channels of a convolution."""
    shape: tuple[int, ...] = np.shape(weights[name]) if name in weights else ()
    return shape[0] if len(shape) == 4 and shape[0] else default


def _count(weights: Mapping[str, Any], pattern: str, default: int) -> int:
    """How many of `pattern` 0, 1, ... there are."""
    number = 0
    while number < _MOST and pattern.format(number) in weights:
        number += 1
    return number or default
