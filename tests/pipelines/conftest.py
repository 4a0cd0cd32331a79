"""Drawn data and configs of tiny networks of both tasks, shared by the tests of whole jobs.

A test that takes `config` or `fresh_config` runs once for each task; `pose_only` keeps it to one.
"""

import pytest

from jaxpose.defaults import DEFAULTS, smoke
from jaxpose.pipelines.prepare import prepare_records


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
        config.batch_size = config.eval.batch_size = 4
        config.optimizer.warmup_steps = 0
    return config


@pytest.fixture(scope="session")
def data(tmp_path_factory):
    """Folder with drawn records of both kinds, built once."""
    folder = tmp_path_factory.mktemp("drawn")
    for defaults in DEFAULTS.values():
        prepare_records(shrink(defaults(), folder), folder)
    return folder


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
