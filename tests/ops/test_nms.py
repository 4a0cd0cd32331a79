from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxpose.ops import nms as ops_nms

GOLDEN = Path(__file__).parent.parent / "golden" / "d_nms_detection.npz"
THRESHOLDS = (0.3, 0.45, 0.5, 0.6, 0.7)
COUNT = 48

nms = jax.jit(ops_nms.nms, static_argnames=("max_outputs", "top_k"))


def slow_iou(boxes):
    """IoU [N, N] of whole-pixel boxes: areas are exact and the quotient is correctly rounded."""
    side = np.minimum(boxes[:, None, 2:], boxes[:, 2:]) - np.maximum(
        boxes[:, None, :2], boxes[:, :2]
    )
    common = np.prod(np.maximum(side, 0), -1)
    area = np.prod(boxes[:, 2:] - boxes[:, :2], -1)
    union = area[:, None] + area - common
    return np.divide(common, union, out=np.zeros_like(common), where=union > 0)


def slow_nms(boxes, scores, threshold):
    """The sequential algorithm."""
    suppresses = (slow_iou(boxes) > np.float32(threshold)).tolist()
    kept = []
    for i in np.argsort(-scores, kind="stable").tolist():
        if not any(suppresses[k][i] for k in kept):
            kept.append(i)
    return kept


def scattered(rng):
    low = rng.integers(0, 60, (COUNT, 2))
    return np.concatenate([low, low + rng.integers(1, 60, (COUNT, 2))], 1)


def clusters(rng):
    """A few places, many near copies of each: most pairs overlap."""
    low = rng.integers(0, 200, (4, 2))[rng.integers(0, 4, COUNT)] + rng.integers(-4, 5, (COUNT, 2))
    return np.concatenate([low, low + rng.integers(15, 30, (COUNT, 2))], 1)


def tiny_grid(rng):
    """Sides up to 5: many duplicates, and IoUs of exactly 0.3, 0.5, 0.6."""
    low = rng.integers(0, 4, (COUNT, 2))
    return np.concatenate([low, low + rng.integers(0, 6, (COUNT, 2))], 1)


def chain(rng):
    """Each box overlaps the next one or two: who stays depends on all the better ones."""
    left = 40 * np.arange(COUNT) // rng.integers(3, 7) + 100
    return np.stack([left, 0 * left, left + 40, 0 * left + 20], 1)


def cases(per_threshold):
    """(boxes, scores, threshold), stacked: all kinds of boxes and of scores at each threshold."""
    rng = np.random.default_rng(0)
    found = []
    for threshold in THRESHOLDS:
        for n in range(per_threshold):
            boxes = (scattered, clusters, tiny_grid, chain)[n % 4](rng)
            scores = rng.permutation(COUNT) / COUNT
            if n % 3 == 1:
                scores = np.sort(scores)[::-1]  # along the chain, its longest form
            if n % 3 == 2:
                scores = np.floor(scores * rng.integers(1, 9))  # equal scores
            found.append((boxes.astype(np.float32), scores.astype(np.float32), threshold))
    boxes, scores, thresholds = zip(*found, strict=True)
    return np.stack(boxes), np.stack(scores), np.array(thresholds, np.float32)


def unpad(kept):
    """Indices without their padding, which must be at the end."""
    kept = np.asarray(kept)
    count = np.count_nonzero(kept >= 0)
    assert (kept[:count] >= 0).all() and (kept[count:] == -1).all()
    return kept[:count].tolist()


def longest_chain(boxes, scores, threshold):
    """Length of the longest run of boxes, each overlapped by the better one before it."""
    order = np.argsort(-scores, kind="stable")
    overlaps = np.triu(slow_iou(boxes[order]) > threshold, 1)
    depth = np.zeros(len(order), int)
    for i in range(len(order)):
        depth[i] = 1 + max(depth[overlaps[:, i]], default=0)
    return depth.max()


