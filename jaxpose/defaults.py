"""Every field of a config with its default: one function a task, and the smoke variant of each."""

from typing import Any

from ml_collections import ConfigDict

from jaxpose.defaults_bottom_up import bottom_up_config
from jaxpose.defaults_common import common

# Of the report's systems: "we set the confidence threshold of SSD as 0.15" (section 3).
PERSON_THRESHOLD = 0.15


def pose_config() -> ConfigDict:
    """Every field of a pose config, with the settings of the report's hourglass.

    Recipe: pose-hg-train (augmentation, targets, RMSprop) with pytorch-pose's drops at epochs 60
    and 90; the network is the report's two stacks of four residual blocks.
    """
    own = {
        "task": "pose",
        # Joint set of the network's outputs; 'data' takes that of the training records.
        "skeleton": "posetrack17",
        "joints": (),
        "limbs": (),
        "input_size": (256, 256),
        "mean": (0.0, 0.0, 0.0),
        "model": {
            "stacks": 2,
            "blocks": 4,
            "features": 256,
            "depth": 4,
            "stem": "pose_hg_train",
            "dtype": "float32",
            "remat": False,  # keep less for the backward pass and compute it again: larger batches
        },
        "augment": {
            "scale": 0.25,
            "rotation": 30.0,
            "rotation_probability": 0.4,
            "flip_probability": 0.5,
            "color": 0.4,
        },
        "heatmap": {
            "sigma": 1.0,
            "zero_map_for_missing": False,
            # Network-input px of heat-map px 0, for targets and decoding. 1.5 is centre on centre;
            # pose-hg-train, pytorch-pose and princeton's port cut targets to whole px: 2.
            "first_pixel": 1.5,
            "quarter_at_borders": False,  # as princeton's port decodes
        },
        "batch_size": 24,
    }
    config = ConfigDict(common() | own)
    config.eval.update(batch_size=24, flip_test=True)
    config.checkpoint.best = "pckh"
    return config


def detection_config() -> ConfigDict:
    """Every field of a detector's config, with the settings of the report's SSD300.

    Recipe: the report's section 2.1 (SGD, momentum 0.9, weight decay 5e-4, 1e-3 divided by 10 at
    10,000, 12,000 and 14,000, end at 15,000), otherwise Caffe's ssd_pascal.py but for two things:
    the warm-up is ours (person-only COCO is known to diverge without one), and biases learn at the
    rate of kernels (Caffe: twice) while only kernels decay (Caffe: the scale of L2Norm too).

    The learning rate of SGD belongs to the batch size: lower both in proportion. L2Norm gives every
    location of the first source map length 20, so steps of its heads are large, and a small batch
    has few matched boxes to average their noise over: with batches of 2 and 1e-3 the loss of small
    people rises once the warm-up has passed 5e-4 (BatchNorm over two images has no part in it).
    """
    own = {
        "task": "detection",
        # Names of the classes that the network tells from background; () takes those of the data.
        "classes": ("person",),
        "input_size": (300, 300),
        "max_boxes": 0,  # boxes and ignored regions a frame has room for; 0: from the records
        "max_ignored": 0,
        # What is subtracted from 0..255, red green blue; and the order the weights expect.
        "mean": (123.0, 117.0, 104.0),
        "channels": "rgb",
        # Frames reduced more than twice: from a pyramid of 2x2 means. False: plain bilinear samples
        # at test time, as the detectors of torchvision and ssd.pytorch were trained on.
        "antialias": True,
        "model": {
            "width": 1.0,
            "batch_norm": False,
            "dtype": "float32",
            "base_weights": "",  # VGG16 of ImageNet: .safetensors, .npz or .pth
            # Of heads, extra layers and an fc6/fc7 without weights: 'normal' or 'xavier'. With
            # batch_norm of the heads only; what BatchNorm follows is He normal.
            "head_init": "normal",
            "head_init_std": 0.01,
            "remat": False,  # keep less for the backward pass and compute it again: larger batches
        },
        "default_boxes": {"scales": "voc", "truncate_sizes": True, "clip": "none"},
        "matching": {
            "mode": "caffe",
            "overlap_threshold": 0.5,
            "negative_overlap": 0.5,
            "negative_ratio": 3.0,
        },
        "augment": _ssd_augmentation(),
        "detect": _detect_config(),
        "batch_size": 32,  # the learning rate is for this one, see above
        "steps": 15_000,
    }
    config = ConfigDict(common() | own)
    config.eval.update(
        batch_size=32,
        every_epochs=0.0,
        every_steps=1000,
        classes=(),  # the classes that are scored; () all that network and data set share
        rule="11point",  # of VOC2007, or 'area' of 2010 and later
        iou_threshold=0.5,
        plus_one=True,  # pixel boxes as the VOC devkit measures them: widths + 1
        inclusive=True,  # an IoU equal to the threshold matches
        difficult="ignore",  # neither positives nor errors, as VOC; 'count' takes them as others
        score_thresholds=(0.15, 0.3, 0.5),
    )
    config.checkpoint.update(every_epochs=0.0, every_steps=1000, best="map")
    config.optimizer.update(
        name="sgd",
        learning_rate=1e-3,
        drop_epochs=(),
        drop_steps=(10_000, 12_000, 14_000),
        warmup_steps=500,
        momentum=0.9,
        weight_decay=5e-4,
    )
    config.data.train = ("posetrack17",)
    return config


