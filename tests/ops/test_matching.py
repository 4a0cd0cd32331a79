from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxpose.ops.boxes import encode_offsets
from jaxpose.ops.default_boxes import default_boxes
from jaxpose.ops.matching import match, match_with_overlaps, usable

GOLDEN = Path(__file__).parent.parent / "golden" / "b_matching.npz"
CASES = ("rand8", "rand3", "single_large", "tiny4", "crowd20", "conflict3", "dup2")
# Compiled once for all golden cases.
PADDED = 20
NAN, INF = float("nan"), float("inf")


@pytest.fixture(scope="module")
def golden():
    with np.load(GOLDEN) as file:
        return dict(file)


def padded(boxes, rows=PADDED):
    valid = np.arange(rows) < len(boxes)
    out = np.full((rows, 4), NAN, np.float32)
    out[: len(boxes)] = boxes
    return out, valid


def slow_iou(boxes, defaults):
    """IoU [G, P] in float64; exact for the grid boxes of these tests."""
    boxes, defaults = boxes.astype(np.float64), defaults.astype(np.float64)
    low, high = defaults[:, :2] - defaults[:, 2:] / 2, defaults[:, :2] + defaults[:, 2:] / 2
    out = np.zeros((len(boxes), len(defaults)))
    for i, box in enumerate(boxes):
        for j in range(len(defaults)):
            side = (np.minimum(box[2:], high[j]) - np.maximum(box[:2], low[j])).clip(0)
            union = (box[2:] - box[:2]).prod() + defaults[j, 2:].prod() - side.prod()
            out[i, j] = side.prod() / union
    return out


def slow_caffe(iou, rows, threshold):
    """Caffe's two phases over the ground-truth `rows`, pair by pair."""
    matches = np.full(iou.shape[1], -1)
    pool = list(rows)
    while pool:
        best, pair = 1e-6, None
        for j in range(iou.shape[1]):
            for i in pool:
                if matches[j] < 0 and iou[i, j] > best:
                    best, pair = iou[i, j], (i, j)
        if pair is None:
            break
        pool.remove(pair[0])
        matches[pair[1]] = pair[0]
    return slow_threshold(matches, iou, rows, threshold, 1e-6)


def slow_torch(iou, rows, threshold):
    """Each ground truth's best default box is its own, the last one wins; then the threshold."""
    matches = np.full(iou.shape[1], -1)
    for i in rows:
        if iou[i].max() > 0:
            matches[iou[i].argmax()] = i
    return slow_threshold(matches, iou, rows, threshold, 0)


def slow_threshold(matches, iou, rows, threshold, floor):
    for j in np.flatnonzero(matches < 0):
        best = floor
        for i in rows:
            if iou[i, j] > best:
                best = iou[i, j]
                matches[j] = i if best >= threshold else -1
    return matches


@pytest.mark.parametrize("case", CASES)
def test_torch_equals_the_references(golden, case):
    get = {key: golden[f"{case}/{key}"] for key in ("gt_xyxy", "labels0", "match_torchvision")}
    priors = default_boxes(300, clip="cxcywh")
    found = np.asarray(match(*padded(get["gt_xyxy"]), priors, mode="torch"))
    np.testing.assert_array_equal(found, np.maximum(get["match_torchvision"], -1))
    labels = np.where(found >= 0, get["labels0"][found] + 1, 0)
    np.testing.assert_array_equal(labels, golden[f"{case}/conf_t_ssdpytorch"])
    np.testing.assert_array_equal(labels, golden[f"{case}/conf_t_lufficc"])
    positive = golden[f"{case}/pos_idx"]
    offsets = encode_offsets(get["gt_xyxy"][found[positive]], priors[positive])
    np.testing.assert_allclose(offsets, golden[f"{case}/loc_t_pos_ssdpytorch"], rtol=0, atol=1e-4)


@pytest.mark.parametrize("case", CASES)
def test_caffe_equals_the_reference(golden, case):
    """Cases tiny4 and dup2 hold ties, which the reference decides in float64."""
    found = match(*padded(golden[f"{case}/gt_xyxy"]), default_boxes(300, clip="cxcywh"))
    np.testing.assert_array_equal(found, golden[f"{case}/match_caffe_transcription"])


