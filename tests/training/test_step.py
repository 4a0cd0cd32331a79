import importlib.util
from pathlib import Path

import jax
import numpy as np
import optax
import pytest

from jaxpose.training.optimizer import make_optimizer
from jaxpose.training.sharding import abstract, data_mesh, put_batch, replicate, replicated
from jaxpose.training.state import init_state, variables
from jaxpose.training.step import (
    abstract_batch,
    lower_for_platforms,
    make_predict_step,
    make_train_step,
)

_spec = importlib.util.spec_from_file_location("toy_task", Path(__file__).with_name("toy_task.py"))
toy = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(toy)

MESH = data_mesh(jax.devices()[:1])
KEY = jax.random.key(11)
EMA_DECAY = 0.9


class Setup:
    """A task with its step; `start()` makes fresh host states."""

    def __init__(self, ema_decay=0.0, **optimizer_changes):
        self.task, self.ema_decay = toy.toy_task(), ema_decay
        config = toy.optimizer_config(**optimizer_changes)
        self.optimizer, self.schedule, _ = make_optimizer(config, 1)
        self.step = make_train_step(
            self.task, self.optimizer, self.schedule, MESH, ema_decay=ema_decay
        )

    def start(self, ema=None):
        ema = bool(self.ema_decay) if ema is None else ema
        args = (self.task.model, self.task.input_shape, toy.initial_value, self.optimizer)
        return init_state(*args, seed=0, ema=ema)

    def placed(self):
        return replicate(MESH, self.start())


@pytest.fixture(scope="module")
def setup():
    # Everything that has state of its own is on, so that a skipped step must keep all of it.
    return Setup(EMA_DECAY, accumulate=2, momentum=0.5, weight_decay=1e-3, clip_norm=5.0)


@pytest.fixture(scope="module")
def plain():
    return Setup(name="sgd", learning_rate=0.05)


def batch_of(index, **changes):
    return put_batch(MESH, toy.host_batch(index) | changes)


def assert_bits_equal(ours, theirs):
    assert jax.tree.structure(ours) == jax.tree.structure(theirs)
    for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        a, b = np.asarray(a), np.asarray(b)
        assert a.dtype == b.dtype and a.tobytes() == b.tobytes()


def test_one_step_is_the_gradient_step_of_its_parts(plain):
    state, task = plain.start(), plain.task
    inputs = task.augment(jax.random.fold_in(KEY, 0), batch_of(0))

    def loss_of(params):
        outputs, changed = task.model.apply(
            {"params": params, "batch_stats": variables(state)["batch_stats"]},
            inputs["image"], train=True, mutable=["batch_stats"],
        )  # fmt: skip
        return toy.loss(outputs, inputs)[0], changed

    (loss, changed), grads = jax.value_and_grad(loss_of, has_aux=True)(variables(state)["params"])
    new, metrics = plain.step(plain.placed(), batch_of(0), KEY)
    np.testing.assert_allclose(metrics["loss"], loss, rtol=1e-5)
    norm = np.sqrt(sum(np.sum(np.square(g)) for g in jax.tree.leaves(grads)))
    np.testing.assert_allclose(metrics["grad_norm"], norm, rtol=1e-4)
    np.testing.assert_allclose(metrics["learning_rate"], 0.05, rtol=1e-6)
    assert metrics["finite"] == 1 and set(metrics) == {
        "loss", "first", "grad_norm", "learning_rate", "finite",
    }  # fmt: skip
    moved = variables(new)
    for layer, name in (("first", "kernel"), ("norm", "scale"), ("last", "bias")):
        expected = state.params[f"{layer}/{name}"] - 0.05 * grads[layer][name]
        np.testing.assert_allclose(moved["params"][layer][name], expected, atol=1e-6)
    for name in ("mean", "var"):
        expected = changed["batch_stats"]["norm"][name]
        np.testing.assert_allclose(moved["batch_stats"]["norm"][name], expected, rtol=1e-5)
    assert not np.allclose(moved["batch_stats"]["norm"]["var"], 1)


def test_training_learns(plain):
    state, losses = plain.placed(), []
    for index in range(60):
        state, metrics = plain.step(state, batch_of(index % 4), KEY)
        losses.append(float(metrics["loss"]))
    assert np.mean(losses[-8:]) < 0.5 * np.mean(losses[:4])


def test_augmentation_is_a_function_of_seed_and_step(plain):
    def loss_at(step, key):
        state = plain.placed()._replace(step=replicate(MESH, np.int32(step)))
        return float(plain.step(state, batch_of(0), key)[1]["loss"])

    assert loss_at(3, KEY) == loss_at(3, KEY)
    assert loss_at(3, KEY) != loss_at(4, KEY)
    assert loss_at(3, KEY) != loss_at(3, jax.random.key(12))