@pytest.fixture(scope="module")
def thousand():
    """1,000 cases with the twin's answers."""
    boxes, scores, thresholds = cases(200)
    expected = [slow_nms(*case) for case in zip(boxes, scores, thresholds, strict=True)]
    return boxes, scores, thresholds, expected


def test_a_thousand_cases_equal_the_sequential_algorithm(thousand):
    boxes, scores, thresholds, expected = thousand
    run = jax.jit(jax.vmap(lambda b, s, t: ops_nms.nms(b, s, t, max_outputs=COUNT)))
    found = [unpad(kept) for kept in run(boxes, scores, thresholds)]
    assert found == expected
    # The cases are worth something: long chains, exact ties with the threshold, all outcomes.
    assert longest_chain(boxes[7], scores[7], thresholds[7]) > 40
    exact = [(slow_iou(b) == t).any() for b, t in zip(boxes, thresholds, strict=True)]
    assert sum(exact) > 200
    assert len({len(kept) for kept in expected}) > 30


@pytest.mark.parametrize("max_outputs", [COUNT, 5])
def test_many_blocks_give_the_same_as_one(thousand, monkeypatch, max_outputs):
    monkeypatch.setattr(ops_nms, "_BLOCK", 8)
    boxes, scores, thresholds, expected = (part[::10] for part in thousand)
    run = jax.jit(jax.vmap(lambda b, s, t: ops_nms.nms(b, s, t, max_outputs)))
    found = [unpad(kept) for kept in run(boxes, scores, thresholds)]
    assert found == [kept[:max_outputs] for kept in expected]


def test_top_k_leaves_the_others_out(thousand, monkeypatch):
    monkeypatch.setattr(ops_nms, "_BLOCK", 8)
    boxes, scores, thresholds, _ = (part[::20] for part in thousand)
    run = jax.jit(jax.vmap(lambda b, s, t: ops_nms.nms(b, s, t, COUNT, top_k=20)))
    for kept, b, s, t in zip(
        run(boxes, scores, thresholds), boxes, scores, thresholds, strict=True
    ):
        best = np.argsort(-s, kind="stable")[:20]
        assert unpad(kept) == [best[k] for k in slow_nms(b[best], s[best], t)]


@pytest.mark.parametrize(
    ("case", "top_k"),
    [("n60", None), ("n300", None), ("n1000", None), ("n1000", 200), ("n1000", 400)],
)
def test_golden(case, top_k):
    with np.load(GOLDEN) as file:
        boxes, scores = file[f"{case}/boxes"], file[f"{case}/scores"]
        expected = file[f"{case}/keep_{f'top{top_k}' if top_k else 'all'}"]
    assert unpad(nms(boxes, scores, max_outputs=400, top_k=top_k)) == expected.tolist()


def test_by_hand():
    boxes = np.array([[0, 0, 10, 10], [0, 0, 10, 9], [0, 0, 10, 5], [20, 0, 30, 10]], np.float32)
    scores = np.array([0.5, 0.9, 0.5, 0.1], np.float32)
    # IoU with box 1: 0.9, -, 5/9, 0. Box 2 and box 0: exactly 0.5, which does not suppress.
    assert nms(boxes, scores, 0.5, max_outputs=5).tolist() == [1, 3, -1, -1, -1]
    assert nms(boxes, scores, 0.6, max_outputs=5).tolist() == [1, 2, 3, -1, -1]
    assert nms(boxes, scores, 0.9, max_outputs=5).tolist() == [1, 0, 2, 3, -1]
    assert nms(boxes[[0, 2]], scores[[0, 2]], 0.5, max_outputs=2).tolist() == [0, 1]
    assert nms(boxes[[0, 2]], scores[[0, 2]], 0.49, max_outputs=2).tolist() == [0, -1]
    assert nms(boxes, scores, 0.9, max_outputs=2).tolist() == [1, 0]


