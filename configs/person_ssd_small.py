"""The small person detector that comes with jaxpose: SSD300 at an eighth of its width.

    python tools/build_records.py coco_detection --name=coco_person --source=FOLDER \\
      --config=images --format=shards --canvas=320
    python -m jaxpose.train --config=configs/person_ssd_small.py

The set is a COCO-format folder (annotations/person_keypoints_{train,val}.json, images/) of two
thousand photographs with people. Reads shards, so it trains without TensorFlow.

Trained from scratch with BatchNorm, and shorter than any detector should be: an hour of two CPU
cores. So the augmentation is milder than Caffe's, which is meant for tens of thousands of steps,
and makes small people of large ones less often.

Variants: `:smoke` a minute on a CPU on drawn people, nothing to prepare.
"""

from jaxpose.config import apply_variants
from jaxpose.defaults import detection_config, smoke


def get_config(variant=None):
    config = detection_config()
    config.model.update(width=0.5, batch_norm=True, dtype="bfloat16")
    config.default_boxes.scales = "coco"
    config.batch_size = 64
    config.steps = 8000
    config.log_every = 50
    config.optimizer.update(
        name="adam",
        learning_rate=1e-3,
        drop_steps=(5600, 7200),
        warmup_steps=500,
        weight_decay=0.0,
        clip_norm=10.0,
    )
    config.ema_decay = 0.999
    config.augment.update(zoom_out=2.0)
    config.eval.update(batch_size=64, every_steps=0)
    config.checkpoint.update(every_steps=1000, best="")
    config.data.source = "shards"
    config.data.train, config.data.eval = ("coco_person",), "coco_person"
    return apply_variants(config, variant, {"smoke": smoke})
