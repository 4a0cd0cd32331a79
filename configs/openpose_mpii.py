"""OpenPose's network trained on MPII: the baseline of the report's Table 6.

    python -m jaxpose.train --config=configs/openpose_mpii.py
    python -m jaxpose.evaluate --workdir=runs/openpose_mpii

MPII's 16 joints and 15 limbs from the thorax outwards (jaxpose.limbs), scored on PoseTrack17's
validation split: MPII has no nose, so there is none to be found, and its AP is 0 as in poseval.
This project has not trained it at full size.

ImageNet weights for the VGG19 trunk: `--config.model.base_weights=FILE` (torchvision's
vgg19-dcbb9e9d.pth, the same as .safetensors or .npz). Without them it starts at random, which the
run says loudly: set `--config.model.batch_norm=True` then.

Variants: `:smoke` a minute on a CPU on drawn people, nothing to prepare.
"""

from jaxpose.config import apply_variants
from jaxpose.defaults import bottom_up_config, smoke


def _smoke(config):
    smoke(config)
    config.data.train, config.data.eval = ("mpii",), "posetrack18"


def get_config(variant=None):
    config = bottom_up_config()
    config.skeleton = "mpii"
    config.data.train, config.data.eval = ("mpii",), "posetrack17"
    return apply_variants(config, variant, {"smoke": _smoke})
