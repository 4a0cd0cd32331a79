"""What a config may say, and what a resumed run may change."""

import json
from typing import Any

from ml_collections import ConfigDict

from jaxpose.config import to_json
from jaxpose.errors import UsageError


def check_config(config: ConfigDict) -> None:
    """Raises UsageError naming the first field whose value has no meaning."""
    rules = {
        "non_finite": (config.non_finite in ("stop", "skip"), "'stop' or 'skip'"),
        "seed": (config.seed >= 0, "0 or more"),
        "steps": (config.steps >= 0, "0 (from epochs) or more"),
        "batch_size": (config.batch_size >= 1, "1 or more"),
        "ema_decay": (0 <= config.ema_decay < 1, "from 0 (off) to below 1"),
        "checkpoint.max_to_keep": (config.checkpoint.max_to_keep >= 1, "1 or more"),
        "eval.batch_size": (config.eval.batch_size >= 1, "1 or more"),
        "data.source": (config.data.source in ("records", "shards"), "'records' or 'shards'"),
        "model.dtype": (
            config.model.dtype in ("float32", "bfloat16", "float64"),
            "'float32', 'bfloat16' or 'float64'",
        ),
    }
    for name, (good, meaning) in rules.items():
        if not good:
            value: Any = config
            for part in name.split("."):
                value = value[part]
            raise UsageError(f"config.{name} is {value!r}; it must be {meaning}")


# What a run cannot change between its start and a resume without becoming another run.
FIXED = ("task", "seed", "skeleton", "joints", "input_size", "model", "batch_size")
FIXED_DATA = ("train", "weights", "train_split")


def check_resume(old: ConfigDict, new: ConfigDict) -> list[str]:
    """Fields that a resumed run changes, as text.

    Raises:
      UsageError: one of them makes it another run (network, data, seed or batch size).
    """
    before, after = json.loads(to_json(old)), json.loads(to_json(new))
    fixed = [name for name in FIXED if before[name] != after[name]]
    fixed += [f"data.{name}" for name in FIXED_DATA if before["data"][name] != after["data"][name]]
    if fixed:
        raise UsageError(
            f"this workdir holds a run with another {', '.join(fixed)}; choose another --workdir"
        )
    return [name for name in after if before.get(name) != after[name]]
