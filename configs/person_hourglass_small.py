"""The small hourglass that comes with jaxpose: PoseTrack's 15 joints from COCO and LSPet crops.

    python tools/build_records.py coco_keypoints --name=coco_people_crops --source=FOLDER \\
      --format=shards --canvas=256
    python tools/build_records.py coco_keypoints --name=lspet_people_crops --source=FOLDER \\
      --format=shards --canvas=256
    python -m jaxpose.train --config=configs/person_hourglass_small.py

Both sets are COCO-format folders (annotations/person_keypoints_{train,val}.json, images/) of crops
with one person each. COCO has no neck and no top of the head, LSPet no nose: such joints are
masked, each learnt from the set that has it. Reads shards, so it trains without TensorFlow.

One stack of one block at 128 px with 64 features: six thousand crops feed no more, and one and a
half CPU cores train it in an hour and a half.

Variants: `:smoke` a minute on a CPU on drawn people, nothing to prepare.
"""

from jaxpose.config import apply_variants
from jaxpose.defaults import pose_config, smoke


def _smoke(config):
    smoke(config)
    config.data.train, config.data.weights = ("posetrack18",), ()
    config.data.eval = "posetrack18"


def get_config(variant=None):
    config = pose_config()
    config.model.update(stacks=1, blocks=1, features=64, depth=4)
    config.input_size = (128, 128)
    config.mean = (0.45, 0.43, 0.40)
    config.batch_size = 16
    config.steps = 12000
    # With sigma 1 so few px of a 32 x 32 map differ from 0 that so small a network is slow to leave
    # the map of zeros: 6 % below its loss after 21,000 crops, where with sigma 2 it was 11 % below
    # after 3,300 (both measured on training crops).
    config.heatmap.sigma = 2.0
    config.log_every = 50
    # pose-hg-train's RMSprop at 2.5e-4 is meant for hundreds of thousands of steps.
    config.optimizer.update(
        name="adam",
        learning_rate=2e-3,
        drop_epochs=(),
        drop_steps=(9000, 11000),
        warmup_steps=100,
        clip_norm=1.0,
    )
    config.ema_decay = 0.998
    config.augment.update(scale=0.25, rotation=35.0, rotation_probability=0.6)
    config.eval.update(batch_size=32, every_epochs=0.0, every_steps=3000)
    config.checkpoint.update(every_epochs=0.0, every_steps=300, best="")
    config.data.source = "shards"
    config.data.train = ("coco_people_crops", "lspet_people_crops")
    config.data.eval = "coco_people_crops"
    return apply_variants(config, variant, {"smoke": _smoke})
