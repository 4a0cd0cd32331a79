"""Trees of arrays <-> flat dicts."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxpose.errors import CheckpointError
from jaxpose.training.leaves import flatten_tree, unflatten_like


class State(NamedTuple):
    step: np.ndarray
    params: dict[str, np.ndarray]
    opt_state: object


def make_state() -> State:
    params = {"stem/kernel": np.ones((3, 2), np.float32), "head/bias": np.zeros(8, np.float32)}
    optimizer = optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(1e-3))
    return State(np.zeros((), np.int32), params, optimizer.init(params))


def test_a_train_state_survives_with_names_order_and_structure():
    state = make_state()
    flat = flatten_tree(state)
    assert list(flat)[:3] == ["step", "params/head/bias", "params/stem/kernel"]
    assert flat["opt_state/1/0/mu/stem/kernel"].shape == (3, 2)
    shuffled = {name: np.asarray(flat[name]) for name in reversed(list(flat))}
    template = jax.eval_shape(lambda: jax.tree.map(jnp.asarray, state))
    back = unflatten_like(template, shuffled)
    assert jax.tree.structure(back) == jax.tree.structure(state)
    pairs = zip(jax.tree.leaves(back), jax.tree.leaves(state), strict=True)
    assert all(np.array_equal(left, right) for left, right in pairs)


def test_unflatten_like_lists_every_mismatch_at_once():
    state = make_state()
    flat = {name: np.asarray(leaf) for name, leaf in flatten_tree(state).items()}
    flat["params/head/bias"] = np.zeros(9, np.float32)
    flat["params/stem/kernel"] = np.zeros((3, 2), np.float64)
    flat["extra"] = flat.pop("step")
    with pytest.raises(CheckpointError) as caught:
        unflatten_like(state, flat, "runs/a, step 3")
    message = str(caught.value)
    assert "runs/a, step 3" in message and "\n" not in message
    for phrase in (
        "step: missing",
        "params/head/bias: shape (9,), expected (8,)",
        "params/stem/kernel: dtype float64, expected float32",
        "extra: not part of",
    ):
        assert phrase in message
    with pytest.raises(CheckpointError, match="and 20 more"):
        unflatten_like({f"a{i}": np.zeros(1) for i in range(30)}, {})


def test_flatten_tree_refuses_two_leaves_of_one_path():
    with pytest.raises(ValueError, match="a/b"):
        flatten_tree({"a/b": 1, "a": {"b": 2}})
