"""The detector's augmentation: boxes follow the pixels, and fill has no rim."""

import cv2
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxpose.ops import affine
from jaxpose.tasks import detection_augment

CANVAS, SIZE, MEAN = 64, 48, (123.0, 117.0, 104.0)
CALM = {"distort_probability": 0.0, "zoom_out_probability": 0.0, "crop_probability": 0.0}
CALM |= {"flip_probability": 0.0}


@pytest.fixture
def with_one_box(photographs):
    """One white box per photograph, on whole canvas pixels."""

    def with_one_box(rows=6, seed=0):
        rng = np.random.default_rng(seed)
        batch = photographs(rows=rows)
        for row in range(rows):
            x1, y1 = rng.integers(2, 36), rng.integers(2, 24)
            x2, y2 = x1 + rng.integers(10, 26), y1 + rng.integers(10, 22)
            batch["image"][row, y1:y2, x1:x2] = 255
            batch["boxes"][row, 1] = np.array([x1, y1, x2, y2]) * 1.5
            batch["labels"][row, 1] = 7
        return batch

    return with_one_box


def white_extent(image):
    """Sub-pixel extent of the bright part: its mass along the brightest row and column."""
    bright = np.clip((image[..., 2] + MEAN[2] - 110) / 145, 0, 1)
    line, column = bright.max(0), bright.max(1)
    x, y = np.flatnonzero(line > 0.5), np.flatnonzero(column > 0.5)
    return np.array([x[0], y[0], x[-1] + 1, y[-1] + 1])


@pytest.mark.parametrize("flip", [0.0, 1.0])
@pytest.mark.parametrize("crop", [0.0, 1.0])
@pytest.mark.parametrize("zoom", [0.0, 1.0])
def test_boxes_follow_the_pixels(augment, with_one_box, flip, crop, zoom):
    chances = {"flip_probability": flip, "crop_probability": crop, "zoom_out_probability": zoom}
    batch = with_one_box()
    for seed in range(3):
        found = augment(seed, batch, **(CALM | chances))
        assert (found["labels"] == [0, 7, 0]).all()  # a crop holds the only box's centre
        for image, boxes in zip(found["image"], found["boxes"], strict=True):
            np.testing.assert_array_equal(boxes[[0, 2]], 0)
            # An antialiased edge is half bright within a pixel; 0.5 more for thin remains.
            np.testing.assert_allclose(white_extent(image), boxes[1] * SIZE, atol=1.5)


def test_boxes_follow_the_pixels_to_a_tenth_of_a_pixel_where_nothing_moves(augment, with_one_box):
    batch = with_one_box()
    found = augment(0, batch, **CALM)
    expected = batch["boxes"][:, 1] / [96, 72, 96, 72]
    np.testing.assert_allclose(found["boxes"][:, 1], expected, atol=1e-6)


def test_prepare_is_the_stretched_photograph(augment, prepare, photographs):
    batch = photographs()
    batch["image"][:, :48] = np.random.default_rng(1).integers(0, 256, (6, 48, 64, 3))
    image, matrix = prepare(batch)
    for row in range(6):
        photograph = batch["image"][row, :48].astype(np.float32)
        expected = cv2.resize(photograph, (SIZE, SIZE), interpolation=cv2.INTER_LINEAR)
        np.testing.assert_allclose(image[row] + np.array(MEAN), expected, atol=0.02)
    onto = affine.transform_boxes(matrix, np.array([0.0, 0, SIZE, SIZE], np.float32)[None])
    np.testing.assert_allclose(onto[:, 0], batch["valid"], atol=1e-4)
    still = augment(0, batch, **CALM)["image"]
    np.testing.assert_allclose(still, image, atol=1e-2)  # the same path, training or not


def test_without_antialiasing_a_strong_reduction_samples_single_pixels():
    rng = np.random.default_rng(2)
    image = rng.integers(0, 256, (1, 120, 128, 3), np.uint8)
    batch = {"image": image, "valid": np.array([[0, 0, 128, 120]], np.float32)}
    prepare = jax.jit(detection_augment.prepare, static_argnums=(1, 2, 3, 4))
    plain, smooth = (
        np.asarray(prepare(batch, 20, (0.0, 0.0, 0.0), "rgb", antialias)[0])
        for antialias in (False, True)
    )
    expected = cv2.resize(image[0].astype(np.float32), (20, 20), interpolation=cv2.INTER_LINEAR)
    np.testing.assert_allclose(plain[0], expected, atol=0.02)
    assert smooth.std() < 0.7 * plain.std()


