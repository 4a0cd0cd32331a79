"""Checkpoints across processes: killed ones, other device counts, two that save together."""

import os
import random
import signal
import subprocess
import sys
import time

import numpy as np

from jaxpose.training.saved_steps import list_steps, read_step


def test_saved_on_eight_devices_restored_on_one(tmp_path):
    script = """
import sys, jax, numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxpose.training.checkpoint import Checkpoints
assert jax.device_count() == 8
mesh = Mesh(np.array(jax.devices()), ("data",))
values = np.arange(64, dtype=np.float32)
arrays = {name: jax.device_put(values, NamedSharding(mesh, spec))
          for name, spec in (("params/a", PartitionSpec()), ("params/b", PartitionSpec("data")))}
with Checkpoints(sys.argv[1]) as checkpoints:
    checkpoints.save(1, arrays, {})
    checkpoints.restore()
"""
    flags = "--xla_force_host_platform_device_count=8"
    run_python(script, tmp_path, XLA_FLAGS=flags)
    arrays = read_step(tmp_path / "1").arrays
    for name in ("params/a", "params/b"):
        np.testing.assert_array_equal(arrays[name], np.arange(64, dtype=np.float32))


def run_python(script: str, *arguments, **environment) -> subprocess.CompletedProcess:
    command = [sys.executable, "-c", script, *map(str, arguments)]
    done = subprocess.run(
        command, env=child_environment(**environment), capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done


def child_environment(**environment) -> dict[str, str]:
    return os.environ | {"JAX_PLATFORMS": "cpu"} | environment


SAVE_FOR_EVER = """
import sys, numpy as np
from jaxpose.training.checkpoint import Checkpoints
with Checkpoints(sys.argv[1], 2) as checkpoints:
    loaded = checkpoints.restore()
    step = 0 if loaded is None else loaded.step
    if loaded is not None:
        assert all((array == step).all() for array in loaded.arrays.values())
    print("from", step, flush=True)
    while True:
        step += 1
        arrays = {f"params/{i}": np.full(20_000, step, np.float32) for i in range(20)}
        checkpoints.save(step, arrays, {})
        print(step, flush=True)
"""


def test_kill_9_at_random_moments_loses_at_most_the_save_in_progress(tmp_path):
    rng = random.Random(0)
    before = 0
    for _ in range(3):
        command = [sys.executable, "-c", SAVE_FOR_EVER, str(tmp_path)]
        child = subprocess.Popen(
            command, stdout=subprocess.PIPE, text=True, env=child_environment()
        )
        start = int(child.stdout.readline().split()[1])
        assert start >= before - 1
        while int(child.stdout.readline()) < start + 2:
            pass
        time.sleep(rng.uniform(0, 0.2))
        child.send_signal(signal.SIGKILL)
        before = max([int(line) for line in child.communicate()[0].split()], default=start + 2)
    steps = list_steps(tmp_path)
    assert steps and steps[-1] >= before - 1
    for step in steps:
        arrays = read_step(tmp_path / str(step)).arrays
        assert len(arrays) == 20 and all((array == step).all() for array in arrays.values())


TWO_PROCESSES = """
import sys, jax, numpy as np
rank, port, folder = int(sys.argv[1]), sys.argv[2], sys.argv[3]
jax.distributed.initialize(f"localhost:{port}", 2, rank)
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxpose.training.checkpoint import Checkpoints
mesh = Mesh(np.array(jax.devices()), ("data",))
spread = NamedSharding(mesh, PartitionSpec())
make = lambda value: jax.make_array_from_callback((5,), spread, lambda index: np.full(5, value))
with Checkpoints(folder, 2) as checkpoints:
    assert checkpoints.restore() is None
    for step in (1, 2, 3):
        assert checkpoints.save(step, {"params/a": make(float(step)), "count": step}, {})
    checkpoints.wait()
    assert checkpoints.steps()[-1] == 3
    jax.experimental.multihost_utils.sync_global_devices("before the damage")
    if rank == 0:
        (checkpoints.directory / "3/state/manifest.ocdbt").unlink()
    jax.experimental.multihost_utils.sync_global_devices("after the damage")
    loaded = checkpoints.restore()
    assert loaded.step == 2 and (loaded.arrays["params/a"] == 2).all()
    assert checkpoints.save(3, {"params/a": make(3.0), "count": 3}, {})
print("fine")
"""


def test_two_processes_save_one_checkpoint_and_agree_on_the_step(tmp_path, free_port):
    port = free_port()
    children = [
        subprocess.Popen(
            [sys.executable, "-c", TWO_PROCESSES, str(rank), str(port), str(tmp_path)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=child_environment(),
        )
        for rank in range(2)
    ]
    try:
        for child in children:
            out, err = child.communicate(timeout=300)
            assert child.returncode == 0 and out.endswith("fine\n"), err[-3000:]
    finally:
        for child in children:
            child.kill()
    assert list_steps(tmp_path) == [2, 3]
    assert (read_step(tmp_path / "3").arrays["params/a"] == 3).all()
