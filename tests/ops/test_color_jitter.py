import jax
import jax.numpy as jnp
import numpy as np

from jaxpose.ops import images as ops_images

color_jitter = jax.jit(ops_images.color_jitter)


def test_color_jitter_scales_channels_and_clips():
    images = jnp.full((300, 2, 2, 3), 0.9)
    found = np.asarray(color_jitter(jax.random.key(0), images, 0.4))
    gains = found[:, 0, 0] / 0.9
    np.testing.assert_array_equal(found, np.broadcast_to(found[:, :1, :1], found.shape))
    assert found.min() >= 0.9 * 0.6 - 1e-6 and found.max() == 1
    assert gains.min() < 0.62  # reaches the lower end; the upper end is clipped
    assert np.abs(np.corrcoef(gains.T) - np.eye(3)).max() < 0.3  # channels are independent
    dark = color_jitter(jax.random.key(1), jnp.full((300, 1, 1, 3), 0.5), 0.4)
    assert dark.max() > 0.69 and dark.max() <= 0.7 + 1e-6
    np.testing.assert_allclose(np.mean(dark), 0.5, atol=0.02)


def test_color_jitter_is_a_function_of_its_key():
    images = jax.random.uniform(jax.random.key(3), (2, 4, 4, 3))
    same = [color_jitter(jax.random.key(7), images, 0.4) for _ in range(2)]
    np.testing.assert_array_equal(*same)
    assert not np.array_equal(same[0], color_jitter(jax.random.key(8), images, 0.4))
    np.testing.assert_array_equal(color_jitter(jax.random.key(7), images, 0.0), images)
