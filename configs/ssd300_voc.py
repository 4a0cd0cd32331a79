"""SSD300 for the 20 classes of Pascal VOC 07+12: the detector of the report's Table 2.

    python -m jaxpose.train --config=configs/ssd300_voc.py
    python -m jaxpose.evaluate --workdir=runs/ssd300_voc --dataset=posetrack17

The first command scores VOC (mAP over 20 classes by the 11-point rule; the SSD paper's longer
schedule reaches 77.2 on VOC2007 test), the second keeps the class `person` and scores it on
PoseTrack17 (Table 2: 0.43, 0.43, 0.39). This project has not trained it at full size.

ImageNet weights for the VGG16 base: `--config.model.base_weights=FILE` (torchvision's
vgg16-397923af.pth, the same as .safetensors, or vgg16_reducedfc.pth). Without them the base starts
at random, which the run says loudly: set `--config.model.batch_norm=True` then.

Variants: `:smoke` a minute on a CPU on drawn people, nothing to prepare; `:person` learns people
only.
"""

from jaxpose.config import apply_variants
from jaxpose.defaults import detection_config, smoke


def _person(config):
    config.classes = ("person",)


def _smoke(config):
    smoke(config)
    config.classes = ("person",)


def get_config(variant=None):
    config = detection_config()
    config.classes = ()  # the 20 of the data set
    config.data.train, config.data.eval = ("voc",), "voc"
    return apply_variants(config, variant, {"smoke": _smoke, "person": _person})
