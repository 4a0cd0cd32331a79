"""The synthetic set's drawings: whole or not at all, whatever ends the process that draws them."""

import fcntl
import os
import signal
import subprocess
import sys

import pytest

from jaxpose.data import sources
from jaxpose.data.sources import drawn_source
from jaxpose.errors import DataError

_KILLED = """
import os, signal, sys
from pathlib import Path
from jaxpose.data import sources
def draw(folder, **_):
    (folder / "half").touch()
    os.kill(os.getpid(), signal.SIGKILL)
sources.write_dataset = draw
sources.drawn_source(Path(sys.argv[1]))
"""


def draws(end=None):
    """Stands in for `write_dataset`: writes a file, and ends by an exception."""

    def write(folder, **_):
        (folder / "posetrack18").touch()
        if end is not None:
            raise end

    return write


def remains(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_killed_drawing_is_swept_by_the_next(tmp_path, monkeypatch):
    command = [sys.executable, "-c", _KILLED, str(tmp_path)]
    killed = subprocess.run(command, capture_output=True, timeout=300)
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
    assert any(name.startswith("incomplete.") for name in remains(tmp_path))
    monkeypatch.setattr(sources, "write_dataset", draws())
    assert drawn_source(tmp_path).folder.exists()
    assert remains(tmp_path) == [".lock", "synthetic_source"]


@pytest.mark.parametrize("end", [KeyboardInterrupt(), OSError(28, os.strerror(28))])
def test_an_interrupted_drawing_leaves_nothing(tmp_path, monkeypatch, end):
    monkeypatch.setattr(sources, "write_dataset", draws(end))
    expected = DataError if isinstance(end, OSError) else KeyboardInterrupt
    with pytest.raises(expected):
        drawn_source(tmp_path)
    assert remains(tmp_path) == [".lock"]


def test_another_process_that_draws_is_not_swept(tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "write_dataset", None)
    (tmp_path / "incomplete.1_synthetic_source").mkdir()
    with (tmp_path / ".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(DataError, match="synthetic_source: another process"):
            drawn_source(tmp_path)
    assert remains(tmp_path) == [".lock", "incomplete.1_synthetic_source"]
