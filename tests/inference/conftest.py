"""Tiny untrained networks of both tasks as checkpoint files, and pictures to run them on.

Fixtures that are named like a function are that function.
"""

from collections.abc import Callable

import cv2
import numpy as np
import optax
import pytest

from jaxpose.config import to_json
from jaxpose.defaults import DEFAULTS
from jaxpose.inference.estimator import PoseEstimator
from jaxpose.tasks import make_task
from jaxpose.training.state import init_state
from jaxpose.training.weight_file import write_weight_file
from jaxpose.training.weights import Weights


def tiny(task):
    config = DEFAULTS[task]()
    if task == "pose":
        config.model.update(stacks=1, blocks=1, features=16, depth=1)
        config.input_size = (64, 48)
    else:
        config.model.update(width=1 / 16, batch_norm=True)
        config.detect.max_outputs = 60
    return config


# Factors of the kernels of an untrained detector's heads, with which the scores and sizes of its
# boxes are spread as a trained one's.
_LOUDNESS = {"conf": (4, 0.12, 0.3, 0.4, 0.8, 4), "loc": (1, 0.05, 0.12, 0.12, 0.3, 0.5)}
_RARITY = 7.0  # of people: added to the background's bias


def changed(path, value):
    """A parameter of an untrained network, so that it finds some people rather than all or none."""
    layer, _, name = path.rpartition("/")
    head, _, number = layer.partition("_")
    if head not in _LOUDNESS:
        return value
    if name == "kernel":
        return value * np.float32(_LOUDNESS[head][int(number)])
    background = np.arange(len(value)) % 2 == 0
    return value + np.float32(_RARITY) * background if head == "conf" else value


def write_network(config, path, seed=0):
    task = make_task(config)
    state = init_state(
        task.model, task.input_shape, task.initial_value, optax.identity(), seed=seed
    )
    params = {name: changed(name, value) for name, value in state.params.items()}
    weights = Weights(1, params, state.batch_stats, False, {}, {}, "")
    write_weight_file(path, weights, to_json(config))
    return path


@pytest.fixture(scope="session")
def networks(tmp_path_factory):
    """Checkpoint files by task."""
    folder = tmp_path_factory.mktemp("networks")
    return {task: write_network(tiny(task), folder / f"{task}.npz") for task in DEFAULTS}


@pytest.fixture(scope="session")
def picture() -> Callable:
    def picture(width, height, seed=0):
        """A smooth RGB picture with some structure in it."""
        rng = np.random.default_rng(seed)
        coarse = rng.integers(0, 255, (max(2, height // 16), max(2, width // 16), 3), np.uint8)
        return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)

    return picture


@pytest.fixture(scope="session")
def jpeg() -> Callable:
    def jpeg(image):
        """The bytes of a JPEG."""
        return cv2.imencode(".jpg", image[..., ::-1])[1].tobytes()

    return jpeg


@pytest.fixture(scope="session")
def estimator(networks):
    """Both networks, with small batches, so that a few pictures fill several."""
    return PoseEstimator.restore(
        networks["detection"], networks["pose"], det_threshold=0.7, batch_size=2, pose_batch_size=8
    )
