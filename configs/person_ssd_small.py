"""The small person detector that comes with jaxpose: SSD300 at half its width.

    python tools/build_records.py coco_detection --name=coco_person --source=FOLDER \\
      --config=images --format=shards --canvas=360 --jpeg_quality=75
    python -m jaxpose.train --config=configs/person_ssd_small.py

The set is a COCO-format folder (annotations/person_keypoints_{train,val}.json, images/) of two
thousand photographs with people. Reads shards, so it trains without TensorFlow.

Trained from scratch with BatchNorm: five minutes of one H200 that it shared with the hourglass,
during which its loss kept falling (on a CPU set `--config.model.dtype=float32`). Small people are
many, 38 % of the boxes are under 32 px high, so zooming out is milder than Caffe's.

Variants: `:smoke` a minute on a CPU on drawn people, nothing to prepare.
"""

from jaxpose.config import apply_variants
from jaxpose.defaults import detection_config, smoke


def get_config(variant=None):
    config = detection_config()
    config.model.update(width=0.5, batch_norm=True, dtype="bfloat16")
    config.default_boxes.scales = "coco"
    # Best F1 on the training split, tools/choose_threshold.py: precision 71, recall 51.
    config.detect.person_threshold = 0.31
    config.batch_size = 64
    config.steps = 5455
    config.log_every = 50
    config.optimizer.update(
        name="adam",
        learning_rate=5e-4,
        drop_steps=(4161,),
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
