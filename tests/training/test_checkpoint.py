"""Checkpoints: bit-equal round trips, retention, errors where no step can be restored."""

import shutil
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import orbax.checkpoint as ocp
import pytest

from jaxpose.errors import CheckpointError
from jaxpose.training.checkpoint import Checkpoints
from jaxpose.training.leaves import flatten_tree, unflatten_like
from jaxpose.training.saved_steps import list_steps
from jaxpose.training.weights import load_weights


class State(NamedTuple):
    step: jax.Array
    params: dict
    batch_stats: dict
    opt_state: object
    ema: dict


def make_state(seed: int = 0, step: int = 0) -> State:
    rng = np.random.default_rng(seed)
    params = {
        "stem/conv/kernel": jnp.asarray(rng.standard_normal((3, 3, 4, 8)), jnp.float32),
        "head/bias": jnp.asarray(rng.standard_normal(8), jnp.bfloat16),
    }
    optimizer = optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(1e-3))
    return State(
        step=jnp.int32(step),
        params=params,
        batch_stats={"stem/bn/mean": jnp.asarray(rng.standard_normal(8), jnp.float32)},
        opt_state=optimizer.init(params),
        ema={},
    )


def same(left, right) -> bool:
    assert jax.tree.structure(left) == jax.tree.structure(right)
    pairs = zip(jax.tree.leaves(left), jax.tree.leaves(right), strict=True)
    return all(
        a.dtype == b.dtype and a.shape == b.shape and np.asarray(a).tobytes() == b.tobytes()
        for a, b in pairs
    )


def save_steps(directory: Path, steps, metrics=None, **options) -> None:
    with Checkpoints(directory, **options) as checkpoints:
        for step in steps:
            scores = None if metrics is None else {"pckh": metrics[step]}
            checkpoints.save(step, flatten_tree(make_state(step, step)), {"step": step}, scores)


def test_the_state_comes_back_bit_equal_with_its_structure(tmp_path):
    state = make_state(1, 7)
    with Checkpoints(tmp_path / "sp ä ce" / "checkpoints") as checkpoints:
        assert checkpoints.restore() is None
        assert checkpoints.save(7, flatten_tree(state), {"seed": 3, "sets": ("a", "b")})
        assert checkpoints.latest_step() == 7
        loaded = checkpoints.restore()
    assert loaded.step == 7
    assert loaded.metadata == {"seed": 3, "sets": ["a", "b"]}
    assert all(type(array) is np.ndarray for array in loaded.arrays.values())
    assert list(loaded.arrays) == list(flatten_tree(state))
    template = jax.eval_shape(lambda: make_state())
    assert same(state, unflatten_like(template, loaded.arrays))


def test_saving_is_asynchronous_and_the_arrays_may_be_donated(tmp_path):
    double = jax.jit(lambda x: x * 2, donate_argnums=0)
    array = jnp.arange(300_000, dtype=jnp.float32)
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(1, {"params/a": array}, {})
        assert checkpoints.steps() == [] and checkpoints.latest_step() == 1
        for _ in range(3):
            array = double(array)
        checkpoints.wait()
        assert checkpoints.steps() == [1]
        loaded = checkpoints.restore()
    np.testing.assert_array_equal(loaded.arrays["params/a"], np.arange(300_000, dtype=np.float32))
    assert float(array[1]) == 8.0


def test_an_array_changed_after_save_is_stored_as_it_was(tmp_path):
    array = np.zeros(300_000, np.float32)
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(1, {"params/a": array}, {})
        array[:] = 1
        assert not checkpoints.restore().arrays["params/a"].any()


def test_an_existing_step_is_left_alone(tmp_path):
    with Checkpoints(tmp_path, asynchronous=False) as checkpoints:
        assert checkpoints.save(1, {"params/a": np.zeros(3)}, {})
        assert not checkpoints.save(1, {"params/a": np.ones(3)}, {})
        assert not checkpoints.restore(1).arrays["params/a"].any()


def test_retention_keeps_the_newest_and_the_best(tmp_path):
    scores = {1: 10.0, 2: 90.0, 3: 50.0, 4: 60.0, 5: float("nan"), 6: 70.0}
    save_steps(tmp_path, range(1, 5), scores, max_to_keep=2, best_metric="pckh")
    assert list_steps(tmp_path) == [2, 3, 4]
    save_steps(tmp_path, range(5, 7), scores, max_to_keep=2, best_metric="pckh")
    assert list_steps(tmp_path) == [2, 5, 6]
    with Checkpoints(tmp_path, 2, "pckh") as checkpoints:
        assert checkpoints.best_step() == 2
        assert checkpoints.restore().step == 6
    assert load_weights(tmp_path).step == 2
    assert load_weights(tmp_path, prefer_best=False).step == 6


def test_without_a_metric_only_the_newest_stay(tmp_path):
    save_steps(tmp_path, range(5), max_to_keep=2)
    assert list_steps(tmp_path) == [3, 4]


def test_orbax_alone_can_read_a_step(tmp_path):
    save_steps(tmp_path, [3])
    manager = ocp.CheckpointManager(tmp_path)
    args = ocp.args.Composite(state=ocp.args.PyTreeRestore())
    state = manager.restore(3, args=args).state
    manager.close()
    expected = flatten_tree(make_state(3, 3))
    assert state.keys() == expected.keys()
    for name, array in expected.items():
        assert np.asarray(array).tobytes() == np.asarray(state[name]).tobytes(), name


def test_when_nothing_is_intact_training_does_not_start_from_scratch(tmp_path):
    save_steps(tmp_path, [1, 2])
    for step in (1, 2):
        shutil.rmtree(tmp_path / str(step) / "state")
    with Checkpoints(tmp_path) as checkpoints:
        with pytest.raises(CheckpointError, match=r"no checkpoint .* intact \(steps \[1, 2\]\)"):
            checkpoints.restore()
        assert checkpoints.steps() == [1, 2]
    with pytest.raises(CheckpointError, match="intact"):
        load_weights(tmp_path)


def test_a_missing_step_is_an_error_that_lists_the_others(tmp_path):
    save_steps(tmp_path, [1, 2])
    available = r"no step 5 .* available: \[1, 2\]"
    with Checkpoints(tmp_path) as checkpoints, pytest.raises(CheckpointError, match=available):
        checkpoints.restore(5)


def test_opening_sweeps_what_a_killed_run_left(tmp_path):
    save_steps(tmp_path, [1])
    (tmp_path / "2.orbax-checkpoint-tmp" / "state").mkdir(parents=True)
    (tmp_path / "0.deleting").mkdir()
    (tmp_path / "notes").mkdir()
    with Checkpoints(tmp_path) as checkpoints:
        assert checkpoints.steps() == [1]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["1", "notes"]
