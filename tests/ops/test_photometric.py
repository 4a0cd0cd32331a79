"""Photometric distortion: colours against colorsys, draws by their statistics."""

import colorsys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxpose.ops import photometric

shift_colors = jax.jit(photometric.shift_colors)
# Ranges are traced, so that every case shares one compiled function.
distort = jax.jit(photometric.distort)
NOTHING = {
    "brightness": 0.0,
    "contrast": (1.0, 1.0),
    "saturation": (1.0, 1.0),
    "hue": 0.0,
    "probability": 1.0,
}


def colours():
    random = np.random.default_rng(0).integers(0, 256, (300, 3))
    ends = np.stack(np.meshgrid([0, 255], [0, 255], [0, 255]), -1).reshape(-1, 3)
    greys = np.repeat(np.arange(0, 256, 51), 3).reshape(-1, 3)
    return np.concatenate([random, ends, greys]).astype(np.float32)


def slow_shift(rgb, saturation, hue):
    h, s, v = colorsys.rgb_to_hsv(*(rgb / 255.0))
    return 255 * np.array(colorsys.hsv_to_rgb((h + hue / 360) % 1, min(s * saturation, 1), v))


@pytest.mark.parametrize(
    ("saturation", "hue"), [(1, 0), (0.5, 0), (1.5, 0), (1, 36), (1, -36), (1.4, 200), (0, 5)]
)
def test_saturation_and_hue_equal_colorsys(saturation, hue):
    rgb = colours()
    found = np.stack(shift_colors(*rgb.T, float(saturation), float(hue)), -1)
    expected = np.stack([slow_shift(c, saturation, hue) for c in rgb.astype(np.float64)])
    np.testing.assert_allclose(found, expected, atol=2e-3)


def test_colours_by_hand():
    red = [jnp.float32(200), jnp.float32(0), jnp.float32(0)]
    np.testing.assert_allclose(shift_colors(*red, 1.0, 120.0), [0, 200, 0], atol=1e-3)
    np.testing.assert_allclose(shift_colors(*red, 0.25, 0.0), [200, 150, 150], atol=1e-3)
    np.testing.assert_allclose(shift_colors(*red, 1.0, -60.0), [200, 0, 200], atol=1e-3)


def pixels(count, rgb):
    return jnp.broadcast_to(jnp.asarray(rgb, jnp.float32), (count, 1, 1, 3))


def test_nothing_drawn_changes_nothing():
    images = jnp.asarray(colours())[None, None]
    found = distort(jax.random.key(1), images, probability=0.0)
    np.testing.assert_allclose(found, images, atol=1e-3)
    np.testing.assert_allclose(distort(jax.random.key(1), images, **NOTHING), images, atol=1e-3)


def test_brightness_is_uniform_and_hits_half_of_the_images():
    options = NOTHING | {"brightness": 32.0, "probability": 0.5}
    found = np.asarray(distort(jax.random.key(2), pixels(2000, [100, 100, 100]), **options))
    np.testing.assert_array_equal(found[..., :1], found[..., 1:2])
    shift = found[:, 0, 0, 0] - 100
    drawn = shift[shift != 0]
    assert abs(len(drawn) / 2000 - 0.5) < 0.05
    assert -32 <= drawn.min() < -31 and 31 < drawn.max() <= 32
    assert abs(drawn.mean()) < 2.5 and abs(drawn.std() - 32 / np.sqrt(3)) < 1


def test_contrast_scales_about_black():
    options = NOTHING | {"contrast": (0.5, 1.5)}
    found = np.asarray(distort(jax.random.key(3), pixels(2000, [40, 80, 160]), **options))[:, 0, 0]
    gain = found[:, 0] / 40
    assert 0.5 <= gain.min() < 0.51 and 1.49 < gain.max() <= 1.5 + 1e-5
    np.testing.assert_allclose(found, gain[:, None] * [40, 80, 160], rtol=1e-4)


def test_contrast_comes_first_or_last_with_equal_chance():
    options = NOTHING | {"contrast": (1.5, 1.5), "saturation": (0.5, 0.5)}
    found = np.asarray(distort(jax.random.key(4), pixels(2000, [200, 100, 50]), **options))[:, 0, 0]
    first, last = [255, 202.5, 165], [255, 225, 187.5]  # saturated at 255 before or after
    is_first = np.abs(found - first).max(-1) < 1e-2
    is_last = np.abs(found - last).max(-1) < 1e-2
    assert (is_first ^ is_last).all()
    assert abs(is_first.mean() - 0.5) < 0.05


def test_hue_turns_by_up_to_its_bound_both_ways():
    options = NOTHING | {"hue": 36.0}
    found = np.asarray(distort(jax.random.key(5), pixels(1000, [255, 51, 51]), **options))[:, 0, 0]
    hue = np.array([colorsys.rgb_to_hsv(*(c / 255.0))[0] for c in found.astype(np.float64)])
    degrees = (360 * hue + 180) % 360 - 180
    assert -36.01 < degrees.min() < -35 and 35 < degrees.max() < 36.01
    assert abs(degrees.mean()) < 2.5


def test_values_saturate_and_every_image_draws_alone():
    images = jnp.asarray(np.random.default_rng(1).uniform(0, 255, (1, 9, 7, 3)), jnp.float32)
    found = np.asarray(distort(jax.random.key(6), jnp.repeat(images, 40, 0)))
    assert found.shape == (40, 9, 7, 3) and found.dtype == np.float32
    assert np.isfinite(found).all() and found.min() >= 0 and found.max() <= 255
    assert len({image.tobytes() for image in found}) > 30


def test_distort_is_a_function_of_its_key():
    images = jax.random.uniform(jax.random.key(0), (2, 4, 4, 3)) * 255
    same = [distort(jax.random.key(7), images) for _ in range(2)]
    np.testing.assert_array_equal(*same)
    assert not np.array_equal(same[0], distort(jax.random.key(8), images))
