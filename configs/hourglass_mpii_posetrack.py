"""The report's final pose network: two stacks of four blocks, trained on MPII and PoseTrack.

    python -m jaxpose.train --config=configs/hourglass_mpii_posetrack.py

Trains PoseTrack's 15 joints on both sets (MPII's missing nose masked; pelvis and thorax dropped)
and scores PCKh@0.5 on the PoseTrack17 validation split. The report gives no PCKh; its Tables 12 to
15 score this network behind a detector by PoseTrack AP (61.3 on validation with SSD512).

Variants: `:smoke` a minute on a CPU on drawn people, nothing to prepare;
`:posetrack18` takes PoseTrack18's annotations of the same videos instead of PoseTrack17's.
"""

from jaxpose.config import apply_variants
from jaxpose.defaults import pose_config, smoke


def _posetrack18(config):
    config.data.train = ("mpii", "posetrack18")
    config.data.eval = "posetrack18"


def get_config(variant=None):
    config = pose_config()
    config.data.train = ("mpii", "posetrack17")
    config.data.eval = "posetrack17"
    return apply_variants(config, variant, {"smoke": smoke, "posetrack18": _posetrack18})
