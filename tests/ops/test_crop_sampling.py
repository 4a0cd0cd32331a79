"""IoU-constrained crops against loops over every candidate, as Caffe's sampler runs them."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxpose.ops import crop_sampling

CAFFE = {
    "min_ious": (0.1, 0.3, 0.5, 0.7, 0.9, 0.0),
    "crop_trials": 50,
    "crop_scale": (0.3, 1.0),
    "crop_aspect": (0.5, 2.0),
    "crop_probability": 1.0,
}
crop_candidates = jax.jit(
    crop_sampling.crop_candidates, static_argnames=("shape", "scale", "aspect")
)


def draw(options=None):
    return jax.jit(partial(crop_sampling.draw_crop, options=CAFFE | (options or {})))


draw_as_caffe = draw()


def is_whole(crops):
    return (np.asarray(crops) == [0, 0, 1, 1]).all(-1)


def slow_iou(a, b):
    low, high = np.maximum(a[:2], b[:2]), np.minimum(a[2:], b[2:])
    common = np.prod(np.maximum(high - low, 0))
    return common / (np.prod(a[2:] - a[:2]) + np.prod(b[2:] - b[:2]) - common)


def slow_center_inside(box, crop):
    x, y = (box[:2] + box[2:]) / 2
    return crop[0] <= x <= crop[2] and crop[1] <= y <= crop[3]


def random_boxes(rng, count, objects):
    corner = rng.uniform(0, 0.7, (count, objects, 2))
    side = rng.uniform(0.05, 0.8, (count, objects, 2))
    boxes = np.concatenate([corner, np.minimum(corner + side, 1)], -1)
    return boxes.astype(np.float32), rng.random((count, objects)) < 0.7


def test_candidates_lie_in_the_image_and_have_caffes_sizes():
    found = np.asarray(crop_candidates(jax.random.key(0), (100, 200), (0.3, 1.0), (0.5, 2.0)))
    assert found.shape == (100, 200, 4) and found.min() >= 0 and found.max() <= 1 + 1e-6
    side = found[..., 2:] - found[..., :2]
    scale, aspect = np.sqrt(side.prod(-1)), side[..., 0] / side[..., 1]
    assert 0.3 - 1e-4 <= scale.min() < 0.305 and 0.995 < scale.max() <= 1 + 1e-4
    assert abs(scale.mean() - 0.65) < 0.01  # uniform
    assert 0.5 - 1e-3 <= aspect.min() < 0.51 and 1.98 < aspect.max() <= 2 + 1e-3
    assert abs(aspect[scale < 0.7].mean() - 1.25) < 0.01  # uniform where not clipped
    assert (aspect >= scale**2 - 1e-3).all() and (aspect <= 1 / scale**2 + 1e-3).all()
    slack = 1 - side[..., 0]
    free = slack > 0.3
    assert abs((found[..., 0][free] / slack[free]).mean() - 0.5) < 0.01  # anywhere in it


@pytest.mark.parametrize("min_iou", [0.0, 0.4])
def test_the_first_valid_candidate_is_taken(min_iou):
    """A loop over the same candidates in their order finds the same crop, or none."""
    boxes, real = random_boxes(np.random.default_rng(1), 60, 2)
    key = jax.random.key(2)
    shape = (60, 1, 50)
    drawn = crop_candidates(jax.random.split(key)[0], shape, (0.3, 1.0), (0.5, 2.0))
    expected = []
    for row in range(60):
        objects = [box for box, is_real in zip(boxes[row], real[row], strict=True) if is_real]
        valid = [
            crop
            for crop in np.asarray(drawn)[row, 0]
            if any(slow_iou(crop, box) >= min_iou for box in objects)
            and any(slow_center_inside(box, crop) for box in objects)
        ]
        expected.append(valid[0] if valid else np.full(4, np.nan))
    found = np.asarray(draw({"min_ious": (min_iou,)})(key, boxes, real))
    cropped = ~is_whole(found)
    np.testing.assert_allclose(found[cropped], np.stack(expected)[cropped], atol=1e-6)
    nothing = np.isnan(expected).any(-1)
    assert nothing.any() and (is_whole(found) >= nothing).all()
    # Half of the images with a valid candidate stay whole: that sampler is picked as often.
    assert 5 <= cropped.sum() <= (~nothing).sum() - 5


def test_a_crop_holds_a_center_under_caffes_samplers():
    boxes, real = random_boxes(np.random.default_rng(3), 500, 4)
    found = np.asarray(draw_as_caffe(jax.random.key(4), boxes, real))
    for crop, row, is_real in zip(found, boxes, real, strict=True):
        objects = row[is_real]
        assert (crop == [0, 0, 1, 1]).all() or any(slow_center_inside(b, crop) for b in objects)
    assert 0.1 < is_whole(found).mean() < 0.4
    assert is_whole(found[~real.any(-1)]).all()


def test_samplers_that_found_a_crop_are_picked_alike():
    count = 4000
    boxes = np.tile(np.array([[0.3, 0.3, 0.7, 0.7]], np.float32), (count, 1, 1))
    real = np.ones((count, 1), bool)
    three = draw({"min_ious": (0.0, 0.0, 0.99), "crop_trials": 25})
    found = np.asarray(three(jax.random.key(5), boxes, real))
    assert abs(is_whole(found).mean() - 1 / 3) < 0.03  # two found, one never does, and whole
    overlaps = np.array([slow_iou(crop, boxes[0, 0]) for crop in found[~is_whole(found)]])
    assert overlaps.max() < 0.99 and overlaps.min() < 0.3


def test_padding_boxes_do_not_count():
    boxes = np.tile(np.array([[0.1, 0.1, 0.2, 0.2], [0, 0, 0, 0]], np.float32), (300, 1, 1))
    real = np.tile([True, False], (300, 1))
    with_padding = draw_as_caffe(jax.random.key(6), boxes, real)
    wild = boxes.copy()
    wild[:, 1] = [0.4, 0.4, 0.9, 0.9]
    np.testing.assert_array_equal(with_padding, draw_as_caffe(jax.random.key(6), wild, real))
    none = draw_as_caffe(jax.random.key(6), wild, np.zeros_like(real))
    assert is_whole(none).all()


def test_no_crop_where_none_is_asked_for():
    boxes, real = random_boxes(np.random.default_rng(7), 50, 2)
    assert is_whole(draw({"crop_probability": 0.0})(jax.random.key(0), boxes, real)).all()
    assert is_whole(draw({"min_ious": ()})(jax.random.key(0), boxes, real)).all()


def test_no_room_for_boxes_is_no_error():
    found = draw_as_caffe(jax.random.key(0), jnp.zeros((3, 0, 4)), jnp.zeros((3, 0), bool))
    assert is_whole(found).all()
