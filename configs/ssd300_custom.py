"""An SSD300 on your own data: any COCO-format JSON with boxes and a folder of images.

    python -m jaxpose.train --config=configs/ssd300_custom.py \\
      --config.data.custom.train_json=my/train.json \\
      --config.data.custom.train_images=my/images \\
      --config.data.custom.validation_json=my/val.json \\
      --config.data.custom.validation_images=my/images

Learns every category of the file; `--config.classes="('person',)"` names some of them. The set is
converted on first use (under the data folder, as `custom`); a bad record ends that, unless
`--config.data.custom.skip_bad=N` and `--config.data.custom.allow_missing=N` allow N of them and N
missing images. Give these flags to later runs too.
Trains from scratch with BatchNorm at half width unless you say otherwise.
The learning rate is for batches of 32; smaller ones need a lower one, in proportion:
`--config.batch_size=8 --config.optimizer.learning_rate=2.5e-4`.

Variants: `:smoke` a minute on a CPU on drawn people, nothing to prepare.
"""

from jaxpose.config import apply_variants
from jaxpose.defaults import detection_config, smoke


def get_config(variant=None):
    config = detection_config()
    config.classes = ()
    config.model.update(batch_norm=True, width=0.5)
    config.data.train, config.data.eval = ("custom",), "custom"
    return apply_variants(config, variant, {"smoke": smoke})
