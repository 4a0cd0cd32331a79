"""The detector's augmentation: boxes follow the pixels, fill has no rim, bad boxes stay out."""

from functools import partial

import cv2
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxpose.ops import affine
from jaxpose.tasks import detection_augment

CANVAS, SIZE, MEAN = 64, 48, (123.0, 117.0, 104.0)
OPTIONS = {
    "distort_probability": 0.5,
    "brightness": 32.0,
    "contrast": (0.5, 1.5),
    "saturation": (0.5, 1.5),
    "hue": 36.0,
    "zoom_out_probability": 0.5,
    "zoom_out": 4.0,
    "crop_probability": 1.0,
    "min_ious": (0.1, 0.3, 0.5, 0.7, 0.9, 0.0),
    "crop_scale": (0.3, 1.0),
    "crop_aspect": (0.5, 2.0),
    "crop_trials": 50,
    "flip_probability": 0.5,
    "use_difficult": True,
}
CALM = {"distort_probability": 0.0, "zoom_out_probability": 0.0, "crop_probability": 0.0}
CALM |= {"flip_probability": 0.0}


@jax.jit
def _augment(key, batch, chances):
    return detection_augment.augment(
        key, batch, options=OPTIONS | chances, size=SIZE, mean=MEAN, channels="rgb"
    )


def augment(seed, batch, **changed):
    """Probabilities are traced, so that all tests share one compiled function."""
    chances = {name: value for name, value in OPTIONS.items() if name.endswith("probability")}
    found = _augment(jax.random.key(seed), batch, chances | changed)
    return jax.tree.map(np.asarray, found)


@partial(jax.jit, static_argnames="channels")
def prepare(batch, channels="rgb"):
    return detection_augment.prepare(batch, SIZE, MEAN, channels)


window_truth = jax.jit(detection_augment.window_truth)


def photographs(colour=(30, 30, 30), rows=6, objects=3):
    """Photographs of 96 x 72 source px on canvases of 64 px, where they take 64 x 48."""
    image = np.zeros((rows, CANVAS, CANVAS, 3), np.uint8)
    image[:, :48] = colour
    return {
        "image": image,
        "matrix": np.tile(
            np.array([[2 / 3, 0, -1 / 6], [0, 2 / 3, -1 / 6]], np.float32), (rows, 1, 1)
        ),
        "valid": np.tile(np.array([0, 0, 64, 48], np.float32), (rows, 1)),
        "size": np.tile(np.array([96, 72], np.float32), (rows, 1)),
        "boxes": np.zeros((rows, objects, 4), np.float32),
        "labels": np.zeros((rows, objects), np.int32),
        "difficult": np.zeros((rows, objects), bool),
        "crowd": np.zeros((rows, objects), bool),
        "ignore": np.zeros((rows, 2, 4), np.float32),
        "mask": np.ones(rows, np.float32),
    }


def with_one_box(rows=6, seed=0):
    """One white box per photograph, on whole canvas pixels."""
    rng = np.random.default_rng(seed)
    batch = photographs(rows=rows)
    for row in range(rows):
        x1, y1 = rng.integers(2, 36), rng.integers(2, 24)
        x2, y2 = x1 + rng.integers(10, 26), y1 + rng.integers(10, 22)
        batch["image"][row, y1:y2, x1:x2] = 255
        batch["boxes"][row, 1] = np.array([x1, y1, x2, y2]) * 1.5
        batch["labels"][row, 1] = 7
    return batch


def white_extent(image):
    """Sub-pixel extent of the bright part: its mass along the brightest row and column."""
    bright = np.clip((image[..., 2] + MEAN[2] - 110) / 145, 0, 1)
    line, column = bright.max(0), bright.max(1)
    x, y = np.flatnonzero(line > 0.5), np.flatnonzero(column > 0.5)
    return np.array([x[0], y[0], x[-1] + 1, y[-1] + 1])


