import cv2
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from jaxpose.ops.resampling import (
    cubic_matrix,
    enlarging_matrix,
    gaussian_matrix,
    resampled,
    resampled_at,
)


def maps(height, width, channels=2, seed=0):
    return np.random.default_rng(seed).random((height, width, channels), np.float32)


@pytest.mark.parametrize(("size", "source"), [((40, 56), (5, 7)), ((30, 44), (20, 28)),
                                              ((9, 13), (20, 28)), ((8, 8), (1, 1))])  # fmt: skip
def test_cubic_is_opencvs(size, source):
    image = maps(*source)
    rows, columns = (
        cubic_matrix(length, count, count / length)
        for length, count in zip(size, source, strict=True)
    )
    found = np.einsum("Hh,hwc,Ww->HWc", rows, image, columns)
    wanted = cv2.resize(image, size[::-1], interpolation=cv2.INTER_CUBIC)
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-6)


def test_jaxs_own_cubic_is_another_kernel():
    # Why there is `cubic_matrix`: the difference is far from rounding, inside and at the borders.
    image = maps(6, 6, 1)[..., 0]
    ours = cubic_matrix(48, 6, 1 / 8) @ image @ cubic_matrix(48, 6, 1 / 8).T
    other = np.asarray(jax.image.resize(image, (48, 48), "cubic", antialias=False))
    difference = np.abs(ours - other)
    assert difference.max() > 0.05 and difference[16:32, 16:32].max() > 0.01


@pytest.mark.parametrize("length", [50, 7])  # shorter than the kernel: mirrored again and again
def test_smoothing_is_scipys(length):
    image = maps(length, length, 1)[..., 0].astype(np.float64)
    matrix = gaussian_matrix(length, 3.0)
    np.testing.assert_allclose(
        matrix @ image @ matrix.T, gaussian_filter(image, sigma=3), rtol=0, atol=1e-12
    )
    np.testing.assert_array_equal(gaussian_matrix(length, 0), np.eye(length))


@pytest.mark.parametrize(("scale", "length"), [(0.5, 70), (1.0, 40), (1.5, 26), (1.0, 37)])
def test_enlarging_is_two_resizes_with_a_cut_between(scale, length):
    image, stride = maps(5, 5), 8
    matrix = enlarging_matrix(length, 5, stride, scale)
    to_input = cv2.resize(image, (0, 0), fx=stride, fy=stride, interpolation=cv2.INTER_CUBIC)
    shown = round(length * scale)
    cut = to_input[:shown, :shown]
    # OpenCV takes the step from the two sizes, which need not be the scale to the last digit.
    wanted = cv2.resize(cut, (length, length), interpolation=cv2.INTER_CUBIC)
    if shown == length * scale:
        found = np.einsum("Hh,hwc,Ww->HWc", matrix, image, matrix)
        np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-5)
    assert matrix.shape == (length, 5)
    np.testing.assert_allclose(matrix.sum(1), 1, rtol=0, atol=1e-12)


def test_products_on_the_device():
    images = np.stack([maps(4, 5, seed=seed) for seed in range(3)])
    rows, columns = cubic_matrix(12, 4, 1 / 3), cubic_matrix(20, 5, 1 / 4)
    found = np.asarray(jax.jit(lambda x: resampled(x, rows, columns))(images))
    wanted = np.einsum("Hh,bhwc,Ww->bcHW", rows, images, columns)
    assert found.dtype == np.float32 and found.shape == (3, 2, 12, 20)
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-6)
    points = jnp.array(np.random.default_rng(1).integers(0, 12, (3, 2, 4, 2)))
    values = np.asarray(jax.jit(lambda x, p: resampled_at(x, rows, columns, p))(images, points))
    for image, channel, place in np.ndindex(3, 2, 4):
        x, y = np.asarray(points)[image, channel, place]
        assert values[image, channel, place] == pytest.approx(
            wanted[image, channel, y, x], abs=1e-6
        )
