"""SSD300 for people, trained on PoseTrack17: the detector of the report's Tables 1 and 5.

    python -m jaxpose.train --config=configs/ssd300_posetrack.py
    python -m jaxpose.evaluate --workdir=runs/ssd300_posetrack --score_thresholds=0.15,0.3,0.5

PoseTrack17 has no person boxes: they are the extent of the annotated joints x 1.3. Table 1 reports
mAP 0.47, 0.45, 0.40 at thresholds 0.15, 0.3, 0.5; this project has not trained it at full size.

ImageNet weights for the VGG16 base: `--config.model.base_weights=FILE` (torchvision's
vgg16-397923af.pth, the same as .safetensors, or vgg16_reducedfc.pth). Without them the base starts
at random, which the run says loudly: set `--config.model.batch_norm=True` then.

Variants: `:smoke` a minute on a CPU on drawn people, nothing to prepare; `:overlap=0.7` matches
default boxes from that IoU on (Table 5: 0.6, 0.7, 0.8, scored at 0.1, 0.2, 0.4); `:posetrack18`
takes PoseTrack18's boxes and ignore regions of the same videos.
"""

from jaxpose.config import apply_variants
from jaxpose.defaults import detection_config, smoke


def _overlap(config, threshold):
    config.matching.overlap_threshold = float(threshold)
    config.eval.score_thresholds = (0.1, 0.2, 0.4)


def _posetrack18(config):
    config.data.train, config.data.eval = ("posetrack18",), "posetrack18"


def get_config(variant=None):
    config = detection_config()
    config.data.train, config.data.eval = ("posetrack17",), "posetrack17"
    return apply_variants(
        config, variant, {"smoke": smoke, "overlap": _overlap, "posetrack18": _posetrack18}
    )
