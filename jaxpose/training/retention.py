"""What leaves a checkpoint directory: remains of killed runs, surplus steps, damaged steps."""

from absl import logging
from etils import epath

_DELETING = ".deleting"
_ORBAX_TMP = ".orbax-checkpoint-tmp"
SET_ASIDE = "damaged"


def sweep(directory: epath.Path) -> None:
    """Remove steps that were half written or half deleted when a run was killed.

    Only for the holder of the workdir's lock: a save in progress looks the same.
    """
    for path in directory.iterdir():
        if _ORBAX_TMP in path.name or path.name.endswith(_DELETING):
            _remove(path)


def surplus(steps: list[int], max_to_keep: int, best: int | None) -> list[int]:
    """Return the steps to delete: all but the newest `max_to_keep` and the best one."""
    kept = {*sorted(steps)[-max_to_keep:], best}
    return [step for step in steps if step not in kept]


def delete_step(directory: epath.Path, step: int) -> None:
    """Delete one step; a kill in the middle leaves no half step that looks whole."""
    doomed = directory / f"{step}{_DELETING}"
    try:
        (directory / str(step)).rename(doomed)
    except OSError as error:
        logging.warning("cannot delete checkpoint step %d: %s", step, error)
    else:
        _remove(doomed)


def _remove(folder: epath.Path) -> None:
    try:
        folder.rmtree()
    except OSError as error:  # a nuisance, not a reason to stop training
        logging.warning("cannot remove %s: %s", folder, error)


def set_aside(directory: epath.Path, steps: list[int]) -> None:
    """Move steps to the folder `damaged`, for a look at them; replaces what lay there before."""
    folder = directory / SET_ASIDE
    if folder.exists():
        folder.rmtree()
    folder.mkdir()
    for step in steps:
        (directory / str(step)).rename(folder / str(step))
        logging.warning("checkpoint step %d was moved to %s", step, folder)
