"""Parity with the reference implementations, their weights loaded by name (golden f and f2).

Weights follow the recipe of the golden vectors: every tensor is drawn from a generator seeded by
the CRC-32 of its name. The references ran in float64 on PyTorch.
"""

import functools
import gzip
import json
import os
import zlib
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.traverse_util import flatten_dict

from jaxpose.models.hourglass import StackedHourglass
from jaxpose.models.pretrained import SOURCES, _source_name, load_named_weights

SLOW = pytest.mark.skipif("JAXPOSE_SLOW" not in os.environ, reason="set JAXPOSE_SLOW=1")
# Compiling takes longer than running here; LLVM's optimisations are most of it.
quick_jit = functools.partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})

GOLDEN = Path(__file__).parents[1] / "golden"
CASES = {
    "bearpaw_s2b4": ("pytorch_pose", {"stem": "pytorch_pose"}),
    "bearpaw_s2b1": ("pytorch_pose", {"stem": "pytorch_pose", "blocks": 1}),
    "princeton_s2": ("princeton", {"blocks": 1}),
    "lua_s2m4": ("pose_hg_train", {}),
    "lua_s2m1": ("pose_hg_train", {"blocks": 1}),
}
SPREAD = {  # kind -> value from standard normal n and fan_in f
    "conv_w1": lambda n, f: n / np.sqrt(f),
    "bias": lambda n, f: 0.05 * n,
    "bn_w": lambda n, f: 1 + 0.1 * n,
    "bn_b": lambda n, f: 0.1 * n,
    "bn_mean": lambda n, f: 0.1 * n,
    "bn_var": lambda n, f: 1 + 0.2 * np.abs(n),
}


@pytest.fixture(scope="module")
def golden():
    with np.load(GOLDEN / "f_hourglass.npz") as file:
        return dict(file)


@pytest.fixture(scope="module")
def listed():
    with gzip.open(GOLDEN / "f_hourglass_params.json.gz") as file:
        return json.load(file)


@pytest.fixture(scope="module")
def image(golden):
    x = np.random.RandomState(9).uniform(-0.5, 0.5, (2, 3, 256, 256)).astype(np.float32)
    assert x.sum(dtype=np.float64) == pytest.approx(golden["input_checksum"], rel=1e-12)
    return x.transpose(0, 2, 3, 1)


def recipe_weights(rows):
    """[[name, kind, shape], ...] -> name without its family prefix -> float32 array."""
    weights = {}
    for name, kind, shape in rows:
        normal = np.random.RandomState(zlib.crc32(name.encode())).standard_normal(shape)
        value = SPREAD[kind](normal, np.prod(shape[1:]))
        weights[name.partition(".")[2]] = value.astype(np.float32)
    return weights


def build(case):
    source, options = CASES[case]
    return StackedHourglass(16, **options), source


@pytest.mark.parametrize(
    "case",
    # The last is the network of princeton_s2 under the names of lua_s2m4.
    [pytest.param(case, marks=SLOW if case == "lua_s2m1" else ()) for case in CASES],
)
def test_eval_outputs_equal_the_reference(case, golden, listed, image):
    model, source = build(case)
    weights = recipe_weights(listed["params"][case])

    variables = load_named_weights(model, weights, source)

    assert sum(a.size for a in jax.tree.leaves(variables["params"])) == golden[f"{case}/n_params"]
    maps = np.asarray(quick_jit(model.apply)(variables, image[:1]))
    assert maps.shape == (2, 1, 64, 64, 16) and maps.dtype == np.float32
    for stack in range(2):
        sampled = maps[stack, 0, ::8, ::8].transpose(2, 0, 1)
        std = golden[f"{case}/eval_std{stack}"]
        assert maps[stack].std() == pytest.approx(std, rel=1e-4)
        np.testing.assert_allclose(
            sampled, golden[f"{case}/eval_out{stack}"], rtol=0, atol=1e-4 * std
        )


@SLOW  # a minute and 5 GB for each type
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_training_loss_and_gradients_equal_the_reference(dtype, golden, listed, image):
    case = "bearpaw_s2b4"
    model, source = build(case)
    weights = recipe_weights(listed["params"][case])
    target = np.random.RandomState(10).uniform(0, 1, (2, 16, 64, 64)).astype(np.float32)
    target = target.transpose(0, 2, 3, 1)

    def loss(params, batch_stats):
        variables = {"params": params, "batch_stats": batch_stats}
        maps, updated = model.apply(
            variables, jnp.asarray(image, dtype), train=True, mutable=["batch_stats"]
        )
        return jnp.mean((maps - target) ** 2, axis=(1, 2, 3, 4)).sum(), (maps, updated)

    with jax.enable_x64(True):
        variables = load_named_weights(model, weights, source)
        variables = jax.tree.map(lambda a: jnp.asarray(a, dtype), variables)
        step = jax.jit(jax.value_and_grad(loss, has_aux=True))
        (value, (maps, updated)), grads = step(variables["params"], variables["batch_stats"])
        assert maps.dtype == dtype
        stats = jax.tree.map(np.asarray, updated["batch_stats"]["stem"]["bn"])

    assert float(value) == pytest.approx(golden[f"{case}/train_loss_sum_of_stack_mse"], rel=1e-4)
    check_running_statistics(stats, weights, golden, case)
    if dtype == "float64":  # gradients of this network are ill-conditioned in float32
        last = np.asarray(maps)[1, :, ::8, ::8].transpose(0, 3, 1, 2)
        np.testing.assert_allclose(last, golden[f"{case}/train_out_last"], rtol=1e-6, atol=1e-6)
        check_gradients(model, source, grads, golden, listed["grad_norms"], case)


def check_running_statistics(stats, weights, golden, case):
    count = 2 * 128 * 128
    old = 0.9 * weights["bn1.running_var"].astype(np.float64)
    unbiased = old + (stats["var"] - old) * count / (count - 1)  # PyTorch keeps n / (n - 1)
    np.testing.assert_allclose(stats["mean"], golden[f"{case}/bn1_running_mean_after"], atol=1e-6)
    np.testing.assert_allclose(unbiased, golden[f"{case}/bn1_running_var_after"], rtol=1e-6)


def check_gradients(model, source, grads, golden, norms, case):
    named = {}
    for path, leaf in flatten_dict({"params": grads}).items():
        value = np.asarray(leaf)
        name = _source_name(path, SOURCES[source], model.depth)
        named[name] = value.transpose(3, 2, 0, 1) if value.ndim == 4 else value
    assert named.keys() == norms.keys()
    for name, norm in norms.items():
        # A bias before a BatchNorm has no gradient: both sides are rounding there.
        assert np.linalg.norm(named[name]) == pytest.approx(norm, rel=1e-6, abs=1e-11), name
    sampled = [key.partition("/grad_")[2] for key in golden if "/grad_" in key]
    assert len(sampled) == 6
    for name in sampled:
        reference = golden[f"{case}/grad_{name}"]
        tolerance = 1e-6 * np.abs(reference).max() + 1e-11
        np.testing.assert_allclose(named[name].ravel()[:256], reference, rtol=0, atol=tolerance)
