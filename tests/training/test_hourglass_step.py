"""The training step around a real network: a tiny hourglass trains and lowers."""

import importlib.util
from pathlib import Path

import jax
import jax.numpy as jnp

from jaxpose.models.hourglass import StackedHourglass
from jaxpose.models.hourglass import initial_value as hourglass_value
from jaxpose.training.optimizer import make_optimizer
from jaxpose.training.sharding import abstract, data_mesh, put_batch, replicate, replicated
from jaxpose.training.state import abstract_variables, init_state
from jaxpose.training.step import abstract_batch, lower_for_platforms, make_train_step

_spec = importlib.util.spec_from_file_location("toy_task", Path(__file__).with_name("toy_task.py"))
toy = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(toy)

MESH = data_mesh(jax.devices()[:1])
KEY = jax.random.key(11)


def hourglass_task(size=32):
    """The toy task around a tiny hourglass with 8x8 heat maps."""
    model = StackedHourglass(num_joints=2, stacks=1, blocks=1, features=16, depth=2)

    def augment(key, batch):
        inputs = toy.augment(key, batch, jnp.float32)
        return inputs | {"image": jnp.repeat(jnp.repeat(inputs["image"], 4, 1), 4, 2)}

    def loss(outputs, inputs):
        return toy.loss(outputs[0], inputs)

    return toy.toy_task()._replace(
        model=model,
        input_shape=(size, size, 3),
        initial_value=hourglass_value,
        augment=augment,
        loss=loss,
    )


def test_hourglass_trains_and_lowers():
    task = hourglass_task()
    optimizer, schedule, _ = make_optimizer(toy.optimizer_config(), 1)
    state = init_state(task.model, task.input_shape, task.initial_value, optimizer, seed=0)
    step = make_train_step(task, optimizer, schedule, MESH)
    shapes = abstract(state, replicated(MESH)), abstract_batch(task, 4, MESH)
    assert lower_for_platforms(step, *shapes, KEY).platforms == ("cpu", "cuda", "tpu")
    compiled, placed, losses = step.lower(*shapes, KEY).compile(), replicate(MESH, state), []
    batch = put_batch(MESH, toy.host_batch(0, 4), task.example)
    for _ in range(8):
        placed, metrics = compiled(placed, batch, KEY)
        losses.append(float(metrics["loss"]))
        assert metrics["finite"] == 1
    assert losses[-1] < losses[0]
    paths, _ = abstract_variables(task.model, task.input_shape)
    assert set(placed.params) == set(paths)
