"""The weights alone: for inference from a checkpoint, and for fine-tuning from another model."""

import contextlib
from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

import numpy as np
from absl import logging
from etils import epath

from jaxpose.errors import CheckpointError, UsageError
from jaxpose.training.digests import DamageError
from jaxpose.training.leaves import compare_leaves, listed
from jaxpose.training.saved_steps import absolute, best_of, list_steps, read_manifest, read_step

_PREFIXES = ("params/", "batch_stats/", "ema/")


class Weights(NamedTuple):
    """What inference needs of one step; paths without their 'params/' or 'batch_stats/' prefix.

    `params` are the averaged weights when `averaged` (the run kept an EMA). `digest` is the
    SHA-256 that identifies the step.
    """

    step: int
    params: dict[str, np.ndarray]
    batch_stats: dict[str, np.ndarray]
    averaged: bool
    metadata: dict[str, Any]
    metrics: dict[str, float]
    digest: str


def load_weights(
    path: epath.PathLike, step: int | None = None, prefer_best: bool = True
) -> Weights:
    """Read verified weights from a workdir, its `checkpoints` folder or a single step folder.

    Without `step`: the best step by the run's metric (with `prefer_best`, if the run names one),
    else the newest; a damaged one is reported in one line and the next taken. Raises
    CheckpointError when there is none, none is intact, or the wanted `step` is not.
    """
    given = absolute(path)
    folder = given / "checkpoints" if (given / "checkpoints").is_dir() else given
    if _is_step(folder) and step in (None, int(folder.name)):
        return _read_weights(folder)
    steps = list_steps(folder)
    if step is not None:
        if step not in steps:
            have = f"available: {steps or 'none'}"
            raise CheckpointError(f"no checkpoint step {step} in {given}; {have}")
        return _read_weights(folder / str(step))
    if not steps:
        raise CheckpointError(f"no checkpoint in {given}: give a workdir or a checkpoints folder")
    for candidate in _candidates(folder, steps, prefer_best):
        try:
            return _read_weights(folder / str(candidate))
        except CheckpointError as error:
            logging.warning("%s; trying another step", error)
    raise CheckpointError(f"no checkpoint in {folder} is intact (steps {steps})")


def chosen_step(path: epath.PathLike) -> tuple[int, str] | None:
    """Step and digest of what `load_weights` takes from a workdir without `step`; None without any.

    Reads manifests alone: damage of the arrays, which `load_weights` walks past, stays unseen.
    """
    folder = absolute(path) / "checkpoints"
    for step in _candidates(folder, list_steps(folder), prefer_best=True):
        with contextlib.suppress(DamageError):
            return step, read_manifest(folder / str(step))["sha256"]
    return None


def _is_step(folder: epath.Path) -> bool:
    return folder.name.isdecimal() and (folder / "metadata").is_dir()


def _candidates(folder: epath.Path, steps: list[int], prefer_best: bool) -> list[int]:
    newest_first = sorted(steps, reverse=True)
    if not prefer_best:
        return newest_first
    manifests = {}
    for step in steps:
        try:
            manifests[step] = read_manifest(folder / str(step))
        except DamageError as damage:
            logging.warning("CHECKPOINT STEP %d IS DAMAGED: %s", step, damage)
    if not manifests:
        return newest_first
    best = best_of(manifests, manifests[max(manifests)]["best_metric"])
    if best is None:
        return newest_first
    return [best, *(other for other in newest_first if other != best)]


def _read_weights(step_folder: epath.Path) -> Weights:
    try:
        loaded = read_step(step_folder, lambda name: name.startswith(_PREFIXES))
    except DamageError as damage:
        raise CheckpointError(f"{step_folder} is damaged: {damage}") from damage
    params, batch_stats, ema = (_below(loaded.arrays, prefix) for prefix in _PREFIXES)
    if not params:
        raise CheckpointError(f"{step_folder} holds no network weights (no 'params/...')")
    return Weights(
        step=loaded.step,
        params=params | ema,
        batch_stats=batch_stats,
        averaged=bool(ema),
        metadata=loaded.metadata,
        metrics=loaded.metrics,
        digest=loaded.digest,
    )


def _below(arrays: Mapping[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    return {
        name.removeprefix(prefix): array
        for name, array in arrays.items()
        if name.startswith(prefix)
    }


class MergeReport(NamedTuple):
    """Paths taken from the loaded weights, kept from the template, and loaded but not wanted."""

    taken: list[str]
    kept: list[str]
    unused: list[str]


def merge_weights(
    template: Mapping[str, Any],
    loaded: Mapping[str, np.ndarray],
    skip: tuple[str, ...] = (),
    where: str = "init_from",
) -> tuple[dict[str, Any], MergeReport]:
    """Return the template's leaves replaced by those of the same path in `loaded`.

    `skip` holds patterns as of fnmatch, matched against a whole path or the beginning of one up to
    a '/': 'stack_1/head' and '*head*' both cover 'stack_1/head/kernel'. What matches keeps the
    template's value. Dtypes become the template's. Raises one CheckpointError that lists all
    leaves missing or of other shape, and UsageError for a pattern that matches no leaf.
    """
    for pattern in skip:
        if not any(_matches(name, pattern) for name in template):
            raise UsageError(f"init_skip {pattern!r} matches no leaf of the network")
    kept = [name for name in template if any(_matches(name, pattern) for pattern in skip)]
    wanted = {name: leaf for name, leaf in template.items() if name not in set(kept)}
    problems = compare_leaves(wanted, loaded, check_dtype=False)
    if problems:
        raise CheckpointError(
            f"weights of {where} do not fit the network: {listed(problems)}; "
            "list leaves to train from scratch in --config.init_skip"
        )
    taken = {name: np.asarray(loaded[name], dtype=leaf.dtype) for name, leaf in wanted.items()}
    unused = [name for name in loaded if name not in template]
    return dict(template) | taken, MergeReport(list(taken), kept, unused)


def _matches(name: str, pattern: str) -> bool:
    pattern = pattern.rstrip("/")
    return fnmatchcase(name, pattern) or fnmatchcase(name, f"{pattern}/*")
