"""Configs of imported networks: what their sources did to images, boxes and heat maps."""

import math
from collections.abc import Mapping
from typing import Any

from ml_collections import ConfigDict

from jaxpose.annotations.coco_categories import CATEGORIES, CATEGORIES_BY_ID
from jaxpose.annotations.voc import CLASSES as VOC_CLASSES
from jaxpose.config import set_skeleton
from jaxpose.defaults import bottom_up_config, detection_config, pose_config
from jaxpose.errors import UsageError
from jaxpose.limbs import limbs_of
from jaxpose.models.hourglass import StackedHourglass
from jaxpose.models.openpose import OpenPose
from jaxpose.models.ssd import SSD
from jaxpose.skeletons import COCO, COCO_18, KNOWN, MPII, Skeleton, skeleton_of

_CLASSES = {
    "person": ("person",),
    "voc": VOC_CLASSES,
    "coco": CATEGORIES,
    "coco90": CATEGORIES_BY_ID,
}
_JOINTS = {skeleton.size: skeleton for skeleton in (MPII, COCO, COCO_18)}
_NMS_PER_CLASS = 200  # detections that ssd.pytorch keeps of every class, and lets into NMS

# source -> fields of its config. All three resize without antialiasing and subtract a mean from
# 0..255 (means are red green blue, whatever the order of the channels).
_DETECTORS: Mapping[str, Mapping[str, Any]] = {
    # amdegroot/ssd.pytorch: data/config.py, layers/functions/{prior_box,detection}.py
    "ssd_pytorch": {
        "mean": (123.0, 117.0, 104.0),
        "channels": "rgb",
        "default_boxes": {"truncate_sizes": False, "clip": "cxcywh"},
        "detect": {"pre_nms_top_k": _NMS_PER_CLASS},  # and as many a class: no limit of all
    },
    # weiliu89/caffe (branch ssd): ssd_pascal.py, under the names of ssd.pytorch
    "ssd_caffe": {
        "mean": (123.0, 117.0, 104.0),
        "channels": "bgr",
        "default_boxes": {"truncate_sizes": True, "clip": "none"},
        "detect": {},
    },
    # torchvision/models/detection: ssd.py, anchor_utils.py, _utils.py (BoxCoder), transform.py
    "torchvision_ssd": {
        "mean": (255 * 0.48235, 255 * 0.45882, 255 * 0.40784),
        "channels": "rgb",
        "default_boxes": {"scales": "coco", "truncate_sizes": False, "clip": "wh"},
        "detect": {"clip": True, "max_log_scale": math.log(1000 / 16)},
    },
}
# source -> fields of its config; images are RGB 0..1 minus a mean.
_HOURGLASSES: Mapping[str, Mapping[str, Any]] = {
    # bearpaw/pytorch-pose: pose/datasets/mpii.py (its mean of MPII), pose/utils/evaluation.py
    "pytorch_pose": {"mean": (0.4404, 0.4440, 0.4327), "heatmap": {"first_pixel": 2.0}},
    # princeton-vl/pytorch_stacked_hourglass: test.py, utils/group.py
    "princeton": {
        "mean": (0.0, 0.0, 0.0),
        "heatmap": {"first_pixel": 2.0, "quarter_at_borders": True},
    },
}


def detector_config(source: str, model: SSD, classes: str, scales: str) -> ConfigDict:
    """The config of an imported SSD.

    Args:
      source: 'ssd_pytorch', 'ssd_caffe' or 'torchvision_ssd'.
      model: the network.
      classes: 'person', 'voc', 'coco', 'coco90' (ids, torchvision's), or names with commas; '': by
        their number.
      scales: 'voc' or 'coco', the sizes of the default boxes; '': the source's, else by classes.

    Raises:
      UsageError: the network has another number of classes, or it tells nothing.
    """
    names = _class_names(model.num_classes - 1, classes)
    config = detection_config()
    config.classes = names
    config.input_size = (model.image_size, model.image_size)
    config.antialias = False
    config.model.width = float(model.width)
    config.default_boxes.scales = "coco" if names in (CATEGORIES, CATEGORIES_BY_ID) else "voc"
    _update(config, _DETECTORS[source])
    config.default_boxes.scales = scales or config.default_boxes.scales
    if source == "ssd_pytorch":
        config.detect.max_outputs = _NMS_PER_CLASS * len(names)
    return config


def hourglass_config(
    source: str, model: StackedHourglass, joints: str, mean: tuple[float, ...]
) -> ConfigDict:
    """The config of an imported hourglass.

    Args:
      source: 'pytorch_pose' or 'princeton'.
      model: the network.
      joints: name of a known joint set, or names with commas; '': by their number.
      mean: RGB 0..1 that its images lose; (): the source's, for MPII.

    Raises:
      UsageError: the network has another number of joints, or it tells nothing.
    """
    config = pose_config()
    sizes = ("stacks", "blocks", "features", "depth", "stem")
    config.model.update({name: getattr(model, name) for name in sizes})
    set_skeleton(config, _skeleton(model.num_joints, joints))
    _update(config, _HOURGLASSES[source])
    config.mean = mean or config.mean
    return config


def openpose_config(model: OpenPose, joints: str) -> ConfigDict:
    """The config of an imported OpenPose network: frames as CMU's demo shows them, 368 px high.

    Args:
      model: the network.
      joints: name of a known joint set, or names with commas; '': OpenPose's 18 COCO parts. Its
        limbs are those of `jaxpose.limbs`.

    Raises:
      UsageError: the network has another number of joints or limbs.
    """
    config = bottom_up_config()
    skeleton = _skeleton(model.num_parts, joints)
    limbs = limbs_of(skeleton)
    if limbs.size != model.num_limbs:
        raise UsageError(
            f"the network has {model.num_limbs} limbs, {skeleton.name} has {limbs.size}: nothing "
            "tells which fields hold which; such weights cannot be imported"
        )
    config.model.update(stages=model.stages, width=float(model.width))
    set_skeleton(config, skeleton)
    config.part_limbs.update(pairs=limbs.pairs, places=limbs.places)
    config.channels = "bgr"
    if skeleton == COCO_18:
        config.midpoints = (("neck", "right_shoulder", "left_shoulder"),)
    return config


def _update(config: ConfigDict, fields: Mapping[str, Any]) -> None:
    for name, value in fields.items():
        if isinstance(value, Mapping):
            config[name].update(value)
        else:
            config[name] = value


def _class_names(count: int, given: str) -> tuple[str, ...]:
    if given:
        names = _CLASSES.get(given) or tuple(given.split(","))
    else:
        names = next((known for known in _CLASSES.values() if len(known) == count), ())
    if len(names) != count or len(set(names)) != count:
        raise UsageError(
            f"the network has {count} classes; name them in their order with --classes=a,b,..., or "
            f"give one of {', '.join(f'{n} ({len(c)})' for n, c in _CLASSES.items())}"
        )
    return names


def _skeleton(count: int, given: str) -> Skeleton:
    if not given:
        skeleton = _JOINTS.get(count)
    else:
        skeleton = KNOWN.get(given) or skeleton_of(tuple(given.split(",")))
    if skeleton is None or skeleton.size != count or len(set(skeleton.joints)) != count:
        raise UsageError(
            f"the network has {count} joints; name them in their order with --joints=a,b,..., or "
            f"give one of {', '.join(f'{s.name} ({s.size})' for s in KNOWN.values())}"
        )
    return skeleton
