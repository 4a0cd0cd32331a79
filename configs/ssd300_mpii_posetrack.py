"""SSD300 for people, trained on MPII and PoseTrack17: the detector of the report's Table 4.

    python -m jaxpose.train --config=configs/ssd300_mpii_posetrack.py
    python -m jaxpose.evaluate --workdir=runs/ssd300_mpii_posetrack

Neither set has person boxes: they are the extent of the annotated joints x 1.3. Table 4 reports mAP
0.52, 0.50, 0.43 on PoseTrack17 at 0.15, 0.3, 0.5; this project has not trained it at full size.

ImageNet weights for the VGG16 base: `--config.model.base_weights=FILE` (torchvision's
vgg16-397923af.pth, the same as .safetensors, or vgg16_reducedfc.pth). Without them the base starts
at random, which the run says loudly: set `--config.model.batch_norm=True` then.

Variants: `:smoke` a minute on a CPU on drawn people, nothing to prepare.
"""

from jaxpose.config import apply_variants
from jaxpose.defaults import detection_config, smoke


def _smoke(config):
    smoke(config)
    config.data.train = ("mpii", "posetrack18")


def get_config(variant=None):
    config = detection_config()
    config.data.train, config.data.eval = ("mpii", "posetrack17"), "posetrack17"
    return apply_variants(config, variant, {"smoke": _smoke})