def _detect_config() -> dict[str, Any]:
    return {
        "score_threshold": 0.01,  # of what is scored
        # Of what `predict` and its like take for a person. How high a detector scores depends on
        # its training: tools/choose_threshold.py tells one for a trained network.
        "person_threshold": PERSON_THRESHOLD,
        "iou_threshold": 0.45,
        "pre_nms_top_k": 400,
        "max_outputs": 200,
        "clip": False,  # cut boxes to the image before NMS, as torchvision; after it anyway
        "max_log_scale": 20.0,  # a side over its default box's, at most e to this
    }


def _ssd_augmentation() -> dict[str, Any]:
    return {
        "distort_probability": 0.5,
        "brightness": 32.0,
        "contrast": (0.5, 1.5),
        "saturation": (0.5, 1.5),
        "hue": 36.0,  # degrees; Caffe's 18 is of OpenCV's half degrees
        "zoom_out_probability": 0.5,
        "zoom_out": 4.0,
        "crop_probability": 1.0,
        "min_ious": (0.1, 0.3, 0.5, 0.7, 0.9, 0.0),  # 0: the sampler that takes any crop
        "crop_scale": (0.3, 1.0),
        "crop_aspect": (0.5, 2.0),
        "crop_trials": 50,
        "flip_probability": 0.5,
        "use_difficult": True,
    }


DEFAULTS = {"pose": pose_config, "detection": detection_config, "bottom_up": bottom_up_config}


def smoke(config: ConfigDict) -> ConfigDict:
    """Shrink a config to a minute on a CPU, on drawn people: same code path, tiny network."""
    config.batch_size = 8
    config.steps = 20
    config.log_every = 5
    config.data.synthetic.update(train_videos=6, validation_videos=2, frames=4, canvas=192)
    if config.task == "pose":
        config.model.update(blocks=1, features=32, depth=3)
        config.input_size = (96, 96)
        config.eval.batch_size = 16
        return config
    config.model.update(width=0.125, batch_norm=True)
    config.eval.batch_size = 8
    config.data.train, config.data.eval = ("posetrack18",), "posetrack18"
    if config.task == "bottom_up":
        config.model.stages = 2
        config.input_size, config.eval.input_size = (128, 128), (128, 192)
        config.optimizer.update(name="adam", learning_rate=1e-3, weight_decay=0.0, drop_steps=())
    return config
