"""The gradient of a convolution's kernel as products, against XLA's own."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxpose.models.kernel_gradient import conv_general_dilated
from jaxpose.models.pointwise import PointwiseConv


def gradients(layer, x, weights):
    """Output and gradients by input and parameters of a weighted sum of the output."""

    def value(x, params):
        y = layer.apply({"params": params}, x)
        return (y * weights).sum(dtype=jnp.float64 if x.dtype == np.float64 else None), y

    params = layer.init(jax.random.key(0), x)["params"]
    params = jax.tree.map(lambda leaf: leaf.astype(x.dtype), params)
    return jax.jit(jax.grad(value, (0, 1), has_aux=True))(x, params)


@pytest.mark.parametrize(("height", "width"), [(5, 7), (1, 1), (2, 3)])
def test_float64_gradients_are_those_of_xla(height, width):
    with jax.enable_x64(True):
        rng = np.random.default_rng(0)
        x = rng.normal(size=(2, height, width, 64))
        weights = rng.normal(size=(2, height, width, 72))
        options = {"padding": 1, "dtype": None}
        ours = nn.Conv(72, (3, 3), conv_general_dilated=conv_general_dilated, **options)
        found, expected = (gradients(n, x, weights) for n in (ours, nn.Conv(72, (3, 3), **options)))
    assert jax.tree.structure(found) == jax.tree.structure(expected)
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        assert a.dtype == b.dtype == np.float64
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-10)


def test_bfloat16_sums_in_float32():
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.normal(size=(8, 32, 32, 64)), jnp.bfloat16)
    weights = jnp.asarray(rng.normal(size=(8, 32, 32, 64)), jnp.bfloat16)
    layer = nn.Conv(64, (3, 3), padding=1, conv_general_dilated=conv_general_dilated)
    kernel = gradients(layer, x, weights)[0][1]["kernel"]
    exact = np.einsum("bhwc,bhwd->cd", np.float64(x), np.float64(weights))
    assert kernel.dtype == jnp.bfloat16
    # Nothing but the last rounding, half a step of 2^-8.
    np.testing.assert_allclose(np.float64(kernel[1, 1]), exact, rtol=2**-8, atol=1e-2)


@pytest.mark.parametrize(
    ("size", "options"),
    [(3, {"strides": 2, "padding": 1}), (3, {"padding": 0}), (1, {}), (5, {"padding": 2}),
     (3, {"padding": 2, "kernel_dilation": 2})],
)  # fmt: skip
def test_other_convolutions_are_xlas_own(size, options):
    layer = nn.Conv(64, (size, size), conv_general_dilated=conv_general_dilated, **options)
    plain = nn.Conv(64, (size, size), **options)
    x = jnp.ones((1, 9, 9, 64))
    variables = plain.init(jax.random.key(0), x)
    texts = [str(jax.make_jaxpr(net.apply)(variables, x)) for net in (layer, plain)]
    assert "custom_vjp" not in texts[0] and texts[0] == texts[1]


def test_pointwise_convolutions_have_the_parameters_and_results_of_flax():
    x = np.random.default_rng(0).normal(size=(2, 3, 5, 7)).astype(np.float32)
    ours, plain = PointwiseConv(4), nn.Conv(4, (1, 1))
    variables = plain.init(jax.random.key(3), x)
    same = ours.init(jax.random.key(3), x)
    jax.tree.map(np.testing.assert_array_equal, variables, same)
    np.testing.assert_allclose(ours.apply(variables, x), plain.apply(variables, x), atol=1e-6)
    half = PointwiseConv(4, use_bias=False, dtype=jnp.bfloat16)
    params = half.init(jax.random.key(0), x)
    assert half.apply(params, x).dtype == jnp.bfloat16 and set(params["params"]) == {"kernel"}
