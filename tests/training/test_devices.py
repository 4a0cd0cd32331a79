"""One device against eight virtual ones, the same global batch; see toy_task.py for the program."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

PROGRAM = Path(__file__).with_name("toy_task.py")
ROOT = Path(__file__).parents[2]  # the children take the package from where the tests do


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    out = tmp_path_factory.mktemp("devices") / "runs.npz"
    environment = os.environ | {
        "JAX_PLATFORMS": "cpu",
        "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
        "XLA_FLAGS": "--xla_force_host_platform_device_count=8",
    }
    command = [sys.executable, str(PROGRAM), "--out", str(out), "--also_one_device"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=400)
    assert done.returncode == 0, done.stderr[-3000:]
    with np.load(out) as file:
        return dict(file)


def differences(runs, kind, group):
    """Largest absolute difference of each value of a group, eight devices against one."""
    names = [name for name in runs if name.startswith(f"all/{kind}/{group}")]
    assert names
    return {n: np.abs(runs[n] - runs["one" + n.removeprefix("all")]).max() for n in names}


def test_there_are_eight_devices(runs):
    assert runs["devices"].tolist() == [8, 8]
    assert runs["all/float64/sgd/rows"].tolist() == [0, 16]


@pytest.mark.parametrize(("kind", "bound"), [("float64/rmsprop", 1e-8), ("float64/sgd", 1e-12)])
def test_float64_agrees_over_ten_steps(runs, kind, bound):
    assert runs[f"all/{kind}/losses"].dtype == np.float64
    assert runs[f"all/{kind}/losses"].shape == (10,)
    for group in ("losses", "params/", "ema/"):
        assert all(d <= bound for d in differences(runs, kind, group).values()), (kind, group)
    # Running statistics are kept in float32 (flax).
    assert all(d <= 1e-6 for d in differences(runs, kind, "batch_stats/").values())
    assert all(d <= 1e-6 for d in differences(runs, kind, "predicted").values())


def test_float32_agrees_in_the_first_step(runs):
    losses = runs["all/float32/rmsprop/losses"]
    assert losses.dtype == np.float32
    assert abs(losses[0] - runs["one/float32/rmsprop/losses"][0]) <= 1e-6
    assert losses[-1] < 0.8 * losses[0]  # it trained


def test_batches_that_do_not_divide_are_refused(runs):
    whole, local = runs["refusals"]
    assert whole == (
        "a batch of 17 cannot be split over 8 devices; make the batch size a multiple of 8"
    )
    assert "batch of 9 rows" in local and "a multiple of 8" in local
