"""The folder of one training run: locked against a second run, checked for space and writing."""

import contextlib
import errno
import fcntl
import os
import shutil
import socket
import time
from collections.abc import Iterator
from pathlib import Path

from absl import logging
from etils import epath

from jaxpose.errors import CheckpointError, UsageError

LOCK_NAME = "run.lock"
# What etils reads object storage with where there is no TensorFlow, and how to get it.
_CLIENTS = {"gs": ("gcsfs", "'jaxpose[gcs]'"), "s3": ("s3fs", "s3fs")}
_held: set[int] = set()
_NO_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS)


@contextlib.contextmanager
def open_workdir(
    path: epath.PathLike, needed_bytes: int = 0, primary: bool = True
) -> Iterator[epath.Path]:
    """Create the workdir, take its lock and check that it can be written; yields its path.

    The lock is the operating system's (flock): it ends with the process, however that ends. Under
    jax.distributed only process 0 is `primary` and takes it. Object storage (gs://...) and file
    systems without locks cannot be locked, which is said in a warning.

    Raises CheckpointError when another run holds the lock (naming its pid and host), when the
    folder cannot be created or written, or has less than `needed_bytes` free. Raises UsageError
    when it is in object storage whose client is not installed.
    """
    workdir = epath.Path(path)
    if not primary:
        yield workdir
        return
    if "://" in os.fspath(workdir):
        logging.warning("%s cannot be locked: do not start a second run in it", workdir)
        try:
            workdir.mkdir(parents=True, exist_ok=True)
        except ImportError as error:
            raise client_missing(os.fspath(workdir)) from error
        yield workdir
        return
    local = Path(os.fspath(workdir)).absolute()
    try:
        local.mkdir(parents=True, exist_ok=True)
        lock = os.open(local / LOCK_NAME, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise _cannot_write(local, error) from error
    _held.add(lock)
    try:
        _take(lock, local)
        _probe(local, needed_bytes)
        yield epath.Path(local)
    finally:
        _release(lock)


def client_missing(url: str) -> UsageError:
    """What to raise where gs:// or s3:// cannot be opened for want of a package."""
    scheme = url.partition("://")[0]
    package, install = _CLIENTS[scheme]
    return UsageError(f"{url}: {scheme}:// needs {package}: pip install {install}")


def _cannot_write(path: Path, error: OSError) -> CheckpointError:
    return CheckpointError(
        f"cannot write to {path}: {error.strerror or error}; choose another --workdir"
    )


def _release(lock: int) -> None:
    if lock in _held:  # not so in a forked child, where the number may be another file's by now
        _held.discard(lock)
        os.close(lock)


def _release_in_child() -> None:
    for lock in list(_held):
        _release(lock)


def _take(lock: int, workdir: Path) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(lock, 200, 0).decode(errors="replace").strip() or "an unknown process"
        raise CheckpointError(
            f"workdir {workdir} is in use by another run ({holder}): wait for it, stop it, or "
            "choose another --workdir"
        ) from None
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise _cannot_write(workdir, error) from error
        logging.warning("%s cannot be locked: do not start a second run in it", workdir)
    started = time.strftime("%Y-%m-%d %H:%M:%S")
    text = f"pid {os.getpid()} on host {socket.gethostname()}, started {started}\n"
    try:
        os.ftruncate(lock, 0)
        os.pwrite(lock, text.encode(), 0)
    except OSError as error:
        raise _cannot_write(workdir, error) from error


def free_space(folder: epath.PathLike) -> str:
    """Return the bytes free where `folder` lies, as text; object storage has no such figure."""
    try:
        return f"{shutil.disk_usage(folder).free:,}"
    except OSError:
        return "unknown"


def _probe(workdir: Path, needed_bytes: int) -> None:
    free = shutil.disk_usage(workdir).free
    if free < needed_bytes:
        raise CheckpointError(
            f"not enough space in {workdir}: {needed_bytes:,} bytes needed, {free:,} free; free "
            "some or choose another --workdir"
        )
    probe = workdir / f".probe-{os.getpid()}"
    try:
        with open(probe, "wb") as file:
            file.write(bytes(1 << 16))
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise _cannot_write(workdir, error) from error
    finally:
        with contextlib.suppress(OSError):
            probe.unlink()


# A forked data worker that outlives a killed run must not go on holding its lock.
os.register_at_fork(after_in_child=_release_in_child)


def write_atomic(path: epath.PathLike, text: str) -> None:
    """Write a text file so that a reader sees the old content or the new, never a part.

    Raises CheckpointError naming the file when it cannot be written; the old one is then intact.
    """
    if "://" in os.fspath(path):
        epath.Path(path).write_text(text)  # an object appears whole or not at all
        return
    target = Path(os.fspath(path))
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(target)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise CheckpointError(f"cannot write {target}: {error.strerror or error}") from error
