import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from ml_collections import ConfigDict

from jaxpose.errors import UsageError
from jaxpose.training.optimizer import drop_boundaries, make_optimizer


def config(**changes):
    defaults = {
        "name": "rmsprop", "learning_rate": 0.01, "drop_epochs": (), "drop_steps": (),
        "drop_factor": 0.1, "warmup_steps": 0, "weight_decay": 0.0, "clip_norm": 0.0,
        "accumulate": 1, "momentum": 0.0, "decay": 0.99, "eps": 1e-8,
    }  # fmt: skip
    assert set(changes) <= set(defaults)
    return ConfigDict(defaults | changes)


def run(settings, params, gradients, start=0):
    """Parameters after each update, from the real optimizer."""
    optimizer, _, _ = make_optimizer(settings, 1)

    @jax.jit
    def update(params, state, gradient, step):
        updates, state = optimizer.update(gradient, state, params, step=step)
        return optax.apply_updates(params, updates), state

    state, seen = optimizer.init(params), []
    for step, gradient in enumerate(gradients, start):
        params, state = update(params, state, gradient, np.int32(step))
        seen.append(params)
    return seen


def torch_rule(settings, params, gradients):
    """NumPy twin of the update rules in the documentation of torch.optim."""
    params = {path: np.asarray(value, np.float64) for path, value in params.items()}
    first = {path: np.zeros_like(value) for path, value in params.items()}
    second = {path: np.zeros_like(value) for path, value in params.items()}
    seen = []
    for count, gradient in enumerate(gradients, 1):
        for path in params:
            g = np.asarray(gradient[path], np.float64)
            if path.endswith("kernel"):
                g = g + settings.weight_decay * params[path]
            if settings.name == "rmsprop":
                second[path] = settings.decay * second[path] + (1 - settings.decay) * g * g
                g = g / (np.sqrt(second[path]) + settings.eps)
            if settings.name == "adam":
                first[path] = 0.9 * first[path] + 0.1 * g
                second[path] = 0.999 * second[path] + 0.001 * g * g
                root = np.sqrt(second[path] / (1 - 0.999**count)) + settings.eps
                g = first[path] / (1 - 0.9**count) / root
            elif settings.momentum:
                first[path] = settings.momentum * first[path] + g
                g = first[path]
            params[path] = params[path] - settings.learning_rate * g
        seen.append(dict(params))
    return seen


def random_trees(count, scale=1.0):
    draw = np.random.default_rng(3)
    return [
        {
            "conv/kernel": (scale * draw.normal(size=(2, 3))).astype(np.float32),
            "conv/bias": (scale * draw.normal(size=3)).astype(np.float32),
        }
        for _ in range(count)
    ]


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "rmsprop"},
        {"name": "rmsprop", "eps": 0.1},
        {"name": "rmsprop", "momentum": 0.9, "weight_decay": 0.1},
        {"name": "sgd"},
        {"name": "sgd", "momentum": 0.9, "weight_decay": 0.1},
        {"name": "adam", "eps": 1e-3},
    ],
    ids=str,
)
def test_rules_are_those_of_torch(changes):
    params, *gradients = random_trees(7)
    settings = config(**changes)
    expected = torch_rule(settings, params, gradients)
    for ours, theirs in zip(run(settings, params, gradients), expected, strict=True):
        for path in params:
            np.testing.assert_allclose(ours[path], theirs[path], rtol=0, atol=2e-6)


def test_rmsprop_adds_eps_outside_the_root():
    # One step from rest: v = 0.01 g^2, so the step is lr * g / (0.1 |g| + eps), by hand.
    (moved,) = run(config(eps=0.1), {"kernel": np.float32(0)}, [{"kernel": np.float32(1)}])
    np.testing.assert_allclose(moved["kernel"], -0.01 / (0.1 + 0.1), rtol=1e-6)


def test_drops_are_exact_and_printed_in_steps():
    settings = config(learning_rate=2.5e-4, drop_epochs=(60, 90))
    _, schedule, text = make_optimizer(settings, 333.5)
    rates = [float(schedule(step)) for step in (0, 20009, 20010, 30014, 30015, 10**6)]
    np.testing.assert_allclose(rates, [2.5e-4] * 2 + [2.5e-5] * 2 + [2.5e-6] * 2, rtol=1e-6)
    assert "x0.1 at step 20010 (epoch 60) and step 30015 (epoch 90)" in text
    assert text.startswith("rmsprop, learning rate 0.00025")


def test_drops_in_steps():
    settings = config(drop_steps=(80_000, 100_000), drop_factor=0.5)
    _, schedule, text = make_optimizer(settings, 10)
    rates = [float(schedule(jnp.int32(step))) for step in (79_999, 80_000, 99_999, 100_000)]
    np.testing.assert_allclose(rates, [0.01, 0.005, 0.005, 0.0025], rtol=1e-6)
    assert "x0.5 at step 80000 and step 100000" in text


