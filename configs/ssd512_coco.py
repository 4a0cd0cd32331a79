"""SSD512 for people, trained on COCO 2017: the detector of the report's final entry (Table 14).

    python -m jaxpose.train --config=configs/ssd512_coco.py
    python -m jaxpose.evaluate --workdir=runs/ssd512_coco --dataset=posetrack17

Batches of 24 at the rate that SSD300 has for 32, as the public SSD512 recipes do.

The report gives no mAP of this detector alone. This project has not trained it at full size.

ImageNet weights for the VGG16 base: `--config.model.base_weights=FILE` (torchvision's
vgg16-397923af.pth, the same as .safetensors, or vgg16_reducedfc.pth). Without them the base starts
at random, which the run says loudly: set `--config.model.batch_norm=True` then.

Variants: `:smoke` a few minutes on a CPU on drawn people, nothing to prepare; `:classes80` learns
all 80 classes.
"""

from jaxpose.config import apply_variants
from jaxpose.defaults import detection_config, smoke


def _classes80(config):
    config.classes = ()


def get_config(variant=None):
    config = detection_config()
    config.input_size = (512, 512)
    config.batch_size = 24
    config.default_boxes.scales = "coco"
    config.augment.use_difficult = False
    config.data.train, config.data.eval = ("coco_detection",), "coco_detection"
    return apply_variants(config, variant, {"smoke": smoke, "classes80": _classes80})
