"""Two stacks of four blocks trained on PoseTrack alone (the report's Tables 8, 9 and 11).

    python -m jaxpose.train --config=configs/hourglass_posetrack.py

Scores PCKh@0.5 on the PoseTrack17 validation split. The report gives no PCKh for it.

Variants: `:smoke` a minute on a CPU on drawn people, nothing to prepare;
`:posetrack18` takes PoseTrack18's annotations.
"""

from jaxpose.config import apply_variants
from jaxpose.defaults import pose_config, smoke


def _posetrack18(config):
    config.data.train = ("posetrack18",)
    config.data.eval = "posetrack18"


def get_config(variant=None):
    config = pose_config()
    config.data.train = ("posetrack17",)
    config.data.eval = "posetrack17"
    return apply_variants(config, variant, {"smoke": smoke, "posetrack18": _posetrack18})