@pytest.mark.parametrize("flip", [0.0, 1.0])
@pytest.mark.parametrize("crop", [0.0, 1.0])
@pytest.mark.parametrize("zoom", [0.0, 1.0])
def test_boxes_follow_the_pixels(flip, crop, zoom):
    chances = {"flip_probability": flip, "crop_probability": crop, "zoom_out_probability": zoom}
    batch = with_one_box()
    for seed in range(3):
        found = augment(seed, batch, **(CALM | chances))
        assert (found["labels"] == [0, 7, 0]).all()  # a crop holds the only box's centre
        for image, boxes in zip(found["image"], found["boxes"], strict=True):
            np.testing.assert_array_equal(boxes[[0, 2]], 0)
            # An antialiased edge is half bright within a pixel; 0.5 more for thin remains.
            np.testing.assert_allclose(white_extent(image), boxes[1] * SIZE, atol=1.5)


def test_boxes_follow_the_pixels_to_a_tenth_of_a_pixel_where_nothing_moves():
    batch = with_one_box()
    found = augment(0, batch, **CALM)
    expected = batch["boxes"][:, 1] / [96, 72, 96, 72]
    np.testing.assert_allclose(found["boxes"][:, 1], expected, atol=1e-6)


def test_prepare_is_the_stretched_photograph():
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


def test_bgr_is_the_reverse_of_rgb():
    batch = with_one_box()
    batch["image"][:, :48, :, 0] //= 2
    pair = [np.asarray(prepare(batch, channels=order)[0]) for order in ("rgb", "bgr")]
    np.testing.assert_array_equal(pair[0], pair[1][..., ::-1])
    np.testing.assert_allclose(pair[0][0, 0, 0], np.array([15, 30, 30]) - MEAN, atol=1e-4)


def test_boxes_return_to_the_source():
    batch = with_one_box()
    fractions = augment(0, batch, **CALM)["boxes"]
    found = detection_augment.boxes_to_source(fractions, batch["size"])
    np.testing.assert_allclose(found, batch["boxes"], atol=1e-3)


def test_a_photograph_of_the_mean_vanishes_in_the_fill():
    batch = photographs(colour=MEAN)
    for seed in range(5):
        image = augment(seed, batch, distort_probability=0.0)["image"]
        assert np.abs(image).max() < 1  # rounding of the uint8 pyramid


def test_photographs_have_no_dark_rim():
    """A white photograph blends with the fill: nothing is darker than the fill."""
    batch = photographs(colour=(255, 255, 255))
    for seed in range(5):
        image = augment(seed, batch, distort_probability=0.0, zoom_out_probability=1.0)["image"]
        assert image.min() > -1 and (image <= 255 - np.array(MEAN) + 1e-2).all()
        assert (np.abs(image) < 1e-4).mean() > 0.2  # there is fill


def test_zoom_out_does_not_alias():
    batch = photographs()
    batch["image"][:, :48, ::2], batch["image"][:, :48, 1::2] = 255, 0
    found = augment(1, batch, **(CALM | {"zoom_out_probability": 1.0}))["image"]
    window = np.asarray(window_of(1, batch, **(CALM | {"zoom_out_probability": 1.0})))
    strong = (window[:, 2] - window[:, 0]) * CANVAS / SIZE > 2.2
    assert strong.sum() >= 2
    inside = (found[strong] > 15).any(-1) | (found[strong] < -15).any(-1)
    # Stripes of a pixel become grey, 127 against the mean's 123, 117, 104: a difference of 24.
    assert np.abs(found[strong][inside] - (127.5 - np.array(MEAN))).max() < 30


def window_of(seed, batch, **changed):
    key, _ = jax.random.split(jax.random.key(seed))

    def draw(key, batch):
        truth = detection_augment.photograph_truth(batch, use_difficult=True)
        return detection_augment.draw_window(key, truth, OPTIONS | changed)

    return jax.jit(draw)(key, batch)


def test_zoom_out_shows_the_photograph_anywhere_on_a_canvas_of_up_to_4():
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


def test_flip_mirrors_image_and_boxes():
    batch = with_one_box()
    plain = augment(5, batch, distort_probability=0.0, flip_probability=0.0)
    mirrored = augment(5, batch, distort_probability=0.0, flip_probability=1.0)
    np.testing.assert_allclose(mirrored["image"][:, :, ::-1], plain["image"], atol=0.1)
    back = mirrored["boxes"][:, 1][:, [2, 1, 0, 3]] * [-1, 1, -1, 1] + [1, 0, 1, 0]
    np.testing.assert_allclose(back, plain["boxes"][:, 1], atol=1e-5)


