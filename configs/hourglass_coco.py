"""Two stacks of four blocks trained on COCO keypoints, its 17 joints.

    python -m jaxpose.train --config=configs/hourglass_coco.py

Scores OKS AP on val2017 with ground-truth boxes, and PCK@0.2 of the person box's longer side (COCO
has no head boxes). Not trained at full size by this project yet, so there is no score to expect.

Variants: `:smoke` a minute on a CPU on drawn people (their shared joints), nothing to prepare.
"""

from jaxpose.config import apply_variants
from jaxpose.defaults import pose_config, smoke


def _smoke(config):
    smoke(config)
    config.data.train = ("posetrack18",)
    config.data.eval = "posetrack18"
    config.checkpoint.best = "pck"


def get_config(variant=None):
    config = pose_config()
    config.skeleton = "coco"
    config.data.train = ("coco_keypoints",)
    config.data.eval = "coco_keypoints"
    config.checkpoint.best = "oks_ap"
    return apply_variants(config, variant, {"smoke": _smoke})
