"""Drawn data and configs of tiny networks of all tasks, shared by the tests of whole jobs.

A test that takes `config` or `fresh_config` runs once for each task; `pose_only` keeps it to one.
"""

import shutil

import optax
import pytest

from jaxpose.annotations.synthetic import write_dataset
from jaxpose.config import to_json
from jaxpose.defaults import DEFAULTS, smoke
from jaxpose.pipelines.prepare import prepare_records
from jaxpose.tasks import make_task
from jaxpose.training.state import init_state
from jaxpose.training.weight_file import write_weight_file
from jaxpose.training.weights import Weights


def shrink(config, data):
    """Seconds instead of a minute: the same code path on the same records."""
    smoke(config)
    config.batch_size = 8
    config.eval.update(batch_size=8, every_steps=4, every_epochs=0.0)
    config.checkpoint.update(every_steps=2, every_epochs=0.0, max_to_keep=10)
    config.steps = 6
    config.log_every = 2
    config.data.train = ("posetrack18", "mpii")
    config.data.eval = "posetrack18"
    config.data_dir = str(data)
    config.data.synthetic.update(train_videos=4, validation_videos=1, frames=4, canvas=128)
    if config.task == "pose":
        config.model.update(stacks=1, features=16, depth=2)
        config.input_size = (64, 64)
    else:
        config.model.width = 1 / 16
    if config.task == "bottom_up":
        config.input_size, config.eval.input_size = (32, 32), (64, 64)
        config.model.stages, config.grouping.max_peaks = 1, 4
        config.optimizer.learning_rate = 1e-2
    if config.task == "detection":
        config.input_size = (64, 64)
        config.optimizer.warmup_steps = 0
    return config


@pytest.fixture(scope="session")
def data(made_once, tmp_path_factory):
    """Folder with drawn records of both kinds, built once; a run takes their lock for a moment."""

    def make(folder):
        for defaults in DEFAULTS.values():
            prepare_records(shrink(defaults(), folder), folder)

    return shutil.copytree(made_once("drawn", make), tmp_path_factory.mktemp("data") / "drawn")


@pytest.fixture(scope="session", params=DEFAULTS)
def task(request):
    """Name of a task."""
    return request.param


@pytest.fixture(scope="session")
def fresh_config(data, task):
    """Makes tiny configs on the drawn records."""
    return lambda: shrink(DEFAULTS[task](), data)


@pytest.fixture
def config(fresh_config):
    """A fresh tiny config on the drawn records."""
    return fresh_config()


def write_untrained(task, path, seed):
    """An untrained network that finds the best three boxes of a frame, or joints somewhere."""
    config = DEFAULTS[task]()
    if task == "pose":
        config.model.update(stacks=1, blocks=1, features=16, depth=1)
        config.input_size = (64, 64)
    else:
        config.model.update(width=1 / 16, batch_norm=True)
        config.input_size = (64, 64)
        config.detect.update(pre_nms_top_k=40, max_outputs=3)
    made = make_task(config)
    state = init_state(
        made.model, made.input_shape, made.initial_value, optax.identity(), seed=seed
    )
    write_weight_file(
        path, Weights(7, state.params, state.batch_stats, False, {}, {}, ""), to_json(config)
    )


@pytest.fixture(scope="session")
def system_networks(made_once):
    """Checkpoint files of untrained networks: `detector`, `pose`, and another of each."""
    files = {
        f"{other}{role}": (task, seed)
        for seed, other in enumerate(("", "other_"))
        for role, task in (("detector", "detection"), ("pose", "pose"))
    }

    def make(folder):
        for name, (task, seed) in files.items():
            write_untrained(task, folder / f"{name}.npz", seed)

    folder = made_once("system_networks", make)
    return {name: str(folder / f"{name}.npz") for name in files}


@pytest.fixture(scope="session")
def drawn_videos(made_once):
    """Folder with validation videos as `posetrack17` and `posetrack18`, two each."""

    def make(folder):
        write_dataset(
            folder,
            train_videos=0,
            val_videos=4,
            frames_per_video=4,
            size=(192, 144),
            val_formats=("posetrack18", "posetrack17"),
        )

    return made_once("videos", make)
