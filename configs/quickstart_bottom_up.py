"""The bottom-up rival of the quickstart: draw people, train a small OpenPose on them, score it.

    python -m jaxpose.train --config=configs/quickstart_bottom_up.py

Draws videos of articulated people, writes and converts them as PoseTrack18, trains two stages of a
quarter of OpenPose's width, with BatchNorm, and prints PoseTrack's AP. The validation videos of
`configs/quickstart.py` show how it compares with the top-down system of the two other quickstarts,
which together train about as long:

    python -m jaxpose.evaluate --pose=runs/quickstart_bottom_up \
        --frames=runs/quickstart/data/drawn_people/drawn/posetrack18

No video of a validation split is drawn for training, in any of the three.

Variants: `:smoke` 20 steps on a handful of videos.
"""

from jaxpose.config import apply_variants
from jaxpose.defaults import bottom_up_config, smoke


def get_config(variant=None):
    config = bottom_up_config()
    config.model.update(stages=2, width=0.25, batch_norm=True)
    # Drawn frames are 4:3, so that nothing of the view is empty.
    config.input_size = config.eval.input_size = (144, 192)
    config.grouping.subpixel = True  # whole px are two of the frame's own
    # Whole frames, near the size that they have in the evaluation (192 / 144 of the shorter side):
    # drawn people come upright and at one scale.
    config.augment.update(person_size=0.0, scale=(1.2, 1.45), rotation=10.0, shift=12.0)
    config.batch_size = 4
    config.steps = 1250
    config.log_every = 25
    config.eval.update(every_steps=625)
    config.checkpoint.update(every_steps=250)
    config.optimizer.update(
        name="adam",
        momentum=0.0,
        learning_rate=2e-3,
        weight_decay=0.0,
        warmup_steps=50,
        drop_steps=(800, 1050),
        drop_factor=0.3,
    )
    config.data.train, config.data.eval = ("posetrack18",), "posetrack18"
    config.data.synthetic.update(train_videos=240, validation_videos=40, frames=4, canvas=192)
    return apply_variants(config, variant, {"smoke": smoke})
