"""Ground truth under the detector's augmentation: what a window keeps, ignores and drops."""

import jax
import numpy as np
import pytest

from jaxpose.ops.default_boxes import default_boxes
from jaxpose.tasks import detection_augment
from jaxpose.tasks.detection_targets import assign_targets

CALM = {"distort_probability": 0.0, "zoom_out_probability": 0.0, "crop_probability": 0.0}
CALM |= {"flip_probability": 0.0}

window_truth = jax.jit(detection_augment.window_truth)


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


def test_regions_go_on_beyond_the_window():
    """Default boxes reach beyond it: those at its border lie in the region as those inside do."""
    whole = np.array([[[0, 0, 1, 1], [0, 0, 0.2, 0.2], [0, 0, 0, 0]]], np.float32)
    truth = detection_augment.Truth(whole[:, :0], np.zeros((1, 0), np.int32), whole)
    found = window_truth(truth, np.array([[0.4, 0.4, 0.6, 0.6]], np.float32))
    np.testing.assert_allclose(found.ignore[0], [[-2, -2, 3, 3], [0] * 4, [0] * 4], atol=1e-5)
    anchors = default_boxes(300)
    nothing = np.zeros((1, 4), np.float32), np.zeros(1, np.int32)
    assign = jax.jit(assign_targets)
    assert not assign(*nothing, found.ignore[0], anchors).candidates.any()
    assert assign(*nothing, np.clip(found.ignore[0], 0, 1), anchors).candidates.sum() > 400


@pytest.fixture
def sorted_batch(photographs):
    """An object, a crowd, a difficult object and one ignore region in every photograph."""

    def sorted_batch():
        batch = photographs()
        batch["boxes"][:] = [[0, 0, 48, 36], [48, 36, 96, 72], [48, 0, 96, 36]]
        batch["labels"][:] = [1, 2, 3]
        batch["crowd"][:, 1] = batch["difficult"][:, 2] = True
        batch["ignore"][:, 1] = [0, 36, 24, 72]
        return batch

    return sorted_batch


@pytest.mark.parametrize("use_difficult", [True, False])
def test_crowds_and_difficult_objects_are_ignored_not_background(sorted_batch, use_difficult):
    truth = jax.jit(detection_augment.photograph_truth, static_argnums=1)
    found = truth(sorted_batch(), use_difficult)
    np.testing.assert_array_equal(found.labels[0], [1, 0, 3 * use_difficult])
    expected = np.zeros((5, 4))
    expected[1] = [0, 0.5, 0.25, 1]  # the batch's ignore regions come first
    expected[3] = [0.5, 0.5, 1, 1]
    expected[4] = np.array([0.5, 0, 1, 0.5]) * (not use_difficult)
    np.testing.assert_allclose(found.ignore[0], expected, atol=1e-6)


def test_ignore_regions_follow_the_window(augment, window_of, sorted_batch):
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
    np.testing.assert_allclose(np.clip(edges[0], 0, 1), edges[1], atol=1e-5)
    assert (edges[0][:, 1] - edges[0][:, 0] <= 0.5 / side[both] + 1e-5).all()


def test_an_object_beyond_the_photograph_is_clipped_to_it(augment, photographs):
    batch = photographs()
    batch["boxes"][:] = [[-48, -10, 48, 36], [48, 36, 200, 99], [100, 0, 130, 30]]
    batch["labels"][:] = 1
    found = augment(0, batch, **CALM)
    np.testing.assert_array_equal(found["labels"][0], [1, 1, 0])
    np.testing.assert_allclose(
        found["boxes"][0, :2], [[0, 0, 0.5, 0.5], [0.5, 0.5, 1, 1]], atol=1e-6
    )


def test_padding_rows_have_no_truth(augment, prepare, sorted_batch):
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


def test_bad_ground_truth_is_dropped_and_everything_stays_finite(augment, photographs):
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
        low, high = found["ignore"][..., :2], found["ignore"][..., 2:]
        assert (low <= 1).all() and (high >= 0).all() and (low <= high).all()
        side = found["boxes"][..., 2:] - found["boxes"][..., :2]
        labelled = found["labels"] > 0
        assert (side[labelled] >= 0.99e-4).all() and not side[~labelled].any()
        assert not labelled[1:10].any() and not labelled[11].any()
    assert labelled[10].any()
