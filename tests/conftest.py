"""Tests run on the CPU; the compiler may be lazy, since it costs more than the tiny networks.

pytest-xdist runs files beside each other in workers, which are processes that take over the
environment set here. `-n0` runs all in this process, as a debugger needs it.

Fixtures that are named like a function are that function. What they need is imported in them, since
many tests do without.
"""

import atexit
import os
import shutil
import socket
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock

os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
LAZY = "--xla_backend_optimization_level=0"
if LAZY not in os.environ.get("XLA_FLAGS", ""):
    os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {LAZY}".strip()
# What one test compiled, another and the commands that tests start need not compile again.
if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
    os.environ["JAX_COMPILATION_CACHE_DIR"] = tempfile.mkdtemp(prefix="jaxpose_tests_")
    os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0.5"
    atexit.register(shutil.rmtree, os.environ["JAX_COMPILATION_CACHE_DIR"], ignore_errors=True)

# Factors of the kernels of an untrained detector's heads, with which the scores and sizes of its
# boxes are spread as a trained one's.
_LOUDNESS = {"conf": (4, 1.5, 1.5, 1.5), "loc": (1, 0.12, 0.12, 0.12)}
_RARITY = 7.0  # of people: added to the background's bias


@pytest.fixture(scope="session")
def made_once(request, tmp_path_factory) -> Callable:
    common = tmp_path_factory.getbasetemp()
    if hasattr(request.config, "workerinput"):
        common = common.parent

    def made_once(name, make) -> Path:
        """Folder that `make(folder)` filled, in whichever worker came first; leave it unchanged."""
        folder, done = common / name, common / f"{name}.done"
        with FileLock(common / f"{name}.lock"):
            if not done.exists():
                shutil.rmtree(folder, ignore_errors=True)  # of a worker that failed
                folder.mkdir()
                make(folder)
                done.touch()
        return folder

    return made_once


@pytest.fixture(scope="session")
def free_port() -> Callable:
    def free_port() -> int:
        """A port of this machine that nobody listens on."""
        with socket.socket() as listener:
            listener.bind(("localhost", 0))
            return listener.getsockname()[1]

    return free_port


@pytest.fixture(scope="session")
def networks(made_once):
    """Files of tiny untrained networks by task; the detector finds some people in any picture."""
    from jaxpose.defaults import DEFAULTS

    def make(folder):
        for task in DEFAULTS:
            _write_network(task, folder / f"{task}.npz")

    folder = made_once("networks", make)
    return {task: folder / f"{task}.npz" for task in DEFAULTS}


def _write_network(task, path):
    import optax

    from jaxpose.config import to_json
    from jaxpose.tasks import make_task
    from jaxpose.training.state import init_state
    from jaxpose.training.weight_file import write_weight_file
    from jaxpose.training.weights import Weights

    config = _tiny(task)
    made = make_task(config)
    state = init_state(made.model, made.input_shape, made.initial_value, optax.identity(), seed=0)
    params = {name: _changed(name, value) for name, value in state.params.items()}
    weights = Weights(1, params, state.batch_stats, False, {}, {}, "")
    write_weight_file(path, weights, to_json(config))


def _tiny(task):
    from jaxpose.defaults import DEFAULTS

    config = DEFAULTS[task]()
    if task == "pose":
        config.model.update(stacks=1, blocks=1, features=16, depth=1)
        config.input_size = (64, 48)
        return config
    config.model.update(width=1 / 16, batch_norm=True)
    if task == "detection":
        config.input_size = (64, 64)
        config.detect.update(pre_nms_top_k=100, max_outputs=60)
    else:
        config.model.stages, config.eval.input_size = 1, (64, 64)
    return config


def _changed(path, value):
    layer, _, name = path.rpartition("/")
    head, _, number = layer.partition("_")
    if head not in _LOUDNESS:
        return value
    if name == "kernel":
        return value * np.float32(_LOUDNESS[head][int(number)])
    background = np.arange(len(value)) % 2 == 0
    return value + np.float32(_RARITY) * background if head == "conf" else value


@pytest.fixture(scope="session")
def picture() -> Callable:
    import cv2

    def picture(width, height, seed=0):
        """A smooth RGB picture with some structure in it."""
        rng = np.random.default_rng(seed)
        coarse = rng.integers(0, 255, (max(2, height // 16), max(2, width // 16), 3), np.uint8)
        return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)

    return picture


@pytest.fixture(scope="session")
def jpeg() -> Callable:
    import cv2

    def jpeg(image):
        """The bytes of a JPEG."""
        return cv2.imencode(".jpg", image[..., ::-1])[1].tobytes()

    return jpeg
