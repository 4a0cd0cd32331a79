"""Checkpoints on bad disks: flipped bits, steps that vanish, no space, no directory."""

import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from jaxpose.errors import CheckpointError
from jaxpose.training.checkpoint import Checkpoints
from jaxpose.training.saved_steps import list_steps


def files_of(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def test_six_flipped_bits_are_found_and_the_step_before_is_taken(tmp_path, caplog):
    rng = np.random.default_rng(0)
    # Arrays below 1 kB lie in the index, whose checksum Orbax verifies itself.
    arrays = {f"params/{i}": rng.standard_normal(400).astype(np.float32) for i in range(6)}
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(1, {name: array + 1 for name, array in arrays.items()}, {})
        for name, array in arrays.items():
            checkpoints.save(2, arrays, {})
            checkpoints.wait()
            flip_bit_of(array, tmp_path / "2", rng)
            with pytest.raises(CheckpointError, match=f"step 2 .* is damaged: array {name} "):
                checkpoints.restore(2)
            caplog.clear()
            loaded = checkpoints.restore()
            assert loaded.step == 1
            assert all((loaded.arrays[key] == arrays[key] + 1).all() for key in arrays)
            warnings = [record.getMessage() for record in caplog.records]
            assert any(f"STEP 2 IS DAMAGED: array {name} " in line for line in warnings)
            # The damaged step is out of the way: training reaches step 2 again and saves it.
            assert checkpoints.steps() == [1]
    assert os.listdir(tmp_path / "damaged") == ["2"]


def flip_bit_of(array: np.ndarray, step: Path, rng: np.random.Generator) -> None:
    for path in files_of(step):
        content = bytearray(path.read_bytes())
        start = content.find(array.tobytes())
        if start >= 0:
            content[start + rng.integers(array.nbytes)] ^= 1 << rng.integers(8)
            path.write_bytes(content)
            return
    raise AssertionError("the array's bytes are in no file")


def test_a_step_that_vanishes_while_it_is_saved_is_reported(tmp_path):
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(1, {"params/a": np.zeros(3)}, {})
        checkpoints.wait()
        checkpoints.save(2, {"params/a": np.zeros(3)}, {})
        checkpoints._writer.wait_until_finished()
        shutil.rmtree(tmp_path / "2")
        with pytest.raises(CheckpointError, match=r"step 2 was not saved .* on disk: \[1\]"):
            checkpoints.save(3, {"params/a": np.zeros(3)}, {})
        assert checkpoints.save(3, {"params/a": np.zeros(3)}, {})
    assert list_steps(tmp_path) == [1, 3]


@pytest.fixture
def small_disk(tmp_path):
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("mounting a tmpfs is not permitted here")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_full_disk_is_an_error_with_figures_and_costs_no_step(small_disk, caplog):
    noise = np.random.default_rng(0).standard_normal(75_000).astype(np.float32)  # 300,000 bytes
    large = np.zeros(250_000, np.float32)
    with Checkpoints(small_disk) as checkpoints:
        checkpoints.save(1, {"params/a": noise}, {})
        checkpoints.save(2, {"params/a": large}, {})
        with pytest.raises(
            CheckpointError, match="step 2 .*1,000,000 bytes needed, .*No space left"
        ):
            checkpoints.wait()
        assert checkpoints.steps() == [1]
        assert os.listdir(small_disk) == ["1"]
        assert not any(record.exc_info for record in caplog.records)
        assert (checkpoints.restore().arrays["params/a"] == noise).all()
        checkpoints.save(3, {"params/a": noise}, {})
    assert list_steps(small_disk) == [1, 3]


def test_a_directory_that_cannot_be_made_is_an_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(CheckpointError, match="cannot use"):
        Checkpoints(tmp_path / "file" / "checkpoints")