def test_state_is_donated(plain):
    state = plain.placed()
    batch = batch_of(0)
    plain.step(state, batch, KEY)
    assert all(leaf.is_deleted() for leaf in jax.tree.leaves(state.params))
    assert not any(leaf.is_deleted() for leaf in jax.tree.leaves(batch))


def test_average_follows_its_twin(setup):
    state = setup.placed()
    expected = {path: np.asarray(value, np.float64) for path, value in state.ema.items()}
    for step in range(6):
        state, _ = setup.step(state, batch_of(step), KEY)
        decay = min(EMA_DECAY, (1 + step) / (10 + step))
        for path, value in state.params.items():
            expected[path] = decay * expected[path] + (1 - decay) * np.asarray(value)
    for path, value in state.ema.items():
        np.testing.assert_allclose(value, expected[path], atol=1e-6)
    kernel = "first/kernel"
    assert not np.allclose(state.ema[kernel], state.params[kernel], atol=1e-6)


def test_average_needs_both_switches(plain, setup):
    averaged = replicate(MESH, plain.start(ema=True))
    with pytest.raises(ValueError, match="averaged weights need both"):
        plain.step(averaged, batch_of(0), KEY)
    with pytest.raises(ValueError, match="averaged weights need both"):
        setup.step(replicate(MESH, setup.start(ema=False)), batch_of(0), KEY)


@pytest.mark.parametrize("poison", [np.nan, np.inf, 1e25], ids=["nan", "inf", "overflow"])
@pytest.mark.parametrize("done", [2, 3], ids=["between updates", "in mid accumulation"])
def test_a_non_finite_step_changes_nothing(setup, poison, done):
    state = setup.placed()
    for index in range(done):
        state, _ = setup.step(state, batch_of(index), KEY)
    before = jax.tree.map(np.array, state)
    target = toy.host_batch(9)["target"]
    target[5, 1] = poison
    state, metrics = setup.step(state, batch_of(9, target=target), KEY)
    assert metrics["finite"] == 0
    assert state.step == done + 1
    assert_bits_equal(state._replace(step=before.step), before)
    # Training goes on as if the bad batch had only taken a number.
    after, metrics = setup.step(state, batch_of(10), KEY)
    renumbered = replicate(MESH, before._replace(step=np.int32(done + 1)))
    expected, _ = setup.step(renumbered, batch_of(10), KEY)
    assert metrics["finite"] == 1
    assert_bits_equal(after, expected)
    changed = after.batch_stats["norm/mean"]
    assert not np.array_equal(changed, before.batch_stats["norm/mean"])


def test_an_update_that_overflows_is_not_applied(plain):
    # Loss and gradient are finite here; only the parameters would not be.
    overflow = optax.with_extra_args_support(optax.chain(optax.scale(1e30), optax.scale(1e30)))
    step = make_train_step(plain.task, overflow, plain.schedule, MESH)
    host = plain.start()._replace(opt_state=overflow.init({}))
    state, metrics = step(replicate(MESH, host), batch_of(0), KEY)
    assert np.isfinite(metrics["loss"]) and np.isfinite(metrics["grad_norm"])
    assert metrics["finite"] == 0
    assert_bits_equal(state._replace(step=host.step), host)


def test_step_compiles_ahead_from_shapes(plain):
    host = plain.start()
    lowered = plain.step.lower(
        abstract(host, replicated(MESH)), abstract_batch(plain.task, toy.BATCH, MESH), KEY
    )
    compiled = lowered.compile()
    batch = put_batch(MESH, toy.host_batch(0), plain.task.example)
    ours, _ = compiled(replicate(MESH, host), batch, KEY)
    theirs, _ = plain.step(plain.placed(), batch, KEY)
    assert_bits_equal(ours, theirs)


def test_state_keeps_its_types(setup):
    state = setup.placed()
    new, _ = jax.eval_shape(setup.step, state, batch_of(0), KEY)
    assert jax.tree.structure(new) == jax.tree.structure(state)
    assert [(x.shape, x.dtype) for x in jax.tree.leaves(new)] == [
        (x.shape, x.dtype) for x in jax.tree.leaves(state)
    ]


def test_predict_step(plain):
    state, batch = plain.placed(), batch_of(3)
    predicted = make_predict_step(plain.task, MESH)(variables(state), batch)["mean"]
    image = np.asarray(batch["image"], np.float32) / 255
    expected = plain.task.model.apply(variables(plain.start()), image, train=False).mean((1, 2))
    np.testing.assert_allclose(predicted, expected, atol=1e-5)
    assert predicted.shape == (toy.BATCH, 2)


def test_step_lowers_for_accelerators(setup):
    exported = lower_for_platforms(
        setup.step, setup.placed(), abstract_batch(setup.task, toy.BATCH, MESH), KEY
    )
    assert exported.platforms == ("cpu", "cuda", "tpu")
