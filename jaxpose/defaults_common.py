"""What the configs of all tasks have in common: data, optimizer, checkpoints, logging."""

from typing import Any


def common() -> dict[str, Any]:
    """Fields that every task has, before it changes some."""
    return {
        "seed": 0,
        "canvas": 0,  # side of the records' canvas; 0: taken from the records
        "data_dir": "",  # '' means JAXPOSE_DATA, else ~/jaxpose_data
        "data": data_config(),
        "epochs": 100.0,
        "steps": 0,  # 0: from epochs
        "optimizer": optimizer_config(),
        "ema_decay": 0.0,
        "non_finite": "stop",
        "non_finite_budget": 100,
        "eval": {"every_epochs": 1.0, "every_steps": 0},
        "checkpoint": {"every_epochs": 1.0, "every_steps": 0, "max_to_keep": 3},
        "log_every": 50,
        "compare_baselines": False,
        "init_from": "",  # a checkpoint: whatever `jaxpose.restore` takes
        "init_skip": (),
        "distributed": "off",
        "watchdog_seconds": 0,
    }


def data_config() -> dict[str, Any]:
    """What is read, and data sets that a run makes for itself."""
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
            "skip_bad": 0,  # records that may be refused (listed in rejects.jsonl)
            "allow_missing": 0,  # images that may be missing
        },
        # A drawn data set, made on first use; 0 training videos where unused.
        "synthetic": {"train_videos": 0, "validation_videos": 0, "frames": 0, "canvas": 512},
    }


def optimizer_config() -> dict[str, Any]:
    """Optimizer and schedule: those of the hourglass."""
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
