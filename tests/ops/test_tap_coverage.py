import jax
import numpy as np
import pytest

from jaxpose.ops import images as ops_images

# Compiled whole: much faster than many small operations.
warp = jax.jit(ops_images.warp, static_argnames=("size", "max_level"))
tap_coverage = jax.jit(ops_images.tap_coverage, static_argnames=("image_size", "size", "max_level"))


@pytest.mark.parametrize(("canvas", "max_level"), [((24, 40), 2), ((23, 37), 2), ((24, 40), 0)])
def test_tap_coverage_is_the_warp_of_the_rectangle_itself(canvas, max_level):
    rng = np.random.default_rng(8)
    low = rng.integers(0, 12, (12, 2))
    valid = np.concatenate([low, low + rng.integers(1, 12, (12, 2))], -1).astype(np.float32)
    valid[0] = [0, 0, canvas[1], canvas[0]]
    images = np.zeros((12, *canvas, 1), np.float32)
    for image, (x1, y1, x2, y2) in zip(images, valid.astype(int), strict=True):
        image[y1:y2, x1:x2] = 1
    matrices = np.zeros((12, 2, 3), np.float32)
    matrices[:, 0, 0], matrices[:, 1, 1] = rng.uniform(0.3, 7, (2, 12)) * rng.choice([-1, 1], 12)
    matrices[:, :, 2] = rng.uniform(-5, 25, (12, 2))
    found = tap_coverage(valid, matrices, canvas, (9, 11), max_level)
    expected = warp(images, matrices, (9, 11), max_level=max_level)[..., 0]
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert 0.02 < expected.mean() < 0.9
