"""Configurations: the defaults of the pose task, variants, and JSON beside a checkpoint.

A config is a Python file with `get_config(variant)`; it starts from `pose_config()` and changes
what differs. Config files are code: run only those that you trust. Checkpoints hold JSON instead.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from absl import flags
from ml_collections import ConfigDict, config_flags

from jaxpose.errors import UsageError
from jaxpose.skeletons import KNOWN, Skeleton


def pose_config() -> ConfigDict:
    """Every field of a pose config, with the settings of the report's hourglass.

    Recipe: pose-hg-train (augmentation, targets, RMSprop) with pytorch-pose's drops at epochs 60
    and 90; the network is the report's two stacks of four residual blocks.
    """
    return ConfigDict(
        {
            "task": "pose",
            "seed": 0,
            # Joint set of the network's outputs; 'data' takes that of the training records.
            "skeleton": "posetrack17",
            "joints": (),
            "limbs": (),
            "input_size": (256, 256),
            "canvas": 0,  # side of the records' canvas; 0: taken from the records
            "mean": (0.0, 0.0, 0.0),
            "model": {
                "stacks": 2,
                "blocks": 4,
                "features": 256,
                "depth": 4,
                "stem": "pose_hg_train",
                "dtype": "float32",
            },
            "data_dir": "",  # '' means JAXPOSE_DATA, else ~/jaxpose_data
            "data": _data_config(),
            "augment": {
                "scale": 0.25,
                "rotation": 30.0,
                "rotation_probability": 0.4,
                "flip_probability": 0.5,
                "color": 0.4,
            },
            "heatmap": {"sigma": 1.0, "zero_map_for_missing": False},
            "batch_size": 24,
            "epochs": 100.0,
            "steps": 0,  # 0: from epochs
            "optimizer": _optimizer_config(),
            "ema_decay": 0.0,
            "non_finite": "stop",
            "non_finite_budget": 100,
            "eval": {"batch_size": 24, "flip_test": True, "every_epochs": 1.0, "every_steps": 0},
            "checkpoint": {
                "every_epochs": 1.0,
                "every_steps": 0,
                "max_to_keep": 3,
                "best": "pckh",
            },
            "log_every": 50,
            "compare_baselines": False,
            "init_from": "",
            "init_skip": (),
            "distributed": "off",
            "watchdog_seconds": 0,
        }
    )


def _data_config() -> dict[str, Any]:
    return {
        "source": "records",
        "train": ("mpii", "posetrack17"),
        "weights": (),  # () means in proportion to their sizes
        "train_split": "train",
        "eval": "posetrack17",
        "eval_split": "validation",
        "window_shards": 8,
        # A COCO-format set of the user's own, converted on first use; '' where unused.
        "custom": {
            "name": "custom",
            "train_json": "",
            "train_images": "",
            "validation_json": "",
            "validation_images": "",
        },
        # A drawn data set, made on first use; 0 training videos where unused.
        "synthetic": {"train_videos": 0, "validation_videos": 0, "frames": 0, "canvas": 512},
    }


def _optimizer_config() -> dict[str, Any]:
    return {
        "name": "rmsprop",
        "learning_rate": 2.5e-4,
        "drop_epochs": (60.0, 90.0),
        "drop_steps": (),
        "drop_factor": 0.1,
        "warmup_steps": 0,
        "weight_decay": 0.0,
        "clip_norm": 0.0,
        "accumulate": 1,
        "momentum": 0.0,
        "decay": 0.99,
        "eps": 1e-8,
    }


def smoke(config: ConfigDict) -> ConfigDict:
    """Shrink a pose config to a minute on a CPU, on drawn people: same code path, tiny network."""
    config.model.update(blocks=1, features=32, depth=3)
    config.input_size = (96, 96)
    config.batch_size = 8
    config.eval.batch_size = 16
    config.steps = 20
    config.log_every = 5
    config.data.synthetic.update(train_videos=6, validation_videos=2, frames=4, canvas=192)
    return config


def apply_variants(
    config: ConfigDict, variant: str | None, changes: dict[str, Callable[[ConfigDict], Any]]
) -> ConfigDict:
    """Apply `--config=file.py:a,b`: each name is a function that changes the config in place.

    Raises:
      UsageError: for a name that `changes` lacks.
    """
    for name in filter(None, (variant or "").split(",")):
        if name not in changes:
            known = ", ".join(sorted(changes))
            raise UsageError(f"unknown config variant ':{name}'; this config has: {known}")
        changes[name](config)
    return config


def skeleton_of(config: ConfigDict) -> Skeleton:
    """The joint set of the network's outputs.

    Raises:
      UsageError: if `config.skeleton` is neither known nor resolved from the records.
    """
    if config.joints:
        limbs = tuple((a, b) for a, b in config.limbs)
        return Skeleton(config.skeleton, tuple(config.joints), limbs)
    if config.skeleton not in KNOWN:
        known = ", ".join(sorted(KNOWN))
        raise UsageError(f"config.skeleton is {config.skeleton!r}; known are {known}, or 'data'")
    return KNOWN[config.skeleton]


def set_skeleton(config: ConfigDict, skeleton: Skeleton) -> None:
    """Write a joint set into the config, so that a checkpoint tells its own joints."""
    config.skeleton = skeleton.name
    config.joints = skeleton.joints
    config.limbs = skeleton.limbs


def to_json(config: ConfigDict) -> str:
    """Config as indented JSON; the inverse of `from_json`."""
    return config.to_json(indent=2, sort_keys=True)


def from_json(text: str) -> ConfigDict:
    """Config from JSON, over today's defaults so that older checkpoints stay readable."""
    config = pose_config()
    _merge(config, json.loads(text))
    return config.lock()


def _merge(config: ConfigDict, values: dict[str, Any]) -> None:
    for key, value in values.items():
        if isinstance(value, dict) and isinstance(config.get(key), ConfigDict):
            _merge(config[key], value)
        else:
            with config.unlocked():
                config[key] = _tuples(value)


def _tuples(value: Any) -> Any:
    # JSON knows no tuples; ConfigDicts of this project hold no lists.
    return tuple(_tuples(v) for v in value) if isinstance(value, list) else value


def define_config_flag() -> flags.FlagHolder:
    """Define `--config=FILE.py[:variant]` with `--config.field=value` overrides."""
    return config_flags.DEFINE_config_file("config", None, "Configuration file.", lock_config=True)


def loaded_config(holder: flags.FlagHolder) -> tuple[ConfigDict, str]:
    """The config of a parsed `--config` flag, and a name for its run: file name and variants.

    Raises:
      UsageError: the flag is missing or its file cannot be read.
    """
    try:
        config = holder.value
        if config is not None:
            config.is_locked  # noqa: B018  a file that failed to load raises only when looked at
    except OSError as error:
        reason = str(error).splitlines()[-1].strip()
        raise UsageError(f"--config: {reason}") from error
    if config is None:
        raise UsageError("--config=FILE is missing, for example --config=configs/quickstart.py")
    flag: Any = flags.FLAGS[holder.name]  # of config_flags, which adds the file's name
    file, _, variant = flag.config_filename.partition(":")
    return config, "_".join([Path(file).stem, *filter(None, variant.split(","))])
