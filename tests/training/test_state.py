import importlib.util
from pathlib import Path

import jax
import numpy as np
import optax
import pytest

from jaxpose.models.hourglass import StackedHourglass
from jaxpose.models.hourglass import initial_value as hourglass_value
from jaxpose.training import state as states

_spec = importlib.util.spec_from_file_location("toy_task", Path(__file__).with_name("toy_task.py"))
toy = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(toy)
SHAPE = (toy.SIDE, toy.SIDE, 3)


def toy_state(seed=0, ema=False, model=None, optimizer=None, initial_value=toy.initial_value):
    model, optimizer = model or toy.ToyNet(), optimizer or optax.adam(1e-3)
    return states.init_state(model, SHAPE, initial_value, optimizer, seed, ema)


def assert_trees_equal(ours, theirs):
    assert jax.tree.structure(ours) == jax.tree.structure(theirs)
    jax.tree.map(np.testing.assert_array_equal, ours, theirs)


def test_state_has_the_paths_and_shapes_of_flax():
    state = toy_state()
    made = toy.ToyNet().init(jax.random.key(0), np.zeros((1, *SHAPE), np.float32), train=False)
    for flat, tree in ((state.params, made["params"]), (state.batch_stats, made["batch_stats"])):
        expected = states.flatten(tree)
        assert {p: (v.shape, v.dtype) for p, v in flat.items()} == {
            p: (v.shape, v.dtype) for p, v in expected.items()
        }
    assert set(state.params) == {
        "first/kernel", "first/bias", "norm/scale", "norm/bias", "last/kernel", "last/bias",
    }  # fmt: skip
    assert all(isinstance(leaf, np.ndarray | np.generic) for leaf in jax.tree.leaves(state))
    assert state.step.dtype == np.int32 and state.step.shape == () and state.step == 0


def test_statistics_start_as_in_flax():
    state = toy_state()
    np.testing.assert_array_equal(state.batch_stats["norm/mean"], np.zeros(toy.FEATURES))
    np.testing.assert_array_equal(state.batch_stats["norm/var"], np.ones(toy.FEATURES))


def test_optimizer_state_is_that_of_optax():
    state = toy_state()
    expected = optax.adam(1e-3).init(state.params)
    assert_trees_equal(state.opt_state, jax.device_get(expected))


def test_values_depend_on_seed_and_path_only():
    state = toy_state(seed=5)
    assert_trees_equal(state, toy_state(seed=5))
    other = toy_state(seed=6)
    assert not np.array_equal(state.params["last/kernel"], other.params["last/kernel"])
    drawn = toy_state(initial_value=lambda path, shape, generator: generator.normal(size=shape))
    assert len({value.flat[0] for value in drawn.params.values()}) == len(drawn.params)
    without_norm = toy_state(seed=5, model=toy.ToyNet(normalise=False))
    assert without_norm.batch_stats == {} and len(without_norm.params) == 4
    for path, value in without_norm.params.items():
        np.testing.assert_array_equal(value, state.params[path])


def test_averages_start_equal_but_separate():
    state = toy_state(ema=True)
    assert_trees_equal(state.ema, state.params)
    assert not any(np.shares_memory(state.ema[p], state.params[p]) for p in state.params)
    assert toy_state().ema == {}


def test_variables_are_nested_and_choose_the_average():
    state = toy_state(ema=True)
    state = state._replace(ema={path: value + 1 for path, value in state.ema.items()})
    plain, averaged = states.variables(state), states.variables(state, ema=True)
    np.testing.assert_array_equal(plain["params"]["last"]["bias"], [0, 0])
    np.testing.assert_array_equal(averaged["params"]["last"]["bias"], [1, 1])
    np.testing.assert_array_equal(averaged["batch_stats"]["norm"]["var"], np.ones(toy.FEATURES))
    without = state._replace(ema={})
    assert_trees_equal(states.variables(without, ema=True), plain)
    assert_trees_equal(states.flatten(plain["params"]), state.params)
    outputs = toy.ToyNet().apply(plain, np.zeros((1, *SHAPE), np.float32), train=False)
    assert outputs.shape == (1, toy.SIDE, toy.SIDE, 2)


def test_initial_values_of_another_shape_are_refused():
    with pytest.raises(ValueError, match=r"last/bias has shape \(1,\), not \(2,\)"):
        toy_state(
            initial_value=lambda path, shape, generator: np.zeros(
                1 if path == "last/bias" else shape
            )
        )


def test_hourglass_state_feeds_the_hourglass():
    model = StackedHourglass(num_joints=3, stacks=1, blocks=1, features=16, depth=2)
    state = states.init_state(model, (32, 32, 3), hourglass_value, optax.sgd(0.1), seed=0)
    shapes = states.abstract_variables(model, (32, 32, 3))
    for values, expected in zip((state.params, state.batch_stats), shapes, strict=True):
        assert {p: (v.shape, v.dtype) for p, v in values.items()} == {
            p: (v.shape, v.dtype) for p, v in expected.items()
        }
    image = jax.ShapeDtypeStruct((2, 32, 32, 3), np.float32)
    maps = jax.eval_shape(lambda x: model.apply(states.variables(state), x, train=False), image)
    assert maps.shape == (1, 2, 8, 8, 3)