def random_truth(rng, rows, objects):
    low = rng.uniform(0, 0.8, (rows, objects, 2))
    boxes = np.concatenate([low, low + rng.uniform(0, 0.5, low.shape)], -1)
    ignore = np.concatenate([low, low + 0.1], -1)[:, :2]
    return detection_augment.Truth(
        np.clip(boxes, 0, 1).astype(np.float32),
        rng.integers(0, 4, (rows, objects)).astype(np.int32),
        ignore.astype(np.float32),
    )


def test_ground_truth_in_a_window_equals_a_loop():
    rng = np.random.default_rng(2)
    truth = random_truth(rng, 40, 5)
    low = rng.uniform(-0.5, 0.5, (40, 2))
    windows = np.concatenate([low, low + rng.uniform(0.3, 2, (40, 2))], -1).astype(np.float32)
    windows[::2] = windows[::2, [2, 1, 0, 3]]
    found = window_truth(truth, windows)
    for row, (left, top, right, bottom) in enumerate(windows):
        for index, (x1, y1, x2, y2) in enumerate(truth.boxes[row]):
            crop = min(left, right), top, max(left, right), bottom
            x, y = (x1 + x2) / 2, (y1 + y2) / 2
            kept = crop[0] <= x <= crop[2] and crop[1] <= y <= crop[3]
            kept = kept and truth.labels[row, index] > 0
            assert found.labels[row, index] == kept * truth.labels[row, index]
            clipped = np.clip([x1, x2], crop[0], crop[2]), np.clip([y1, y2], crop[1], crop[3])
            across = np.sort((clipped[0] - left) / (right - left))
            down = (clipped[1] - top) / (bottom - top)
            expected = [across[0], down[0], across[1], down[1]] if kept else np.zeros(4)
            np.testing.assert_allclose(found.boxes[row, index], expected, atol=1e-5)
    assert 0.2 < (np.asarray(found.labels) > 0).mean() < 0.7


def test_mirroring_twice_is_the_identity():
    truth = random_truth(np.random.default_rng(3), 20, 4)
    mirror = np.tile(np.array([1, 0, 0, 1], np.float32), (20, 1))
    once = window_truth(truth, mirror)
    twice = window_truth(once, mirror)
    kept = np.asarray(twice.labels) > 0
    np.testing.assert_array_equal(kept, (truth.labels > 0) & (twice.boxes.any(-1)))
    np.testing.assert_allclose(twice.boxes[kept], truth.boxes[kept], atol=1e-6)
    np.testing.assert_allclose(twice.ignore, truth.ignore, atol=1e-6)


def sorted_batch():
    """An object, a crowd, a difficult object and one ignore region in every photograph."""
    batch = photographs()
    batch["boxes"][:] = [[0, 0, 48, 36], [48, 36, 96, 72], [48, 0, 96, 36]]
    batch["labels"][:] = [1, 2, 3]
    batch["crowd"][:, 1] = batch["difficult"][:, 2] = True
    batch["ignore"][:, 1] = [0, 36, 24, 72]
    return batch


@pytest.mark.parametrize("use_difficult", [True, False])
def test_crowds_and_difficult_objects_are_ignored_not_background(use_difficult):
    truth = jax.jit(detection_augment.photograph_truth, static_argnums=1)
    found = truth(sorted_batch(), use_difficult)
    np.testing.assert_array_equal(found.labels[0], [1, 0, 3 * use_difficult])
    expected = np.zeros((5, 4))
    expected[1] = [0, 0.5, 0.25, 1]  # the batch's ignore regions come first
    expected[3] = [0.5, 0.5, 1, 1]
    expected[4] = np.array([0.5, 0, 1, 0.5]) * (not use_difficult)
    np.testing.assert_allclose(found.ignore[0], expected, atol=1e-6)


