"""Two processes of one jax.distributed job against one process; see toy_task.py for the program."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

PROGRAM = Path(__file__).with_name("toy_task.py")
ROOT = Path(__file__).parents[2]  # the children take the package from where the tests do


def start(out, devices, *arguments):
    environment = os.environ | {
        "JAX_PLATFORMS": "cpu",
        "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
        "XLA_FLAGS": f"--xla_force_host_platform_device_count={devices}",
    }
    command = [sys.executable, str(PROGRAM), "--out", str(out), *arguments]
    with open(out.with_suffix(".log"), "w") as log:
        return subprocess.Popen(command, env=environment, stdout=log, stderr=log)


@pytest.fixture(scope="module")
def runs(tmp_path_factory, free_port):
    """Results of process 0 and process 1 (two devices each), and of one process alone."""
    folder = tmp_path_factory.mktemp("processes")
    outs = [folder / f"{name}.npz" for name in ("first", "second", "alone")]
    port = free_port()
    children = [start(outs[p], 2, "--job", f"{port}:2:{p}") for p in range(2)]
    children.append(start(outs[2], 1))
    try:
        for child, out in zip(children, outs, strict=True):
            code = child.wait(timeout=400)
            assert code == 0, out.with_suffix(".log").read_text()[-3000:]
    finally:
        for child in children:
            child.kill()
    results = []
    for out in outs:
        with np.load(out) as file:
            results.append(dict(file))
    return results


def trained(run):
    groups = ("losses", "params/", "ema/")
    return {
        n: v
        for n, v in run.items()
        if n.startswith("all/") and n.split("/", 3)[3].startswith(groups)
    }


def test_each_process_reads_its_own_rows(runs):
    first, second, alone = runs
    assert [run["devices"].tolist() for run in runs] == [[2, 4], [2, 4], [1, 1]]
    assert first["all/float64/sgd/rows"].tolist() == [0, 8]
    assert second["all/float64/sgd/rows"].tolist() == [8, 16]
    assert alone["all/float64/sgd/rows"].tolist() == [0, 16]


def test_processes_hold_the_same_bits(runs):
    first, second, _ = runs
    names = trained(first)
    assert len(names) > 30
    for name in names:
        assert first[name].tobytes() == second[name].tobytes(), name


@pytest.mark.parametrize(("kind", "bound"), [("float64/rmsprop", 1e-8), ("float64/sgd", 1e-12)])
def test_float64_agrees_with_one_process(runs, kind, bound):
    first, _, alone = runs
    names = [name for name in trained(first) if f"/{kind}/" in name]
    assert first[f"all/{kind}/losses"].dtype == np.float64
    for name in names:
        assert np.abs(first[name] - alone[name]).max() <= bound, name


def test_float32_agrees_in_the_first_step(runs):
    first, _, alone = runs
    name = "all/float32/rmsprop/losses"
    assert first[name].dtype == np.float32
    assert abs(first[name][0] - alone[name][0]) <= 1e-6


def test_predictions_come_back_to_the_process_of_their_rows(runs):
    first, second, alone = runs
    for kind in ("float64/rmsprop", "float64/sgd"):
        name = f"all/{kind}/predicted"
        joined = np.concatenate([first[name], second[name]])
        assert first[name].shape == (8, 2)
        np.testing.assert_allclose(joined, alone[name], rtol=0, atol=1e-6)


def test_batches_that_do_not_divide_are_refused(runs):
    whole, local = runs[1]["refusals"]
    assert "batch of 17 cannot be split over 4 devices" in whole
    assert "batch of 3 rows cannot be split over the 2 devices of this process" in local
    assert "a multiple of 4" in local
