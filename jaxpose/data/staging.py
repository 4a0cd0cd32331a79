"""Folders that appear whole or not at all, made by one process at a time."""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from jaxpose.errors import DataError

_INCOMPLETE = "incomplete."  # TFDS's own prefix of folders being written


@contextmanager
def only_maker(folder: Path) -> Iterator[None]:
    """Keep two makers of one folder apart; the lock ends with the process that holds it.

    Raises:
      DataError: another process makes it, or the file system refuses something meanwhile: readers
        name their own files themselves.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with (folder.parent / ".lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield
    except BlockingIOError as error:
        raise DataError(f"{folder}: another process is building this data set") from error
    except OSError as error:
        raise DataError(f"{folder}: cannot be written: {error}") from error


def sweep(folder: Path) -> None:
    """Remove what interrupted makers of this folder left behind; call it under `only_maker`."""
    for remains in folder.parent.glob(f"{_INCOMPLETE}*_{folder.name}"):
        shutil.rmtree(remains)


@contextmanager
def staged(folder: Path) -> Iterator[Path]:
    """A new folder to write into, renamed to `folder` if all goes well and removed otherwise."""
    staging = folder.with_name(f"{_INCOMPLETE}{os.getpid()}_{folder.name}")
    staging.mkdir()
    try:
        yield staging
        staging.rename(folder)
    finally:
        if staging.exists():
            shutil.rmtree(staging)
