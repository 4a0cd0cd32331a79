"""Every field of a bottom-up config with its default."""

from typing import Any

from ml_collections import ConfigDict

from jaxpose.defaults_common import common


def bottom_up_config() -> ConfigDict:
    """Every field of a bottom-up config, with the settings of OpenPose's COCO model.

    Recipe: CMU's caffe_train (SGD at 4e-5, momentum 0.9, weight decay 5e-4, times 0.333 every
    136,106 iterations, 600,000 in all, batches of 10). Two things differ: CMU's later stages learn
    at four times the rate, and regions without annotations are boxes, where CMU has segments.
    """
    own = {
        "task": "bottom_up",
        # Joint set of the parts; 'data' takes that of the training records.
        "skeleton": "posetrack17",
        "joints": (),
        "limbs": (),
        # Pairs of joints with a field each, in the order of assembly, and which field holds each;
        # () takes those of the joint set (jaxpose.limbs), () places number them in their order.
        "part_limbs": {"pairs": (), "places": ()},
        # (made, one, other): joint `made` is the mean of two others, whatever the records hold.
        "midpoints": (),
        "input_size": (368, 368),
        "max_boxes": 0,  # people and ignored regions a frame has room for; 0: from the records
        "max_ignored": 0,
        # Images are (0..255 - mean) / 256; CMU's weights take BGR less 128.
        "mean": (128.0, 128.0, 128.0),
        "channels": "rgb",
        "model": {
            "stages": 6,
            "width": 1.0,
            "batch_norm": False,
            "dtype": "float32",
            "base_weights": "",  # torchvision's VGG19 of ImageNet: .safetensors, .npz or .pth
            "remat": False,  # keep less for the backward pass and compute it again: larger batches
        },
        "targets": {
            # px of the network input
            "sigma": 7.0,
            "limb_width": 8.0,
            "merge": "max",  # 'clipped_sum' as tensorboy's port
        },
        "augment": {
            # A person's longer side becomes person_size * U(scale) of the crop; with 0 the frame's
            # becomes U(scale) of it.
            "person_size": 0.6,
            "scale": (0.5, 1.1),
            "largest_zoom": 4.0,
            "rotation": 40.0,  # degrees, U(-r, r)
            "shift": 40.0,  # px of the crop
            "flip_probability": 0.5,
        },
        "grouping": _grouping(),
        "batch_size": 10,
        "steps": 600_000,
    }
    config = ConfigDict(common() | own)
    config.eval.update(
        batch_size=8,
        every_epochs=0.0,
        every_steps=10_000,
        input_size=(368, 656),  # frames lie at its upper left, as large as they fit
        flip_test=False,
    )
    config.checkpoint.update(every_epochs=0.0, every_steps=2_000, best="posetrack_total")
    config.optimizer.update(
        name="sgd",
        learning_rate=4e-5,
        drop_epochs=(),
        drop_steps=(136_106, 272_212, 408_318, 544_424),
        drop_factor=0.333,
        momentum=0.9,
        weight_decay=5e-4,
    )
    config.data.train = ("posetrack17",)
    return config


def _grouping() -> dict[str, Any]:
    """CMU's rules as its ports keep them; px of the network input."""
    return {
        "sigma": 3.0,
        "peak_threshold": 0.1,
        "max_peaks": 64,  # of a part, so of as many people
        "subpixel": False,
        "samples": 10,
        "sample_threshold": 0.05,
        "sample_share": 0.8,
        "long_limb": 0.5,
        "min_parts": 4,
        "min_mean_score": 0.4,
    }
