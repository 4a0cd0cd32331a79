"""One run per workdir, problems of the disk at the start, and files that are whole or absent."""

import contextlib
import errno
import fcntl
import os
import shutil
import signal
import socket
import subprocess
import sys
import time

import pytest

from jaxpose.errors import CheckpointError
from jaxpose.training import workdir
from jaxpose.training.workdir import LOCK_NAME, open_workdir, write_atomic

HOLD = """
import os, sys, time
from jaxpose.training.workdir import open_workdir
with open_workdir(sys.argv[1]):
    if os.fork() == 0:  # a data worker that will outlive its parent
        time.sleep(20)
        os._exit(0)
    print("held", flush=True)
    time.sleep(60)
"""


def test_the_folder_is_made_and_left_clean(tmp_path):
    with open_workdir(tmp_path / "a b" / "run") as folder:
        assert os.fspath(folder) == str(tmp_path / "a b" / "run")
        assert os.listdir(folder) == [LOCK_NAME]
        text = (folder / LOCK_NAME).read_text()
        assert f"pid {os.getpid()} on host {socket.gethostname()}" in text
    with open_workdir(tmp_path / "a b" / "run"):
        pass


def test_a_second_run_is_refused_and_kill_9_frees_the_lock(tmp_path):
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    child = subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, start_new_session=True, env=os.environ
    )
    try:
        assert child.stdout.readline() == "held\n"
        began = time.monotonic()
        with pytest.raises(CheckpointError) as caught, open_workdir(tmp_path):
            pass
        assert time.monotonic() - began < 20
        for phrase in (f"pid {child.pid} on host {socket.gethostname()}", str(tmp_path)):
            assert phrase in str(caught.value)
        child.kill()
        child.wait()
        for _ in range(50):  # the worker drops the lock when it first runs
            with contextlib.suppress(CheckpointError), open_workdir(tmp_path):
                return
            time.sleep(0.1)
        raise AssertionError("the lock outlived its holder")
    finally:
        os.killpg(child.pid, signal.SIGKILL)


def test_the_lock_of_this_process_counts_too_and_ends_with_an_error_inside(tmp_path):
    with pytest.raises(RuntimeError), open_workdir(tmp_path):
        with pytest.raises(CheckpointError, match="in use"), open_workdir(tmp_path):
            pass
        raise RuntimeError
    with open_workdir(tmp_path):
        pass


def test_other_processes_of_the_job_take_no_lock(tmp_path):
    with open_workdir(tmp_path), open_workdir(tmp_path, primary=False) as folder:
        assert os.fspath(folder) == str(tmp_path)


def test_a_file_system_without_locks_is_said(tmp_path, monkeypatch, caplog):
    def no_locks(*arguments):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", no_locks)
    with open_workdir(tmp_path):
        pass
    assert any("cannot be locked" in record.getMessage() for record in caplog.records)


def test_a_path_below_a_file_is_an_error(tmp_path):
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(CheckpointError, match="cannot write .*Not a directory"),
        open_workdir(tmp_path / "file" / "run"),
    ):
        pass


@pytest.fixture
def mounted(tmp_path):
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("mounting a tmpfs is not permitted here")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_read_only_disk_is_an_error_at_the_start(mounted):
    (mounted / LOCK_NAME).touch()
    subprocess.run(["mount", "-o", "remount,ro", str(mounted)], check=True)
    for folder in (mounted, mounted / "new"):
        with (
            pytest.raises(CheckpointError, match="cannot write .*Read-only file system"),
            open_workdir(folder),
        ):
            pass


def test_a_full_disk_is_an_error_at_the_start(mounted):
    with (
        pytest.raises(CheckpointError, match=r"2,000,000 bytes needed, 1,0\d\d,\d\d\d free"),
        open_workdir(mounted, needed_bytes=2_000_000),
    ):
        pass
    filler = mounted / "filler"
    with pytest.raises(OSError), open(filler, "wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))
    with (
        pytest.raises(CheckpointError, match="cannot write .*No space left"),
        open_workdir(mounted),
    ):
        pass
    filler.unlink()
    with open_workdir(mounted, needed_bytes=500_000):
        pass
    assert os.listdir(mounted) == [LOCK_NAME]


def test_too_little_space_names_both_figures(tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)._replace(free=1_000)
    monkeypatch.setattr(workdir.shutil, "disk_usage", lambda path: usage)
    with (
        pytest.raises(CheckpointError, match="3,000 bytes needed, 1,000 free"),
        open_workdir(tmp_path, needed_bytes=3_000),
    ):
        pass


def test_write_atomic_replaces_the_whole_file_or_nothing(tmp_path, monkeypatch):
    path = tmp_path / "scores.json"
    write_atomic(path, "old")
    write_atomic(path, "new ä")
    assert path.read_text(encoding="utf-8") == "new ä"

    def fail(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(CheckpointError, match="scores.json: No space left on device"):
        write_atomic(path, "newer")
    assert path.read_text(encoding="utf-8") == "new ä"
    assert os.listdir(tmp_path) == ["scores.json"]
    with pytest.raises(CheckpointError, match="cannot write"):
        write_atomic(tmp_path / "missing" / "file", "text")
