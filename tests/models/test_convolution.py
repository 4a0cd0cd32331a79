"""Convolutions with gradients of their own, against those of Flax and XLA.

On eight devices and in two processes they are part of tests/training/toy_task.py.
"""

from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxpose.models import convolution
from jaxpose.models.convolution import Conv


def gradients(layer, x):
    """Output and gradients by input and parameters of a weighted sum of the output."""
    params = layer.init(jax.random.key(0), x)["params"]
    params = jax.tree.map(lambda leaf: jnp.asarray(leaf, x.dtype), params)
    shape = jax.eval_shape(layer.apply, {"params": params}, x).shape
    weights = jnp.asarray(np.random.default_rng(1).normal(size=shape), x.dtype)

    def value(x, params, weights):
        y = layer.apply({"params": params}, x)
        return (y * weights).sum(dtype=jnp.promote_types(x.dtype, jnp.float32)), y

    function = jax.grad(value, (0, 1), has_aux=True)
    return jax.jit(function)(x, params, weights)


def both(shape, features, size, **options):
    """The gradients of ours and of Flax's convolution of normal noise."""
    x = np.random.default_rng(0).normal(size=shape)
    layers = (Kind(features, size, dtype=None, **options) for Kind in (Conv, nn.Conv))
    return [gradients(layer, x) for layer in layers]


def assert_close(found, expected, *, tolerance):
    assert jax.tree.structure(found) == jax.tree.structure(expected)
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        assert a.dtype == b.dtype and a.shape == b.shape
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize(
    ("size", "options"),
    [
        ((3, 3), {"padding": 1}),
        ((1, 1), {}),
        ((1, 1), {"strides": (2, 2)}),
        ((7, 7), {"padding": 3, "strides": (2, 2)}),
        ((3, 3), {"padding": 6, "kernel_dilation": (6, 6)}),
        ((3, 2), {"padding": ((1, 0), (0, 2)), "strides": (2, 3), "kernel_dilation": (2, 1)}),
        ((3, 3), {"padding": "VALID"}),
        ((3, 3), {"padding": ((-1, 2), (0, -1))}),
        ((3, 3), {"padding": "SAME", "strides": (2, 2), "use_bias": False}),
    ],
)
@pytest.mark.parametrize("block", [1024, 40, 1])
def test_float64_gradients_are_those_of_xla(monkeypatch, size, options, block):
    """In one product, in several of whole images or of rows, and in one for each row."""
    monkeypatch.setattr(convolution, "_BLOCK", block)
    with jax.enable_x64(True):
        for shape in ((4, 9, 7, 3), (3, 15, 8, 5)):
            assert_close(*both(shape, 64, size, **options), tolerance=1e-10)


def test_few_features_are_left_to_xla():
    with jax.enable_x64(True):
        assert_close(*both((2, 5, 6, 3), 8, (3, 3), padding=1), tolerance=1e-10)


def test_bfloat16_sums_in_float32():
    x = jnp.asarray(np.random.default_rng(0).normal(size=(8, 32, 32, 8)), jnp.bfloat16)
    (_, params), y = gradients(Conv(64, (3, 3), padding=1), x)
    weights = np.random.default_rng(1).normal(size=y.shape).astype(jnp.bfloat16)
    exact = np.einsum("bhwc,bhwd->cd", np.float64(x), np.float64(weights))
    assert params["kernel"].dtype == jnp.bfloat16
    # Nothing but the last rounding, half a step of 2^-8.
    np.testing.assert_allclose(np.float64(params["kernel"][1, 1]), exact, rtol=2**-8, atol=1e-2)


def test_forward_mode_is_refused():
    layer = Conv(64, (3, 3))
    x = jnp.ones((1, 4, 4, 3))
    variables = layer.init(jax.random.key(0), x)
    with pytest.raises(TypeError, match="custom_vjp"):
        jax.jvp(lambda x: layer.apply(variables, x), (x,), (x,))


def test_only_cpus_have_products():
    """Programs for accelerators are those of Flax's convolution."""

    def loss(layer_type, x, kernel):
        layer = layer_type(64, (3, 3), padding=1, use_bias=False)
        return layer.apply({"params": {"kernel": kernel}}, x).sum()

    arguments = jnp.ones((4, 32, 32, 3)), jnp.ones((3, 3, 3, 64))

    def text(layer_type, platform):
        traced = jax.jit(jax.grad(partial(loss, layer_type), 1)).trace(*arguments)
        return traced.lower(lowering_platforms=(platform,)).as_text()

    for platform in ("tpu", "cuda"):
        ours, plain = text(Conv, platform), text(nn.Conv, platform)
        assert "while" not in ours and ours.count("stablehlo.conv") == plain.count("stablehlo.conv")
    assert "while" in text(Conv, "cpu") and "dot_general" in text(Conv, "cpu")


@pytest.mark.parametrize("size", [(1, 1), (3, 3)])
def test_parameters_and_results_are_those_of_flax(size):
    x = np.random.default_rng(0).normal(size=(2, 3, 5, 7)).astype(np.float32)
    ours, plain = Conv(4, size), nn.Conv(4, size)
    variables = plain.init(jax.random.key(3), x)
    jax.tree.map(np.testing.assert_array_equal, variables, ours.init(jax.random.key(3), x))
    np.testing.assert_allclose(ours.apply(variables, x), plain.apply(variables, x), atol=1e-6)
    half = Conv(4, size, use_bias=False, dtype=jnp.bfloat16)
    params = half.init(jax.random.key(0), x)
    assert half.apply(params, x).dtype == jnp.bfloat16 and set(params["params"]) == {"kernel"}


@pytest.mark.parametrize(
    ("rank", "options"),
    [(4, {"feature_group_count": 2}), (4, {"input_dilation": 2}), (3, {}),
     (4, {"precision": "highest"})],
)  # fmt: skip
def test_other_convolutions_are_refused(rank, options):
    x = jnp.ones((1, 6, 6, 4)[:rank])
    with pytest.raises(ValueError, match="only convolutions of images"):
        Conv(4, (3,) * (rank - 2), **options).init(jax.random.key(0), x)