def test_warm_up_is_linear_and_leaves_the_drops_alone():
    settings = config(warmup_steps=4, drop_steps=(6,))
    _, schedule, text = make_optimizer(settings, 10)
    rates = [float(schedule(step)) for step in range(8)]
    expected = [0.0025, 0.005, 0.0075, 0.01, 0.01, 0.01, 0.001, 0.001]
    np.testing.assert_allclose(rates, expected, rtol=1e-6)
    assert "after a warm-up of 4 steps" in text


def test_weight_decay_acts_on_kernels_only():
    paths = ("stem/conv/kernel", "stem/conv/bias", "stem/bn/scale", "stem/bn/bias", "kernel")
    params = {path: np.full(3, 2.0, np.float32) for path in paths}
    zeros = {path: np.zeros(3, np.float32) for path in paths}
    (moved,) = run(config(name="sgd", weight_decay=0.5), params, [zeros])
    for path in paths:
        expected = 2.0 - 0.01 * 0.5 * 2.0 if path.endswith("kernel") else 2.0
        np.testing.assert_allclose(moved[path], expected, rtol=1e-6)


def test_clipping_by_the_global_norm():
    zero = {"a/kernel": np.zeros(1, np.float32), "b/bias": np.zeros(1, np.float32)}
    long = {"a/kernel": np.float32([3]), "b/bias": np.float32([4])}
    settings = config(name="sgd", learning_rate=1.0, clip_norm=1.0)
    (moved,) = run(settings, zero, [long])
    np.testing.assert_allclose([moved["a/kernel"][0], moved["b/bias"][0]], [-0.6, -0.8], rtol=1e-6)
    (moved,) = run(settings, zero, [jax.tree.map(lambda g: g / 10, long)])
    np.testing.assert_allclose([moved["a/kernel"][0], moved["b/bias"][0]], [-0.3, -0.4], rtol=1e-6)


@pytest.mark.parametrize("name", ["rmsprop", "sgd", "adam"])
def test_accumulation_equals_one_update_with_the_mean(name):
    params, *gradients = random_trees(9, scale=3.0)
    changes = {"name": name, "clip_norm": 2.0, "weight_decay": 0.01}
    seen = run(config(accumulate=4, **changes), params, gradients)
    means = [
        jax.tree.map(lambda *g: np.mean(g, axis=0), *gradients[start : start + 4])
        for start in (0, 4)
    ]
    expected = run(config(**changes), params, means)
    for path in params:
        for waiting in seen[:3]:
            np.testing.assert_array_equal(waiting[path], params[path])
        np.testing.assert_allclose(seen[3][path], expected[0][path], atol=1e-6)
        np.testing.assert_allclose(seen[7][path], expected[1][path], atol=1e-6)


def test_accumulation_keeps_drops_at_training_steps():
    ones = [{"kernel": np.float32(1)}] * 8
    settings = config(name="sgd", accumulate=2, drop_steps=(5,))
    seen = [float(p["kernel"]) for p in run(settings, {"kernel": np.float32(0)}, ones)]
    # Updates happen in training steps 1, 3, 5 and 7; the drop at step 5 is not at update 5.
    np.testing.assert_allclose(
        seen, [0, -0.01, -0.01, -0.02, -0.02, -0.021, -0.021, -0.022], rtol=1e-5
    )
    assert make_optimizer(settings, 1)[2].endswith("one update per 2 steps")


def test_learning_rate_follows_the_given_step():
    one = [{"kernel": np.float32(1)}]
    settings = config(name="sgd", drop_steps=(5,))
    moved = run(settings, {"kernel": np.float32(0)}, one, start=5)
    np.testing.assert_allclose(moved[0]["kernel"], -0.001, rtol=1e-6)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"name": "lamb"}, "name is 'lamb'; known are 'rmsprop'"),
        ({"learning_rate": 0.0}, "learning_rate is 0.0"),
        ({"accumulate": 0}, "accumulate is 0"),
        ({"momentum": 1.0}, "momentum is 1.0"),
        ({"clip_norm": float("nan")}, "clip_norm is nan"),
        ({"drop_epochs": (1.0,), "drop_steps": (5,)}, "both drop_epochs and drop_steps"),
        ({"drop_steps": (5, 5)}, "must increase"),
        ({"drop_epochs": (9.0, 6.0)}, "must increase"),
        ({"drop_epochs": (0.001,)}, "before step 1"),
    ],
    ids=str,
)
def test_bad_settings_are_refused(changes, words):
    with pytest.raises(UsageError, match="config.optimizer") as refusal:
        make_optimizer(config(**changes), 100)
    assert words in str(refusal.value)


def test_boundaries_name_their_epochs():
    assert drop_boundaries(config(drop_epochs=(0.5, 2)), 3.0) == {
        2: " (epoch 0.5)",
        6: " (epoch 2)",
    }
