"""SSD300 for people, trained on COCO 2017: the detector of the report's Table 3.

    python -m jaxpose.train --config=configs/ssd300_coco.py
    python -m jaxpose.evaluate --workdir=runs/ssd300_coco --dataset=posetrack17

The first command scores people on val2017, the second on PoseTrack17 (Table 3: mAP 0.46, 0.52, 0.40
at thresholds 0.15, 0.3, 0.5). This project has not trained it at full size.

ImageNet weights for the VGG16 base: `--config.model.base_weights=FILE` (torchvision's
vgg16-397923af.pth, the same as .safetensors, or vgg16_reducedfc.pth). Without them the base starts
at random, which the run says loudly: set `--config.model.batch_norm=True` then.

Variants: `:smoke` a minute on a CPU on drawn people, nothing to prepare; `:classes80` learns all 80
classes.
"""

from jaxpose.config import apply_variants
from jaxpose.defaults import detection_config, smoke


def _classes80(config):
    config.classes = ()


def get_config(variant=None):
    config = detection_config()
    config.default_boxes.scales = "coco"
    config.augment.use_difficult = False
    config.data.train, config.data.eval = ("coco_detection",), "coco_detection"
    return apply_variants(config, variant, {"smoke": smoke, "classes80": _classes80})
