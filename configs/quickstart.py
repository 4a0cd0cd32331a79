"""Nothing to prepare: draw a data set, train a small hourglass on it, score it, look at it.

    python -m jaxpose.train --config=configs/quickstart.py

Draws videos of articulated people, writes them as PoseTrack18, PoseTrack17 and MPII files, converts
those with the parsers and builders that real data takes, trains one small stack and prints PCKh@0.5
of the untrained network, of the mean pose of the box and of the trained network.

Variants: `:smoke` 20 steps on a handful of videos.
"""

from jaxpose.config import apply_variants
from jaxpose.defaults import pose_config, smoke


def get_config(variant=None):
    config = pose_config()
    config.model.update(stacks=1, blocks=1, features=32, depth=3)
    config.input_size = (96, 96)
    config.batch_size = 16
    config.steps = 2000
    config.log_every = 25
    config.eval.update(batch_size=32, every_epochs=0.0, every_steps=1000)
    config.checkpoint.update(every_epochs=0.0, every_steps=500)
    config.optimizer.update(learning_rate=2.5e-3, drop_epochs=(), drop_steps=(1500, 1850))
    # Drawn people come upright and at one scale, so little augmentation learns faster.
    config.augment.update(scale=0.08, rotation=10.0, color=0.2)
    config.data.train = ("posetrack18", "posetrack17", "mpii")
    config.data.eval = "posetrack18"
    config.data.synthetic.update(train_videos=240, validation_videos=40, frames=4, canvas=192)
    config.compare_baselines = True
    return apply_variants(config, variant, {"smoke": smoke})
