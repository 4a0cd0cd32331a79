"""1x1 convolutions as products, against those of Flax."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from jaxpose.models.pointwise import PointwiseConv


def test_they_have_the_parameters_and_results_of_flax():
    x = np.random.default_rng(0).normal(size=(2, 3, 5, 7)).astype(np.float32)
    ours, plain = PointwiseConv(4), nn.Conv(4, (1, 1))
    variables = plain.init(jax.random.key(3), x)
    same = ours.init(jax.random.key(3), x)
    jax.tree.map(np.testing.assert_array_equal, variables, same)
    np.testing.assert_allclose(ours.apply(variables, x), plain.apply(variables, x), atol=1e-6)
    half = PointwiseConv(4, use_bias=False, dtype=jnp.bfloat16)
    params = half.init(jax.random.key(0), x)
    assert half.apply(params, x).dtype == jnp.bfloat16 and set(params["params"]) == {"kernel"}