@pytest.mark.parametrize("block", [16, 512])
def test_padding_changes_nothing(thousand, monkeypatch, block):
    monkeypatch.setattr(ops_nms, "_BLOCK", block)
    run = jax.jit(jax.vmap(lambda b, s, t, v: ops_nms.nms(b, s, t, COUNT, v)))
    boxes, scores, thresholds, expected = (part[::25] for part in thousand)
    rng = np.random.default_rng(1)
    places = np.stack([rng.permutation(COUNT + 20) for _ in boxes])
    pad_boxes = np.broadcast_to(np.float32([0, 0, 1000, 1000]), (len(boxes), 20, 4)).copy()
    pad_scores = np.full((len(boxes), 20), 1e9, np.float32)
    valid = np.ones(places.shape, bool)
    valid[:, COUNT : COUNT + 8] = False
    pad_scores[:, 8:10], pad_scores[:, 10:12] = np.nan, -np.inf
    pad_boxes[:, 12:15, 1], pad_boxes[:, 15:17, 2], pad_boxes[:, 17:, 0] = np.nan, np.inf, -np.inf
    # Equal scores go by index, so the real boxes keep their order among the padding.
    real = np.sort(np.argsort(places, 1)[:, :COUNT], 1)
    rest = np.stack([np.setdiff1d(np.arange(COUNT + 20), row) for row in real])
    into = np.concatenate([real, rest], 1)
    padded = [np.concatenate(pair, 1) for pair in ((boxes, pad_boxes), (scores, pad_scores))]
    padded = [_moved(part, into) for part in (*padded, valid)]
    found = run(padded[0], padded[1], thresholds, padded[2])
    for kept, row, answer in zip(found, real, expected, strict=True):
        assert unpad(kept) == row[answer].tolist()


def _moved(rows, into):
    out = np.empty_like(rows)
    for result, row, place in zip(out, rows, into, strict=True):
        result[place] = row
    return out


def test_thousands_of_boxes():
    """More than a block: what is kept does not overlap, what is not kept overlaps a better one."""
    rng = np.random.default_rng(2)
    low = rng.integers(0, 250, (1500, 2))
    boxes = np.concatenate([low, low + rng.integers(10, 50, (1500, 2))], 1).astype(np.float32)
    scores = rng.integers(0, 400, 1500).astype(np.float32)
    kept = unpad(nms(boxes, scores, 0.45, max_outputs=1500))
    assert 500 < len(kept) < 1400
    rank = np.empty(1500, int)
    rank[np.argsort(-scores, kind="stable")] = np.arange(1500)
    assert (np.diff(rank[kept]) > 0).all()
    overlaps = slow_iou(boxes)[:, kept] > np.float32(0.45)
    suppressed = (overlaps & (rank[kept] < rank[:, None])).any(1)
    np.testing.assert_array_equal(np.flatnonzero(~suppressed), np.sort(kept))
    assert unpad(nms(boxes, scores, 0.45, max_outputs=200)) == kept[:200]


def test_nothing_to_keep():
    assert nms(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), max_outputs=3).tolist() == [
        -1, -1, -1]  # fmt: skip
    for count in (9, 600):
        boxes = np.ones((count, 4), np.float32)
        for score in (np.nan, -np.inf):
            assert unpad(nms(boxes, np.full(count, score, np.float32))) == []


def test_boxes_without_area_stay():
    boxes = jnp.array([[5, 5, 5, 5], [5, 5, 5, 5], [0, 0, 10, 10], [3, 0, 3, 10]], jnp.float32)
    assert unpad(nms(boxes, jnp.array([0.9, 0.8, 0.7, 0.6]))) == [0, 1, 2, 3]


def test_scale_does_not_matter_and_whole_numbers_are_accepted(thousand):
    boxes, scores, thresholds, expected = (part[::50] for part in thousand)
    for b, s, t, answer in zip(boxes, scores, thresholds, expected, strict=True):
        assert unpad(nms(b / 256, s, t, max_outputs=COUNT)) == answer
        assert unpad(nms(b.astype(np.int32), s.astype(np.float64), t, max_outputs=COUNT)) == answer
