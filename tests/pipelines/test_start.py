"""Where a run starts: a resume needs nothing but its checkpoint."""

from types import SimpleNamespace

import numpy as np
import pytest

from jaxpose.defaults import detection_config
from jaxpose.errors import CheckpointError, UsageError
from jaxpose.pipelines.config_checks import check_resume
from jaxpose.pipelines.start import starting_state
from jaxpose.tasks import make_task
from jaxpose.training.leaves import flatten_tree
from jaxpose.training.optimizer import make_optimizer
from jaxpose.training.saved_steps import Loaded
from jaxpose.training.state import init_state


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


def test_a_resume_may_name_other_base_weights_but_no_other_matching():
    old, new = detection_config(), detection_config()
    new.model.base_weights, new.model.head_init = "elsewhere.npz", "xavier"
    check_resume(old, new)
    new.matching.overlap_threshold = 0.7
    with pytest.raises(UsageError, match="another matching"):
        check_resume(old, new)
