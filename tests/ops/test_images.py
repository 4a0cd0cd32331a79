from pathlib import Path

import cv2
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxpose.ops import affine
from jaxpose.ops import images as ops_images
from jaxpose.ops.images import default_max_level

# Compiled whole: much faster than many small operations.
warp = jax.jit(ops_images.warp, static_argnames=("size", "max_level"))
crop_matrix = jax.jit(affine.crop_matrix, static_argnames="resolution")
invert, transform_points = jax.jit(affine.invert), jax.jit(affine.transform_points)

GOLDEN = Path(__file__).parent.parent / "golden" / "g_pose_geometry.npz"
# OpenCV before 5 rounds sample positions to 1/32 px; 5 is exact and rounds its uint8 result.
CV2_ROUNDING = 0.51 if int(cv2.__version__.split(".")[0]) >= 5 else 8.5


def noise(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def similarity(scale, degrees, x, y):
    cos, sin = scale * np.cos(np.deg2rad(degrees)), scale * np.sin(np.deg2rad(degrees))
    return np.array([[cos, -sin, x], [sin, cos, y]], np.float32)


def shrink(factor):
    """Output px -> input px of a reduction by `factor` that keeps pixel grids aligned."""
    return np.array([[[factor, 0, factor / 2 - 0.5], [0, factor, factor / 2 - 0.5]]], np.float32)


def slow_bilinear(image, matrix, size, fill):
    out = np.zeros((*size, image.shape[-1]))
    for v in range(size[0]):
        for u in range(size[1]):
            x, y = matrix @ np.array([u, v, 1.0])
            for row in (int(np.floor(y)), int(np.floor(y)) + 1):
                for column in (int(np.floor(x)), int(np.floor(x)) + 1):
                    inside = 0 <= row < image.shape[0] and 0 <= column < image.shape[1]
                    weight = (1 - abs(y - row)) * (1 - abs(x - column))
                    out[v, u] += weight * (image[row, column] if inside else fill)
    return out


@pytest.mark.parametrize("fill", [0.0, 100.0])
def test_warp_equals_a_loop_over_pixels(fill):
    images = noise(2, 9, 11, 3)
    matrices = np.stack([similarity(0.8, 20, 3.3, -1.2), similarity(1.6, -50, -2.0, 6.1)])
    found = warp(images, matrices, (7, 8), fill)
    for image, matrix, got in zip(images, matrices, found, strict=True):
        np.testing.assert_allclose(got, slow_bilinear(image, matrix, (7, 8), fill), atol=2e-3)


def test_warp_equals_cv2_up_to_its_rounding():
    images = noise(4, 120, 90, 3)
    matrices = np.stack(
        [
            similarity(1.0, 0, 10, 5),
            similarity(0.4, 30, 20.25, 11),
            similarity(1.9, -45, -30, 70),
            similarity(1.3, 170, 100, 110),
        ]
    )
    found = warp(images, matrices, (64, 48))
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    for image, matrix, got in zip(images, matrices, np.asarray(found), strict=True):
        expected = cv2.warpAffine(image, matrix.astype(np.float64), (48, 64), flags=flags)
        assert np.abs(got - expected).max() < CV2_ROUNDING
        assert (expected == 0).mean() < 0.9  # something of the image is in the crop


def test_warp_by_the_identity_and_by_a_flip_moves_pixels_exactly():
    images = noise(2, 12, 17, 3)
    identity = np.tile(np.eye(2, 3, dtype=np.float32), (2, 1, 1))
    flip = np.tile(affine.flip_matrix(17), (2, 1, 1))
    np.testing.assert_array_equal(warp(images, identity, (12, 17)), images)
    np.testing.assert_array_equal(warp(images, flip, (12, 17)), images[:, :, ::-1])


def test_warp_outside_the_image_is_fill_per_channel():
    far = similarity(1, 0, 1000, 0)[None]
    found = warp(noise(1, 8, 8, 3), far, (4, 4), fill=[1.0, 2.0, 3.0])
    np.testing.assert_array_equal(found, np.broadcast_to([1.0, 2.0, 3.0], (1, 4, 4, 3)))


@pytest.mark.parametrize("factor", [4, 8])
def test_aligned_reduction_is_the_mean_of_blocks(factor):
    image = np.random.default_rng(1).uniform(0, 1, (1, 64, 96, 3)).astype(np.float32)
    size = (64 // factor, 96 // factor)
    blocks = image.reshape(1, size[0], factor, size[1], factor, 3).mean((2, 4))
    np.testing.assert_allclose(warp(image, shrink(factor), size), blocks, atol=1e-5)
    levels = noise(1, 64, 96, 3)
    blocks = levels.reshape(1, size[0], factor, size[1], factor, 3).mean((2, 4))
    assert np.abs(warp(levels, shrink(factor), size) - blocks).max() < 1.1  # rounded per level


def test_pyramid_maps_pixel_centers_exactly():
    """On an image of value x (and y), the warp returns the mapped coordinate at every level."""
    x, y = np.meshgrid(np.arange(256.0), np.arange(256.0))
    image = np.stack([x, y], -1)[None].astype(np.float32)
    for scale in (1.0, 1.9, 2.5, 4.1, 7.9, 11.0):
        matrix = similarity(scale, 25, 90.3, 70.7)
        found = warp(image, matrix[None], (9, 9), max_level=3)
        grid = np.stack(np.meshgrid(np.arange(9.0), np.arange(9.0)), -1).reshape(1, -1, 2)
        expected = transform_points(matrix[None], grid).reshape(1, 9, 9, 2)
        inside = (np.asarray(expected) > 16).all(-1) & (np.asarray(expected) < 239).all(-1)
        assert inside.sum() >= 9
        np.testing.assert_allclose(np.asarray(found)[inside], expected[inside], atol=2e-3)


def test_strong_reduction_does_not_alias():
    stripes = np.zeros((1, 64, 64, 1), np.uint8)
    stripes[:, :, ::2] = 200
    matrix = np.array([[[4, 0, 0], [0, 4, 0]]], np.float32)
    np.testing.assert_allclose(warp(stripes, matrix, (16, 16))[:, 1:, 1:], 100, atol=0.5)
    np.testing.assert_allclose(warp(stripes, matrix, (16, 16), max_level=0), 200)


def test_a_reduction_of_exactly_two_samples_the_image_itself():
    """Also where its matrix, in float32, steps by a little more than 2 px."""
    angles = np.arange(64) * 1.7
    images = np.repeat(noise(1, 64, 64, 1), 64, 0)
    matrices = invert(crop_matrix(np.full((64, 2), 31.7), np.full(64, 0.08), 8, angles))
    deep = warp(images, matrices, (8, 8), max_level=1)
    np.testing.assert_array_equal(deep, warp(images, matrices, (8, 8), max_level=0))


@pytest.mark.parametrize("axis", [0, 1])
def test_the_axis_that_is_reduced_more_decides(axis):
    stripes = np.zeros((1, 64, 64, 1), np.uint8)
    index = [slice(None)] * 4
    index[2 - axis] = slice(None, None, 2)
    stripes[tuple(index)] = 200
    matrix = np.eye(2, 3, dtype=np.float32)[None]
    matrix[0, axis, axis] = 4
    found = np.asarray(warp(stripes, matrix, (16, 16), max_level=1))
    np.testing.assert_allclose(found[:, 1:, 1:], 100, atol=0.5)


def test_level_is_chosen_per_example():
    images = noise(3, 64, 64, 3)
    matrices = np.stack([similarity(s, 10, 5, 3) for s in (1.0, 3.0, 6.5)])
    together = warp(images, matrices, (8, 8), max_level=2)
    for i in range(3):
        alone = warp(images[i : i + 1], matrices[i : i + 1], (8, 8), max_level=2)
        np.testing.assert_array_equal(together[i], alone[0])
    assert np.abs(together[1:] - warp(images, matrices, (8, 8), max_level=0)[1:]).max() > 20


def test_constant_image_stays_constant_at_odd_sizes():
    images = np.full((1, 37, 51, 3), 77, np.uint8)
    matrix = np.array([[[5.0, 0, 2], [0, 5.0, 2]]], np.float32)
    np.testing.assert_array_equal(warp(images, matrix, (7, 10), max_level=2), 77)


def test_default_max_level():
    assert default_max_level((512, 512), (256, 256)) == 0
    assert default_max_level((512, 512), (300, 300)) == 0
    assert default_max_level((512, 512), (255, 255)) == 1
    assert default_max_level((720, 1280), (256, 256)) == 2
    assert default_max_level((64, 64), (256, 256)) == 0


def test_a_spot_lands_where_its_coordinates_do():
    rng = np.random.default_rng(6)
    spots = rng.uniform(90, 110, (5, 1, 2))
    grid = np.stack(np.meshgrid(np.arange(200.0), np.arange(200.0)), -1)
    distance = ((grid - spots[:, :, None]) ** 2).sum(-1)
    images = (250 * np.exp(-distance / 50))[..., None].astype(np.float32)
    scales, rotations = rng.uniform(0.4, 1.2, 5), rng.uniform(-60, 60, 5)
    matrices = crop_matrix(np.full((5, 2), 100.0), scales, 96, rotations)
    crops = np.asarray(warp(images, invert(matrices), (96, 96)))
    crop_grid = np.stack(np.meshgrid(np.arange(96.0), np.arange(96.0)), -1)
    centroid = (crops * crop_grid).sum((1, 2)) / crops.sum((1, 2))
    expected = transform_points(matrices, spots)[:, 0]
    np.testing.assert_allclose(centroid, expected, atol=0.02)


def reference_image():
    y, x = np.mgrid[:300, :420].astype(np.float64)
    channels = [
        127 + 100 * np.sin(x / 17) * np.cos(y / 23),
        127 + 120 * np.sin((x + y) / 31),
        (0.5 * x + 0.2 * y) % 255,
    ]
    return np.clip(np.stack(channels, -1), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("number", [0, 1, 5])
def test_crops_look_like_the_reference(number):
    """The reference cuts at whole pixels and resizes: equal up to a pixel on a smooth image."""
    with np.load(GOLDEN) as golden:
        x, y, scale, rotation = golden[f"crop{number}_center_scale_rot"]
        expected = golden[f"crop{number}"].astype(np.float32).transpose(1, 2, 0)
    matrix = invert(crop_matrix([x, y], scale, 256, rotation))
    found = warp(reference_image()[None], matrix[None], (256, 256))[0, ::4, ::4] / 255
    error = np.abs(np.asarray(found) - expected)[..., :2]  # channel 2 has steps
    assert np.median(error) < 0.02
    assert error.mean() < 0.03


def test_dtypes():
    matrix = np.eye(2, 3, dtype=np.float32)[None]
    assert warp(noise(1, 4, 4, 3), matrix, (4, 4)).dtype == jnp.float32
    with jax.enable_x64(True):
        assert warp(noise(1, 4, 4, 3), matrix, (4, 4)).dtype == jnp.float32
        assert warp(np.zeros((1, 4, 4, 3)), matrix, (4, 4)).dtype == jnp.float64
        assert warp(noise(1, 4, 4, 3), matrix.astype(float), (4, 4)).dtype == jnp.float64


def test_warp_under_jit_equals_warp_and_has_finite_gradients():
    images = np.random.default_rng(2).uniform(0, 1, (2, 20, 20, 3)).astype(np.float32)
    matrices = np.stack([similarity(1.2, 30, 4, -3), similarity(5.0, 0, 0, 0)])

    def total(images, matrices):
        return (warp(images, matrices, (6, 6), max_level=1) ** 2).sum()

    value, gradients = jax.jit(jax.value_and_grad(total, argnums=(0, 1)))(images, matrices)
    np.testing.assert_allclose(value, total(images, matrices), rtol=1e-5)
    assert all(np.isfinite(gradient).all() and np.any(gradient) for gradient in gradients)


def test_warp_of_uint8_never_converts_the_canvas():
    traced = jax.make_jaxpr(lambda i, m: warp(i, m, (4, 4)))(noise(1, 50, 60, 3), shrink(1))
    whole = [v.aval for e in traced.jaxpr.eqns for v in e.outvars if v.aval.size >= 50 * 60 * 3]
    assert all(value.dtype == jnp.uint8 for value in whole)


def test_rows_choose_the_image_of_each_output():
    """As if the images had been copied; one canvas may serve several outputs, or none."""
    images, rows = noise(3, 40, 50, 3), np.array([2, 0, 2, 2])
    matrices = np.stack([similarity(f, 20 * f, 3, -2) for f in (0.7, 1.4, 3.0, 5.0)])
    found = ops_images.warp(images, matrices, (9, 8), 7.0, 2, rows)
    copied = ops_images.warp(images[rows], matrices, (9, 8), 7.0, 2)
    np.testing.assert_array_equal(found, copied)
