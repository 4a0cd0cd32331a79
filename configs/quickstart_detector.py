"""The person detector beside quickstart.py: draw people, train a small SSD300 on them, score it.

    python -m jaxpose.train --config=configs/quickstart_detector.py

Draws videos of articulated people, writes and converts them as PoseTrack18, trains and prints mAP.
With the pose network of `configs/quickstart.py` it makes a whole system, which is scored on that
run's validation videos:

    python -m jaxpose.evaluate --detector=runs/quickstart_detector --pose=runs/quickstart \
        --frames=runs/quickstart/data/drawn_people/drawn/posetrack18

No video of a validation split is drawn for training, in either run.

All layers have a sixteenth of SSD300's width, with BatchNorm, so that nothing starts from ImageNet
weights.

Variants: `:smoke` 20 steps on a handful of videos.
"""

from jaxpose.config import apply_variants
from jaxpose.defaults import detection_config, smoke


def get_config(variant=None):
    config = detection_config()
    config.model.update(width=0.0625, batch_norm=True)
    config.batch_size = 4
    config.steps = 600
    config.log_every = 25
    config.eval.update(batch_size=4, every_steps=300)
    config.checkpoint.update(every_steps=150)
    # Adam learns in hundreds of steps what SGD, from the same start, takes thousands for.
    config.optimizer.update(name="adam", learning_rate=2e-3, drop_steps=(450, 550), warmup_steps=30)
    config.data.train, config.data.eval = ("posetrack18",), "posetrack18"
    config.data.synthetic.update(train_videos=90, validation_videos=12, frames=4, canvas=192)
    return apply_variants(config, variant, {"smoke": smoke})
