"""Two stacks of four blocks trained on MPII alone, its own 16 joints.

    python -m jaxpose.train --config=configs/hourglass_mpii.py

Scores PCKh@0.5 on a validation split of MPII (mean over the 14 joints without pelvis and thorax).
Published neighbours on the usual split, not measured here: pytorch-pose 2 stacks of 1 block 86.95,
princeton's PyTorch port of 2 stacks 88.3. The report's Table 10 uses this network.

Variants: `:smoke` a minute on a CPU on drawn people, nothing to prepare;
`:posetrack15` trains PoseTrack's 15 joints instead (the nose masked); score it on PoseTrack with
`python -m jaxpose.evaluate --workdir=runs/hourglass_mpii_posetrack15 --dataset=posetrack17`.
"""

from jaxpose.config import apply_variants
from jaxpose.defaults import pose_config, smoke


def _posetrack15(config):
    config.skeleton = "posetrack17"


def get_config(variant=None):
    config = pose_config()
    config.skeleton = "mpii"
    config.data.train = ("mpii",)
    config.data.eval = "mpii"
    return apply_variants(config, variant, {"smoke": smoke, "posetrack15": _posetrack15})
