"""OpenPose's network trained from scratch on PoseTrack17: the baseline of the report's Table 7.

    python -m jaxpose.train --config=configs/openpose_posetrack.py
    python -m jaxpose.evaluate --workdir=runs/openpose_posetrack

Bottom-up: parts and limbs of all people of a frame at once, no detector. PoseTrack's 15 joints and
14 limbs from the neck outwards (jaxpose.limbs). This project has not trained it at full size.

ImageNet weights for the VGG19 trunk: `--config.model.base_weights=FILE` (torchvision's
vgg19-dcbb9e9d.pth, the same as .safetensors or .npz). Without them it starts at random, which the
run says loudly: set `--config.model.batch_norm=True` then.

Variants: `:smoke` a minute on a CPU on drawn people, nothing to prepare; `:posetrack18` takes
PoseTrack18's annotations of the same videos, with its ignore regions.
"""

from jaxpose.config import apply_variants
from jaxpose.defaults import bottom_up_config, smoke


def _posetrack18(config):
    config.data.train, config.data.eval = ("posetrack18",), "posetrack18"


def get_config(variant=None):
    config = bottom_up_config()
    config.data.train, config.data.eval = ("posetrack17",), "posetrack17"
    return apply_variants(config, variant, {"smoke": smoke, "posetrack18": _posetrack18})