def test_the_two_modes_differ_in_the_golden_cases(golden):
    def differ(case):
        caffe, torch = (
            golden[f"{case}/match_{name}"] for name in ("caffe_transcription", "torchvision")
        )
        return np.count_nonzero(caffe != np.maximum(torch, -1))

    assert [differ(case) for case in ("rand8", "crowd20", "conflict3")] == [4, 1, 1]


def grid_boxes(rng, count, cells=32):
    """Boxes on a coarse grid: every area is exact, so ties are real and frequent."""
    low = rng.integers(0, cells - 4, (count, 2))
    high = np.minimum(low + rng.integers(1, cells // 2, (count, 2)), cells)
    return (np.concatenate([low, high], 1) / cells).astype(np.float32)


def grid_defaults(rng, count):
    boxes = grid_boxes(rng, count, 16)
    boxes[: count // 4] = boxes[count // 4 : 2 * (count // 4)]  # equal default boxes
    return np.concatenate([(boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]], 1)


@pytest.mark.parametrize(("mode", "twin"), [("caffe", slow_caffe), ("torch", slow_torch)])
def test_equals_a_loop_over_pairs(mode, twin):
    """200 cases: conflicts, equal boxes, more ground truth than default boxes, padding between."""
    rng = np.random.default_rng(0)
    images, rows, count = 200, 9, 22
    boxes = np.stack([grid_boxes(rng, rows) for _ in range(images)])
    boxes[::3, 4:7] = boxes[::3, :3]
    valid = rng.uniform(size=(images, rows)) < rng.uniform(0.2, 1.1, (images, 1))
    defaults = np.stack([grid_defaults(rng, count) for _ in range(images)])
    defaults[::5, 6:] = (2, 2, 0.5, 0.5)  # few in the image: some ground truth stays unmatched
    threshold = rng.choice([0.3, 0.5, 0.7], images).astype(np.float32)
    batched = jax.vmap(lambda *image: match_with_overlaps(*image, mode=mode))
    matches, best_iou = batched(boxes, valid, defaults, threshold)
    assert matches.dtype == jnp.int32
    for i in range(images):
        iou, kept = slow_iou(boxes[i], defaults[i]), np.flatnonzero(valid[i])
        np.testing.assert_array_equal(matches[i], twin(iou, kept, threshold[i]), f"case {i}")
        overlap = iou[kept].max(0) if len(kept) else np.zeros(count)
        np.testing.assert_allclose(best_iou[i], overlap, atol=1e-6)


def test_greedy_by_hand():
    """Two persons want one default box; a third reaches none of those that are left."""
    defaults = np.array([[0.25, 0.25, 0.5, 0.5], [0.75, 0.25, 0.5, 0.5], [0.25, 0.75, 0.5, 0.5]])
    boxes = np.array([[0, 0, 0.625, 0.5], [0, 0, 0.5, 0.5], [0, 0, 0.375, 0.375]])
    np.testing.assert_array_equal(match(boxes, np.ones(3), defaults), [1, 0, -1])
    np.testing.assert_array_equal(match(boxes, np.ones(3), defaults, mode="torch"), [2, -1, -1])
    # With the second one away the first has it.
    np.testing.assert_array_equal(match(boxes, np.array([1.0, 0, 1]), defaults), [0, -1, -1])


def test_threshold_is_inclusive_and_best_iou_leaves_an_ignored_band():
    defaults = np.array([[0.5, 0.5, 1, 1], [0.25, 0.5, 0.5, 1], [0.75, 0.75, 0.5, 0.5]])
    boxes, valid = np.array([[0.0, 0, 1, 1], [0] * 4, [0] * 4]), np.array([1.0, 0, 0])
    np.testing.assert_array_equal(match(boxes, valid, defaults, 0.5), [0, 0, -1])
    matches, best_iou = match_with_overlaps(boxes, valid, defaults, 0.7)
    np.testing.assert_array_equal(matches, [0, -1, -1])
    # The second box is no positive at 0.7 and no negative below 0.5 either.
    np.testing.assert_allclose(best_iou, [1, 0.5, 0.25])


@pytest.mark.parametrize(("side", "caffe", "torch"), [(2**-10, -1, 0), (2**-9, 0, 0)])
def test_negligible_overlap_matches_in_torch_mode_only(side, caffe, torch):
    """A box of IoU 2^-20 with the whole image, then one of 2^-18."""
    defaults = np.array([[0.5, 0.5, 1.0, 1.0], [5, 5, 1, 1], [5, 5, 1, 1]])
    boxes = np.array([[0.5, 0.5, 0.5 + side, 0.5 + side], [NAN] * 4, [NAN] * 4])
    valid = np.array([1.0, 0, 0])
    assert match(boxes, valid, defaults)[0] == caffe
    assert match(boxes, valid, defaults, mode="torch")[0] == torch


UNUSABLE = [
    [0.5, 0.5, 0.5, 0.9],  # zero area
    [0.4, 0.4, 0.4, 0.4],
    [0.8, 0.2, 0.3, 0.6],  # negative side
    [1.0, 0.2, 1.3, 0.6],  # outside, but default boxes reach there
    [0.2, -0.4, 0.5, 0.0],
    [NAN, 0.1, 0.5, 0.5],
    [NAN] * 4,
    [0.1, 0.1, INF, 0.5],
    [-INF, -INF, INF, INF],
    [3e38, 3e38, -3e38, -3e38],
]


@pytest.mark.parametrize("mode", ["caffe", "torch"])
def test_unusable_boxes_change_nothing(mode):
    good = np.array([[0.1, 0.1, 0.4, 0.5], [0.5, 0.4, 1.1, 0.9], [0.1, 0.2, 0.5, 0.6]], np.float32)
    defaults = default_boxes(300)[7942:]  # unclipped, from the third map on
    mixed = np.array(UNUSABLE[:5] + good[:2].tolist() + UNUSABLE[5:] + good[2:].tolist())
    alone, alone_iou = match_with_overlaps(*padded(good, 13), defaults, mode=mode)
    among, among_iou = match_with_overlaps(mixed, np.ones(13, bool), defaults, mode=mode)
    place = np.array([5, 6, 12, -1])
    np.testing.assert_array_equal(among, place[alone])
    np.testing.assert_array_equal(among_iou, alone_iou)
    assert set(np.unique(alone)) == {-1, 0, 1, 2}
    np.testing.assert_array_equal(usable(mixed, np.ones(13)), np.isin(np.arange(13), place))
    bad, bad_iou = match_with_overlaps(mixed, ~np.isin(np.arange(13), place), defaults, mode=mode)
    assert np.all(np.asarray(bad) == -1)
    assert np.all(np.asarray(bad_iou) == 0)


def test_without_ground_truth_rows():
    matches, best_iou = match_with_overlaps(np.zeros((0, 4)), np.zeros(0), default_boxes(300)[:50])
    assert np.all(np.asarray(matches) == -1)
    assert np.all(np.asarray(best_iou) == 0)


def test_full_size_with_200_equal_boxes():
    """Every box still gets a default box of its own."""
    boxes = np.tile(np.float32([0.2, 0.3, 0.6, 0.9]), (200, 1))
    found = np.asarray(match(boxes, np.ones(200, bool), default_boxes(512)))
    assert set(range(200)) <= set(found.tolist())
    # The rest above the threshold goes to the first of the equal boxes.
    assert np.all(np.bincount(found[found >= 0])[1:] == 1)


def test_no_gradient_flows():
    defaults = np.array([[0.25, 0.25, 0.5, 0.5], [0.75, 0.25, 0.5, 0.5], [0.25, 0.75, 0.5, 0.5]])
    boxes = jnp.array([[0.1, 0.1, 0.6, 0.7], [0.3, 0.2, 0.9, 0.9], [0, 0, 1, 1]])
    gradient = jax.grad(lambda x: match_with_overlaps(x, np.ones(3), defaults).best_iou.sum())
    np.testing.assert_array_equal(jax.jit(gradient)(boxes), np.zeros((3, 4)))


def test_unknown_mode():
    with pytest.raises(ValueError, match="mode 'Caffe' is not 'caffe' or 'torch'"):
        match(np.zeros((1, 4)), np.ones(1), default_boxes(300), mode="Caffe")
