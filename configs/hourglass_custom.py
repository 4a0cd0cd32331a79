"""A hourglass on your own data: any COCO-format keypoint JSON and a folder of images.

    python -m jaxpose.train --config=configs/hourglass_custom.py \\
      --config.data.custom.train_json=my/train.json \\
      --config.data.custom.train_images=my/images \\
      --config.data.custom.validation_json=my/val.json \\
      --config.data.custom.validation_images=my/images

The joint names come from the file's category; `left_`/`right_` prefixes tell the flip pairs. The
set is converted on first use (under the data folder, as `custom`); a bad record ends that, unless
`--config.data.custom.skip_bad=N` and `--config.data.custom.allow_missing=N` allow N of them and N
missing images. Give these flags to later runs too.
Scores PCK@0.2 of the person box's longer side, and OKS AP where annotations carry areas.

Variants: `:smoke` a minute on a CPU on drawn people, nothing to prepare.
"""

from jaxpose.config import apply_variants
from jaxpose.defaults import pose_config, smoke


def _smoke(config):
    smoke(config)
    config.data.train = ("posetrack18",)
    config.data.eval = "posetrack18"


def get_config(variant=None):
    config = pose_config()
    config.skeleton = "data"
    config.data.train = ("custom",)
    config.data.eval = "custom"
    config.checkpoint.best = "pck"
    return apply_variants(config, variant, {"smoke": _smoke})
