"""OpenPose's COCO network: 18 parts, 19 limbs, in the order of CMU's weights.

    python -m jaxpose.train --config=configs/openpose_coco.py

The network of published weights (`tools/import_weights.py --source=openpose`), here to be trained
or fine-tuned on COCO. The neck is the mean of the shoulders, as in CMU's training; there is no top
of the head, so on PoseTrack that joint stays without prediction (AP 0).

Scores OKS AP on val2017 over COCO's 17 joints. This project has not trained it at full size.

ImageNet weights for the VGG19 trunk: `--config.model.base_weights=FILE` (torchvision's
vgg19-dcbb9e9d.pth, the same as .safetensors or .npz). Without them it starts at random, which the
run says loudly: set `--config.model.batch_norm=True` then.

Variants: `:smoke` a minute on a CPU on drawn people (their shared joints), nothing to prepare.
"""

from jaxpose.config import apply_variants
from jaxpose.defaults import bottom_up_config, smoke


def _smoke(config):
    smoke(config)
    config.checkpoint.best = "posetrack_total"


def get_config(variant=None):
    config = bottom_up_config()
    config.skeleton = "coco_18"
    config.midpoints = (("neck", "right_shoulder", "left_shoulder"),)
    config.channels = "bgr"  # as CMU's weights take it
    config.data.train, config.data.eval = ("coco_keypoints",), "coco_keypoints"
    config.checkpoint.best = "oks_ap"
    return apply_variants(config, variant, {"smoke": _smoke})
