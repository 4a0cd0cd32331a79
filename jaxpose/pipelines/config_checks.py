"""What a config may say, and what a resumed run may change."""

import json
from math import inf, isfinite
from typing import Any

from ml_collections import ConfigDict

from jaxpose.config import to_json
from jaxpose.defaults import DEFAULTS
from jaxpose.errors import UsageError
from jaxpose.pipelines.bottom_up_checks import bottom_up_rules


def check_config(config: ConfigDict) -> None:
    """Raises UsageError naming the first field whose value has no meaning."""
    if config.task not in DEFAULTS:
        raise UsageError(f"config.task is {config.task!r}; there are {', '.join(DEFAULTS)}")
    rules = {
        "non_finite": (config.non_finite in ("stop", "skip"), "'stop' or 'skip'"),
        "seed": (config.seed >= 0, "0 or more"),
        "steps": (config.steps >= 0, "0 (from epochs) or more"),
        "epochs": (config.steps > 0 or config.epochs > 0, "above 0 where steps is 0"),
        "input_size": (_is_size(config.input_size), "a height and a width, such as (256, 256)"),
        "batch_size": (config.batch_size >= 1, "1 or more"),
        "ema_decay": (0 <= config.ema_decay < 1, "from 0 (off) to below 1"),
        "checkpoint.max_to_keep": (config.checkpoint.max_to_keep >= 1, "1 or more"),
        "eval.batch_size": (config.eval.batch_size >= 1, "1 or more"),
        "data.custom.skip_bad": (config.data.custom.skip_bad >= 0, "0 or more"),
        "data.custom.allow_missing": (config.data.custom.allow_missing >= 0, "0 or more"),
        "data.source": (config.data.source in ("records", "shards"), "'records' or 'shards'"),
        "model.dtype": (
            config.model.dtype in ("float32", "bfloat16", "float64"),
            "'float32', 'bfloat16' or 'float64'",
        ),
    }
    if config.task == "detection":
        rules |= _detection_rules(config) | _augmentation_rules(config)
    elif config.task == "bottom_up":
        rules |= bottom_up_rules(config)
    else:
        rules |= _pose_rules(config)
    for name, (good, meaning) in rules.items():
        if not good:
            value: Any = config
            for part in name.split("."):
                value = value[part]
            raise UsageError(f"config.{name} is {value!r}; it must be {meaning}")


def _is_size(value: Any) -> bool:
    return isinstance(value, tuple) and len(value) == 2 and all(side > 0 for side in value)


def _pose_rules(config: ConfigDict) -> dict[str, tuple[bool, str]]:
    options, multiple = config.augment, 4 * 2**config.model.depth
    fits = _is_size(config.input_size) and not any(side % multiple for side in config.input_size)
    return {
        "model.depth": (config.model.depth >= 1, "1 or more"),
        "input_size": (fits, f"two multiples of 4 * 2^depth = {multiple}"),
        "heatmap.sigma": (config.heatmap.sigma > 0, "above 0"),
        "augment.rotation_probability": (0 <= options.rotation_probability <= 1, "from 0 to 1"),
        "augment.flip_probability": (0 <= options.flip_probability <= 1, "from 0 to 1"),
        "augment.scale": (options.scale >= 0, "0 or more"),
        "augment.color": (0 <= options.color <= 1, "from 0 to 1"),
    }