def test_ignore_regions_follow_the_window():
    still, moved = (augment(1, sorted_batch(), **chances) for chances in (CALM, {}))
    np.testing.assert_array_equal(still["labels"][0], [1, 0, 3])
    np.testing.assert_allclose(still["boxes"][0, 0], [0, 0, 0.5, 0.5], atol=1e-6)
    np.testing.assert_allclose(still["ignore"][0, 3], [0.5, 0.5, 1, 1], atol=1e-6)
    windows = window_of(1, sorted_batch())
    both = moved["ignore"][:, 3].any(-1)  # the crowd is below the difficult object, in the window
    both &= moved["labels"][:, 2] > 0
    assert both.sum() >= 2
    side = np.abs(np.asarray(windows)[:, 2] - np.asarray(windows)[:, 0])
    edges = moved["ignore"][both, 3][:, [0, 2]], moved["boxes"][both, 2][:, [0, 2]]
    np.testing.assert_allclose(*edges, atol=1e-5)
    assert (edges[0][:, 1] - edges[0][:, 0] <= 0.5 / side[both] + 1e-5).all()


def test_an_object_beyond_the_photograph_is_clipped_to_it():
    batch = photographs()
    batch["boxes"][:] = [[-48, -10, 48, 36], [48, 36, 200, 99], [100, 0, 130, 30]]
    batch["labels"][:] = 1
    found = augment(0, batch, **CALM)
    np.testing.assert_array_equal(found["labels"][0], [1, 1, 0])
    np.testing.assert_allclose(
        found["boxes"][0, :2], [[0, 0, 0.5, 0.5], [0.5, 0.5, 1, 1]], atol=1e-6
    )


def test_padding_rows_have_no_truth():
    batch = jax.tree.map(np.copy, sorted_batch())
    batch["mask"][:] = 0
    found = augment(0, batch)
    assert not found["labels"].any() and not found["boxes"].any() and not found["mask"].any()
    assert not found["ignore"][:, 2:].any()
    empty = jax.tree.map(np.zeros_like, batch)  # also no photograph at all
    found = augment(0, empty)
    assert all(np.isfinite(value).all() for value in found.values())
    assert not found["image"].any()
    assert np.isfinite(prepare(empty)[0]).all()


def test_bad_ground_truth_is_dropped_and_everything_stays_finite():
    rng = np.random.default_rng(4)
    batch = photographs(colour=(90, 160, 20), rows=12, objects=200)
    bad = np.array(
        [
            [10, 10, 10, 30], [10, 10, 30, 10], [5, 5, 5, 5], [30, 30, 10, 10],
            [500, 500, 600, 600], [-90, -90, -10, -10], [np.nan, 1, 2, 3], [1, 1, np.inf, 9],
            [-np.inf, -np.inf, np.inf, np.inf], [1, 1, 1 + 1e-6, 9], [0, 0, 1e-38, 1e-38],
        ], np.float32,
    )  # fmt: skip
    boxes = rng.uniform(-150, 250, (12, 200, 4)).astype(np.float32)
    boxes[:10, :, :] = bad[rng.integers(0, len(bad), (10, 200))]
    boxes[0, 0] = [-3e38, -3e38, 3e38, 3e38]  # finite, and its width is not
    batch["boxes"], batch["labels"][:11] = boxes, 1
    batch["crowd"], batch["difficult"] = rng.random((2, 12, 200)) < 0.2
    batch["ignore"][:] = bad[rng.integers(0, len(bad), (12, 2))]
    for seed in range(2):
        found = augment(seed, batch)
        assert all(np.isfinite(value).all() for value in found.values())
        assert found["boxes"].min() >= 0 and found["boxes"].max() <= 1
        assert found["ignore"].min() >= 0 and found["ignore"].max() <= 1
        side = found["boxes"][..., 2:] - found["boxes"][..., :2]
        labelled = found["labels"] > 0
        assert (side[labelled] >= 0.99e-4).all() and not side[~labelled].any()
        assert not labelled[1:10].any() and not labelled[11].any()
    assert labelled[10].any()


def test_augment_is_a_function_of_its_key():
    batch = with_one_box()
    first, again, other = augment(1, batch), augment(1, batch), augment(2, batch)
    jax.tree.map(np.testing.assert_array_equal, first, again)
    assert not np.array_equal(first["image"], other["image"])
    assert first["image"].dtype == first["boxes"].dtype == jnp.float32
    assert first["labels"].dtype == jnp.int32
