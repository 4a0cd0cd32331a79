"""Where a run starts: a resume needs nothing but its checkpoint."""

from types import SimpleNamespace

import numpy as np
import optax
import pytest

from jaxpose.config import from_json
from jaxpose.defaults import detection_config
from jaxpose.errors import CheckpointError, UsageError
from jaxpose.pipelines.config_checks import check_resume
from jaxpose.pipelines.start import starting_state
from jaxpose.tasks import make_task
from jaxpose.training.leaves import flatten_tree
from jaxpose.training.optimizer import make_optimizer
from jaxpose.training.saved_steps import Loaded
from jaxpose.training.state import init_state
from jaxpose.training.weight_file import read_weight_file, write_weight_file


def test_a_resume_does_not_need_the_file_of_base_weights(tmp_path, capsys):
    config = detection_config()
    config.model.update(width=1 / 16, base_weights=str(tmp_path / "gone.npz"))
    task = make_task(config)
    optimizer, _, _ = make_optimizer(config.optimizer, 100)
    ones = init_state(task.model, task.input_shape, lambda p, s, g: np.ones(s), optimizer, seed=0)
    loaded = Loaded(7, flatten_tree(ones), {}, {}, "digest")
    saved = SimpleNamespace(directory="run", restore=lambda: loaded)
    state, step = starting_state(config, task, optimizer, saved)
    assert step == 7 and state.params["vgg/conv1_1/kernel"].min() == 1
    assert "VGG16 base" not in capsys.readouterr().out
    fresh = SimpleNamespace(directory="run", restore=lambda: None)
    with pytest.raises(CheckpointError, match="gone.npz"):
        starting_state(config, task, optimizer, fresh)


@pytest.mark.parametrize("half", [False, True])
def test_a_run_starts_from_a_single_file_as_from_a_workdir(networks, tmp_path, capsys, half):
    handed = read_weight_file(networks["pose"])
    file = tmp_path / "pose.npz"
    write_weight_file(file, handed.weights, handed.config, half)
    config = from_json(handed.config).unlock()
    config.init_from = str(file)
    task = make_task(config)
    fresh = SimpleNamespace(directory="run", restore=lambda: None)
    state, step = starting_state(config, task, optax.identity(), fresh)
    assert step == 0 and f"starting from {file} step 1" in capsys.readouterr().out
    for name, value in handed.weights.params.items():
        tolerance = {"rtol": 2**-11, "atol": 1e-7} if half else {"rtol": 0}
        np.testing.assert_allclose(state.params[name], value, **tolerance)
        assert state.params[name].dtype == np.float32
    config.init_from = str(tmp_path / "damaged.npz")
    (tmp_path / "damaged.npz").write_bytes(file.read_bytes()[:-100])
    with pytest.raises(CheckpointError, match="damaged.npz is no intact weight file"):
        starting_state(config, task, optax.identity(), fresh)


def test_a_resume_may_name_other_base_weights_but_no_other_matching():
    old, new = detection_config(), detection_config()
    new.model.base_weights, new.model.head_init = "elsewhere.npz", "xavier"
    check_resume(old, new)
    new.matching.overlap_threshold = 0.7
    with pytest.raises(UsageError, match="another matching"):
        check_resume(old, new)