def test_bgr_is_the_reverse_of_rgb(prepare, with_one_box):
    batch = with_one_box()
    batch["image"][:, :48, :, 0] //= 2
    pair = [np.asarray(prepare(batch, channels=order)[0]) for order in ("rgb", "bgr")]
    np.testing.assert_array_equal(pair[0], pair[1][..., ::-1])
    np.testing.assert_allclose(pair[0][0, 0, 0], np.array([15, 30, 30]) - MEAN, atol=1e-4)


def test_boxes_return_to_the_source(augment, with_one_box):
    batch = with_one_box()
    fractions = augment(0, batch, **CALM)["boxes"]
    found = detection_augment.boxes_to_source(fractions, batch["size"])
    np.testing.assert_allclose(found, batch["boxes"], atol=1e-3)


def test_a_photograph_of_the_mean_vanishes_in_the_fill(augment, photographs):
    batch = photographs(colour=MEAN)
    for seed in range(5):
        image = augment(seed, batch, distort_probability=0.0)["image"]
        assert np.abs(image).max() < 1  # rounding of the uint8 pyramid


def test_photographs_have_no_dark_rim(augment, photographs):
    """A white photograph blends with the fill: nothing is darker than the fill."""
    batch = photographs(colour=(255, 255, 255))
    for seed in range(5):
        image = augment(seed, batch, distort_probability=0.0, zoom_out_probability=1.0)["image"]
        assert image.min() > -1 and (image <= 255 - np.array(MEAN) + 1e-2).all()
        assert (np.abs(image) < 1e-4).mean() > 0.2  # there is fill


def test_zoom_out_does_not_alias(augment, window_of, photographs):
    batch = photographs()
    batch["image"][:, :48, ::2], batch["image"][:, :48, 1::2] = 255, 0
    found = augment(1, batch, **(CALM | {"zoom_out_probability": 1.0}))["image"]
    window = np.asarray(window_of(1, batch, **(CALM | {"zoom_out_probability": 1.0})))
    strong = (window[:, 2] - window[:, 0]) * CANVAS / SIZE > 2.2
    assert strong.sum() >= 2
    inside = (found[strong] > 15).any(-1) | (found[strong] < -15).any(-1)
    # Stripes of a pixel become grey, 127 against the mean's 123, 117, 104: a difference of 24.
    assert np.abs(found[strong][inside] - (127.5 - np.array(MEAN))).max() < 30


def test_zoom_out_shows_the_photograph_anywhere_on_a_canvas_of_up_to_4(window_of, photographs):
    batch = photographs(rows=2000, objects=1) | {"image": np.zeros((2000, 4, 4, 3), np.uint8)}
    window = np.asarray(window_of(0, batch, **(CALM | {"zoom_out_probability": 0.5})))
    side = window[:, 2:] - window[:, :2]
    np.testing.assert_allclose(side[:, 0], side[:, 1], rtol=1e-5)  # one ratio for both axes
    zooms = side[:, 0] > 1
    assert abs(zooms.mean() - 0.5) < 0.05
    assert 3.95 < side.max() <= 4 and abs(side[zooms].mean() - 2.5) < 0.1
    assert (window[:, :2] <= 0).all() and (window[:, 2:] >= 1 - 1e-5).all()
    place = -window[zooms, :2] / (side[zooms] - 1)
    assert (np.abs(place.mean(0) - 0.5) < 0.04).all() and abs(np.corrcoef(place.T)[0, 1]) < 0.1
    np.testing.assert_array_equal(window[~zooms], np.tile([0, 0, 1, 1], ((~zooms).sum(), 1)))


def test_flip_mirrors_image_and_boxes(augment, with_one_box):
    batch = with_one_box()
    plain = augment(5, batch, distort_probability=0.0, flip_probability=0.0)
    mirrored = augment(5, batch, distort_probability=0.0, flip_probability=1.0)
    np.testing.assert_allclose(mirrored["image"][:, :, ::-1], plain["image"], atol=0.1)
    back = mirrored["boxes"][:, 1][:, [2, 1, 0, 3]] * [-1, 1, -1, 1] + [1, 0, 1, 0]
    np.testing.assert_allclose(back, plain["boxes"][:, 1], atol=1e-5)


def test_augment_is_a_function_of_its_key(augment, with_one_box):
    batch = with_one_box()
    first, again, other = augment(1, batch), augment(1, batch), augment(2, batch)
    jax.tree.map(np.testing.assert_array_equal, first, again)
    assert not np.array_equal(first["image"], other["image"])
    assert first["image"].dtype == first["boxes"].dtype == jnp.float32
    assert first["labels"].dtype == jnp.int32
