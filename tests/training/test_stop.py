"""Signals become a flag, a second one ends the process; long calls give way; hangs are reported."""

import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from jaxpose.errors import PreemptedError
from jaxpose.training.stop import StoppedError, StopRequest, Watchdog, run_interruptible


def environment() -> dict[str, str]:
    return os.environ | {"JAX_PLATFORMS": "cpu"}


def start(script: str, *arguments: object) -> subprocess.Popen:
    child = subprocess.Popen(
        [sys.executable, "-c", script, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
    )
    assert child.stdout is not None
    return child


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGUSR1])
def test_a_signal_sets_the_flag_and_the_handlers_come_back(number, capfd):
    before = signal.getsignal(number)
    with StopRequest() as stop:
        assert not stop.requested(1) and stop.reason == ""
        os.kill(os.getpid(), number)
        assert stop.requested(2) and stop.requested()
        assert stop.reason == signal.Signals(number).name
    assert signal.getsignal(number) is before
    assert f"{stop.reason}: stopping after this step" in capfd.readouterr().err


SLOW_LOOP = """
import time
from jaxpose.training.stop import StopRequest
with StopRequest() as stop:
    print("ready", flush=True)
    while not stop.requested():
        time.sleep(0.01)
    print("saving", flush=True)
    time.sleep(300)
"""


def test_the_second_signal_ends_the_process_at_once():
    child = start(SLOW_LOOP)
    assert child.stdout.readline() == "ready\n"
    child.send_signal(signal.SIGTERM)
    assert child.stdout.readline() == "saving\n"
    began = time.monotonic()
    child.send_signal(signal.SIGINT)
    errors = child.communicate(timeout=100)[1]
    assert child.returncode == 128 + signal.SIGINT
    assert time.monotonic() - began < 30
    assert "SIGINT again: leaving at once" in errors


def test_run_interruptible_returns_and_raises_like_the_function():
    with StopRequest() as stop:
        assert run_interruptible(lambda: 42, stop) == 42
        with pytest.raises(ZeroDivisionError):
            run_interruptible(lambda: 1 // 0, stop)


def test_run_interruptible_gives_way_to_a_signal():
    release = threading.Event()
    with StopRequest() as stop:
        timer = threading.Timer(0.2, lambda: os.kill(os.getpid(), signal.SIGTERM))
        timer.start()
        began = time.monotonic()
        with pytest.raises(StoppedError, match="SIGTERM") as caught:
            run_interruptible(lambda: release.wait(100), stop)
        assert time.monotonic() - began < 30
        assert isinstance(caught.value, PreemptedError) and caught.value.exit_code == 75
        release.set()


# The size of the graph makes XLA compile it for far longer than the signal needs to come.
COMPILE = """
import sys, threading, os, signal
import jax, jax.numpy as jnp
from jaxpose.errors import CheckpointError, run_main
from jaxpose.training.stop import StopRequest, StoppedError, run_interruptible

def network(x):
    for i in range(400):
        x = jnp.sin(x) @ x + jnp.cos(x * i)
    return x

def main(argv):
    lowered = jax.jit(network).lower(jax.ShapeDtypeStruct((64, 64), jnp.float32))
    with StopRequest() as stop:
        threading.Timer(0.2, lambda: os.kill(os.getpid(), signal.SIGTERM)).start()
        try:
            run_interruptible(lowered.compile, stop)
            print("compiled")
        except StoppedError:
            if FAIL:
                raise CheckpointError("the save failed")
            raise

run_main(main)
"""


@pytest.mark.parametrize("fail, code", [(False, 75), (True, 4)])
def test_a_signal_during_compilation_ends_with_the_code_of_the_error(fail, code):
    child = start(COMPILE.replace("FAIL", str(fail)))
    output, errors = child.communicate(timeout=300)
    assert (child.returncode, output) == (code, ""), errors[-2000:]
    assert errors.splitlines()[-1].startswith("error: ")


HANG = """
import sys, time
from jaxpose.training.stop import Watchdog
with Watchdog(60) as watchdog:
    watchdog.beat("first step", seconds=0)
    watchdog.beat("reading data", seconds=0.3, exit_code=3)
    def wait_for_ever():
        time.sleep(600)
    wait_for_ever()
"""


def test_the_watchdog_ends_a_hang_with_stacks_and_the_phase():
    began = time.monotonic()
    child = start(HANG)
    errors = child.communicate(timeout=300)[1]
    assert child.returncode == 3
    assert time.monotonic() - began < 300
    assert "watchdog: no progress in 0.3 s (phase: reading data)" in errors
    assert "wait_for_ever" in errors


def test_the_watchdog_leaves_a_working_process_alone():
    # It would end the tests themselves: a busy machine must not hold them up for so long.
    with Watchdog(1.5) as watchdog:
        for _ in range(8):
            time.sleep(0.25)
            watchdog.beat("step")
        watchdog.beat("evaluation", seconds=30)
        time.sleep(2)
    with Watchdog(0.5):
        pass
    with Watchdog(0) as watchdog:
        watchdog.beat("step")
    time.sleep(0.8)


TWO_PROCESSES = """
import sys, time, jax
jax.distributed.initialize(f"localhost:{sys.argv[2]}", 2, int(sys.argv[1]))
from jaxpose.training.stop import StopRequest
with StopRequest() as stop:
    print("ready", flush=True)
    step = 0
    while not stop.requested(step):
        step += 1
        time.sleep(0.02)
    print(step, stop.reason, flush=True)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_two_processes_stop_at_the_same_step(number, free_port):
    port = free_port()
    children = [start(TWO_PROCESSES, rank, port) for rank in range(2)]
    try:
        for child in children:
            while "ready" not in child.stdout.readline():
                assert child.poll() is None
        children[1].send_signal(number)
        answers = [child.communicate(timeout=300) for child in children]
    finally:
        for child in children:
            child.kill()
    assert [child.returncode for child in children] == [0, 0], answers
    last = [output.splitlines()[-1].split() for output, _ in answers]
    assert last[0][0] == last[1][0] and int(last[0][0]) > 0
    assert last[1][1] == signal.Signals(number).name