def _detection_rules(config: ConfigDict) -> dict[str, tuple[bool, str]]:
    matching, detect, model = config.matching, config.detect, config.model
    scales, clip = config.default_boxes.scales, config.default_boxes.clip
    plain = model.width == 1 and not model.batch_norm
    thresholds = config.eval.score_thresholds
    return {
        "default_boxes.clip": (clip in ("none", "cxcywh", "wh"), "'none', 'cxcywh' or 'wh'"),
        "matching.negative_overlap": (0 < matching.negative_overlap <= 1, "above 0, at most 1"),
        "detect.score_threshold": (0 <= detect.score_threshold < 1, "from 0 to below 1"),
        "detect.person_threshold": (0 <= detect.person_threshold <= 1, "from 0 to 1"),
        "detect.iou_threshold": (0 < detect.iou_threshold <= 1, "above 0, at most 1"),
        "detect.pre_nms_top_k": (detect.pre_nms_top_k >= 1, "1 or more"),
        "detect.max_outputs": (detect.max_outputs >= 1, "1 or more"),
        "eval.iou_threshold": (0 < config.eval.iou_threshold <= 1, "above 0, at most 1"),
        "eval.difficult": (config.eval.difficult in ("ignore", "count"), "'ignore' or 'count'"),
        "eval.score_thresholds": (
            all(detect.score_threshold <= value < 1 for value in thresholds),
            "numbers from config.detect.score_threshold to below 1",
        ),
        "mean": (len(config.mean) == 3 and all(map(isfinite, config.mean)), "three numbers"),
        "max_boxes": (config.max_boxes >= 0, "0 (from the records) or more"),
        "max_ignored": (config.max_ignored >= 0, "0 (from the records) or more"),
        "model.head_init_std": (model.head_init_std > 0, "above 0"),
        "init_from": (
            not (config.init_from and model.base_weights),
            "'' where config.model.base_weights is given: a run starts from one of them",
        ),
        "model.width": (model.width > 0, "above 0"),
        "model.base_weights": (
            plain or not model.base_weights,
            "'' with batch_norm or another width than 1: ImageNet weights fit neither",
        ),
        "channels": (config.channels in ("rgb", "bgr"), "'rgb' or 'bgr'"),
        "default_boxes.scales": (scales in ("voc", "coco"), "'voc' or 'coco'"),
        "matching.mode": (matching.mode in ("caffe", "torch"), "'caffe' or 'torch'"),
        "matching.overlap_threshold": (0 < matching.overlap_threshold <= 1, "above 0, at most 1"),
        "matching.negative_ratio": (matching.negative_ratio > 0, "above 0"),
        "eval.rule": (config.eval.rule in ("11point", "area"), "'11point' or 'area'"),
        "model.head_init": (config.model.head_init in ("normal", "xavier"), "'normal' or 'xavier'"),
    }


def _augmentation_rules(config: ConfigDict) -> dict[str, tuple[bool, str]]:
    options = config.augment
    rules = {
        "crop_trials": (options.crop_trials >= 1, "1 or more"),
        "zoom_out": (options.zoom_out >= 1, "1 or more"),
        "min_ious": (
            len(options.min_ious) > 0 and all(0 <= value <= 1 for value in options.min_ious),
            "numbers from 0 to 1",
        ),
    }
    for name in ("distort", "zoom_out", "crop", "flip"):
        chance = options[f"{name}_probability"]
        rules[f"{name}_probability"] = (0 <= chance <= 1, "from 0 to 1")
    ranges = {"crop_scale": 1, "crop_aspect": inf, "contrast": inf, "saturation": inf}
    for name, most in ranges.items():
        low, high = options[name]
        least = low > 0 if name.startswith("crop") else low >= 0
        words = "two rising numbers above 0" + f", at most {most}" * (most == 1)
        rules[name] = (least and low <= high <= most, words)
    return {f"augment.{name}": rule for name, rule in rules.items()}


# What a run cannot change between its start and a resume without becoming another run.
FIXED = {
    "pose": ("task", "seed", "skeleton", "joints", "input_size", "model", "batch_size"),
    "detection": (
        *("task", "seed", "classes", "input_size", "model", "batch_size"),
        *("default_boxes", "channels", "mean", "matching"),
    ),
    "bottom_up": (
        *("task", "seed", "skeleton", "joints", "part_limbs", "midpoints", "input_size", "model"),
        *("batch_size", "channels", "mean", "targets"),
    ),
}
FIXED_DATA = ("train", "weights", "train_split")


def check_resume(old: ConfigDict, new: ConfigDict) -> list[str]:
    """Fields that a resumed run changes, as text.

    Raises:
      UsageError: one of them makes it another run (network, data, seed or batch size).
    """
    before, after = json.loads(to_json(old)), json.loads(to_json(new))
    for fields in (before, after):  # these act before the first step only, or change no result
        for name in ("base_weights", "head_init", "head_init_std", "remat"):
            fields["model"].pop(name, None)
    names = FIXED[old.task] if old.task == new.task else ("task",)
    fixed = [name for name in names if before[name] != after[name]]
    fixed += [f"data.{name}" for name in FIXED_DATA if before["data"][name] != after["data"][name]]
    if fixed:
        raise UsageError(
            f"this workdir holds a run with another {', '.join(fixed)}; choose another --workdir"
        )
    return [name for name in after if before.get(name) != after[name]]
