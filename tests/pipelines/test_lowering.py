"""The training step of every config, reduced, lowers for accelerators that are not there."""

import functools
import importlib.util
from pathlib import Path

import jax
import pytest

from jaxpose.config import from_json, set_skeleton, to_json
from jaxpose.defaults import DEFAULTS, smoke
from jaxpose.skeletons import KNOWN
from jaxpose.tasks import make_task
from jaxpose.training.optimizer import make_optimizer
from jaxpose.training.sharding import abstract, data_mesh, replicated
from jaxpose.training.state import init_state
from jaxpose.training.step import abstract_batch, lower_for_platforms, make_train_step

FILES = sorted((Path(__file__).parents[2] / "configs").glob("*.py"))


def reduced(config):
    """The network as small as it goes, with what the records would fill in."""
    config.canvas = 64
    if config.task == "detection":
        config.model.width = 1 / 16
        config.classes, config.max_boxes, config.max_ignored = ("person",), 4, 2
        return
    if config.task == "bottom_up":
        config.model.width, config.input_size = 1 / 16, (32, 32)
        config.max_boxes, config.max_ignored = 2, 1
        return
    config.model.update(features=8, depth=1)
    config.input_size = (32, 32)
    if config.skeleton == "data":
        set_skeleton(config, KNOWN["lsp"])


@functools.cache
def exported_step(config_text):
    """The lowered step of a config; configs that differ in their data alone share it."""
    config = from_json(config_text)
    task, mesh = make_task(config), data_mesh()
    optimizer, schedule, _ = make_optimizer(config.optimizer, 100)
    start = (task.model, task.input_shape, task.initial_value, optimizer)
    state = init_state(*start, seed=0, ema=config.ema_decay > 0)
    step = make_train_step(task, optimizer, schedule, mesh, ema_decay=config.ema_decay)
    key = jax.eval_shape(lambda: jax.random.key(0))
    return lower_for_platforms(
        step,
        abstract(state, replicated(mesh)),
        abstract_batch(task, config.batch_size, mesh),
        jax.ShapeDtypeStruct(key.shape, key.dtype, sharding=replicated(mesh)),
        platforms=("tpu", "cuda"),
    )


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_reduced_step_lowers_for_tpu_and_cuda(path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    config = smoke(module.get_config())
    reduced(config)
    defaults = DEFAULTS[config.task]()
    config.data, config.eval = defaults.data, defaults.eval
    exported = exported_step(to_json(config))
    assert exported.platforms == ("tpu", "cuda")
    assert len(exported.mlir_module_serialized) > 10_000
