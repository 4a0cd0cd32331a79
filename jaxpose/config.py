"""Configurations: variants, overrides on the command line, and JSON beside a checkpoint.

A config is a Python file with `get_config(variant)`; it starts from one of `jaxpose.defaults` and
changes what differs. Config files are code: run only those that you trust. Checkpoints hold JSON
instead.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from absl import flags
from ml_collections import ConfigDict, config_flags

from jaxpose.defaults import DEFAULTS
from jaxpose.errors import UsageError
from jaxpose.skeletons import KNOWN, Skeleton


def apply_variants(
    config: ConfigDict, variant: str | None, changes: dict[str, Callable[..., Any]]
) -> ConfigDict:
    """Apply `--config=file.py:a,b=0.7`: functions that change the config in place.

    `a` calls changes['a'](config), `b=0.7` changes['b'](config, '0.7').

    Raises:
      UsageError: for a name that `changes` lacks, or a value that it cannot take.
    """
    for text in filter(None, (variant or "").split(",")):
        name, equals, value = text.partition("=")
        if name not in changes:
            known = ", ".join(sorted(changes))
            raise UsageError(f"unknown config variant ':{text}'; this config has: {known}")
        try:
            changes[name](config, *[value] * bool(equals))
        except TypeError:
            wrong = "takes no value" if equals else f"needs a value: ':{name}=VALUE'"
            raise UsageError(f"config variant ':{text}' {wrong}") from None
        except ValueError as error:
            raise UsageError(f"config variant ':{text}' cannot be taken: {error}") from error
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


def without_paths(text: str) -> str:
    """A config's JSON without the folders of the machine it is of, to hand on.

    `data_dir` becomes '' (the default); of other files and folders the last part stays, which tells
    what they were.
    """
    values = json.loads(text)
    values["data_dir"] = ""
    holders = [values.get("data", {}).get("custom", {}), values.get("model", {}), values]
    named = ("train_json", "train_images", "validation_json", "validation_images")
    for holder in holders:
        for name in {*named, "base_weights", "init_from"} & set(holder):
            holder[name] = Path(holder[name]).name
    return json.dumps(values)


def with_person_threshold(text: str, threshold: float) -> str:
    """A detector's config as JSON with another `detect.person_threshold`, to hand on.

    Raises:
      UsageError: the config is of another task.
    """
    values = json.loads(text)
    if values.get("task") != "detection":
        raise UsageError(
            f"a person threshold is a detector's; this config is of a network for "
            f"{values.get('task')}"
        )
    values.setdefault("detect", {})["person_threshold"] = threshold
    return json.dumps(values)


def with_dtype(text: str, dtype: str) -> str:
    """A config as JSON whose network computes in another type, to hand on."""
    values = json.loads(text)
    values["model"]["dtype"] = dtype
    return json.dumps(values)


def from_json(text: str) -> ConfigDict:
    """Config from JSON, over today's defaults so that older checkpoints stay readable."""
    values = json.loads(text)
    if values.get("task") not in DEFAULTS:
        raise ValueError(f"no task {values.get('task')!r}; there are {', '.join(DEFAULTS)}")
    config = DEFAULTS[values["task"]]()
    _merge(config, values)
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


def define_config_flag(
    name: str = "config", purpose: str = "Configuration file."
) -> flags.FlagHolder:
    """Define `--config=FILE.py[:variant]` with `--config.field=value` overrides."""
    return config_flags.DEFINE_config_file(name, None, purpose, lock_config=True)


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
        raise UsageError(f"--{holder.name}: {reason}") from error
    if config is None:
        example = f"for example --{holder.name}=configs/quickstart.py"
        raise UsageError(f"--{holder.name}=FILE is missing, {example}")
    flag: Any = flags.FLAGS[holder.name]  # of config_flags, which adds the file's name
    file, _, variant = flag.config_filename.partition(":")
    return config, "_".join([Path(file).stem, *filter(None, variant.replace("=", "").split(","))])
