from fractions import Fraction
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxpose.ops import boxes as ops_boxes
from jaxpose.ops.default_boxes import default_boxes

# Compiled whole: much faster than many small operations.
area, intersection = jax.jit(ops_boxes.area), jax.jit(ops_boxes.intersection)
pairwise_iou, iou_remainder = jax.jit(ops_boxes.pairwise_iou), jax.jit(ops_boxes.iou_remainder)
to_cxcywh, to_xyxy = jax.jit(ops_boxes.to_cxcywh), jax.jit(ops_boxes.to_xyxy)
encode_offsets, decode_offsets = map(jax.jit, (ops_boxes.encode_offsets, ops_boxes.decode_offsets))

GOLDEN = Path(__file__).parent.parent / "golden" / "b_matching.npz"
NAN, INF = float("nan"), float("inf")


@pytest.fixture(scope="module")
def golden():
    with np.load(GOLDEN) as file:
        return dict(file)


def random_boxes(rng, *shape):
    low, size = rng.uniform(-0.2, 1, (*shape, 2)), rng.uniform(0.001, 0.7, (*shape, 2))
    return np.concatenate([low, low + size], -1).astype(np.float32)


def exact_iou(a, b):
    """IoU of two boxes in rational arithmetic."""
    a, b = [Fraction(float(x)) for x in a], [Fraction(float(x)) for x in b]
    width = max(min(a[2], b[2]) - max(a[0], b[0]), 0)
    height = max(min(a[3], b[3]) - max(a[1], b[1]), 0)
    union = sum((x[2] - x[0]) * (x[3] - x[1]) for x in (a, b)) - width * height
    return width * height / union


def test_area_and_intersection_by_hand():
    boxes = jnp.array([[0, 0, 4, 3], [2, 1, 6, 7], [5, 5, 5, 9], [3, 3, 1, 1], [NAN, 0, 4, 4]])
    np.testing.assert_array_equal(area(boxes), [12, 24, 0, 0, 0])
    np.testing.assert_array_equal(intersection(boxes, boxes[0]), [12, 4, 0, 0, 0])
    assert intersection(boxes[:, None], boxes[None])[1, 0] == 4


def test_iou_by_hand():
    a = jnp.array([[0, 0, 4, 3], [2, 1, 6, 7]])  # integers become float32
    b = jnp.array([[2, 1, 6, 7], [4, 0, 8, 3], [0, 0, 4, 3]])
    found = pairwise_iou(a, b)
    assert found.dtype == jnp.float32
    np.testing.assert_allclose(found, [[4 / 32, 0, 1], [1, 4 / 32, 4 / 32]], rtol=1e-6)


def test_iou_equals_rational_arithmetic_and_broadcasts():
    rng = np.random.default_rng(0)
    a, b = random_boxes(rng, 3, 6), random_boxes(rng, 3, 5)
    found = pairwise_iou(a, b)
    assert found.shape == (3, 6, 5)
    expected = [[[float(exact_iou(x, y)) for y in b[i]] for x in a[i]] for i in range(3)]
    np.testing.assert_allclose(found, expected, rtol=2e-6)
    assert 10 < np.count_nonzero(expected) < 90
    np.testing.assert_array_equal(found, pairwise_iou(b, a).swapaxes(1, 2))


def test_iou_rounds_each_operation():
    """As the references' float32 does: the compiler contracts no product with a sum."""
    rng = np.random.default_rng(1)
    a, b = random_boxes(rng, 40), random_boxes(rng, 400)
    common = np.minimum(a[:, None, 2:], b[:, 2:]) - np.maximum(a[:, None, :2], b[:, :2])
    common = common.clip(0).prod(-1)
    area_a, area_b = ((x[:, 2:] - x[:, :2]).prod(-1) for x in (a, b))
    expected = common / (area_a[:, None] + area_b - common)
    options = {"xla_backend_optimization_level": 2}  # tests run at 0, where it never does
    found = jax.jit(ops_boxes.pairwise_iou, compiler_options=options)(a, b)
    np.testing.assert_array_equal(found, expected)


def test_remainder_makes_iou_exact():
    rng = np.random.default_rng(2)
    a = random_boxes(rng, 60)
    b = a + rng.uniform(-0.1, 0.1, a.shape).astype(np.float32) * (a[:, 2:] - a[:, :2]).min()
    iou = np.asarray(pairwise_iou(a[:, None], b[:, None]))[:, 0, 0]
    near = iou + rng.uniform(-1e-6, 1e-6, 60).astype(np.float32)  # any value near it will do
    found = near.astype(np.float64) + np.asarray(iou_remainder(a, b, near), np.float64)
    expected = np.array([float(exact_iou(x, y)) for x, y in zip(a, b, strict=True)])
    assert expected.min() > 0.3
    assert abs(iou - expected).max() > 1e-8  # float32 is not enough
    np.testing.assert_allclose(found, expected, rtol=3e-10)


@jax.jit
def iou_gradient(boxes):
    return jax.grad(lambda x: ops_boxes.pairwise_iou(x, boxes).sum())(boxes)


@jax.jit
def encode_with_gradient(box):
    default = jnp.array([0.5, 0.5, 0.2, 0.2])
    return jax.value_and_grad(lambda x: ops_boxes.encode_offsets(x, default).sum())(box)


@pytest.mark.parametrize("bad", [[0.5] * 4, [0.6, 0.6, 0.4, 0.4], [0.2, 0.3, 0.2, 0.9]])
def test_empty_boxes_overlap_nothing_and_have_finite_gradients(bad):
    boxes = jnp.array([bad, [0.1, 0.1, 0.9, 0.9], bad])
    np.testing.assert_array_equal(pairwise_iou(boxes, boxes), np.diag([0, 1, 0]))
    assert np.isfinite(iou_gradient(boxes)).all()
    value, gradient = encode_with_gradient(boxes[0])
    assert np.isfinite(value)
    assert np.isfinite(gradient).all()


@pytest.mark.parametrize("bad", [NAN, INF, -INF, 3e38])
def test_iou_of_wild_boxes_is_a_number(bad):
    wild = [[0, 0, bad, 1], [bad, 0, 1, 1], [bad] * 4, [-bad, -bad, bad, bad]]
    both = np.array([*wild, [0, 0, 1, 1]], np.float32)
    iou = pairwise_iou(both, both)
    assert np.isfinite(iou).all()
    assert iou.min() >= 0
    assert iou.max() <= 1


def test_forms_are_inverse():
    boxes = random_boxes(np.random.default_rng(3), 2, 7)
    np.testing.assert_allclose(to_xyxy(to_cxcywh(boxes)), boxes, atol=1e-7)
    np.testing.assert_array_equal(to_cxcywh(jnp.array([1.0, 2, 5, 10])), [3, 6, 4, 8])


def test_encode_by_hand():
    default = jnp.array([0.5, 0.5, 0.2, 0.4])
    box = to_xyxy(jnp.array([0.52, 0.46, 0.2 * np.e, 0.4]))
    np.testing.assert_allclose(encode_offsets(box, default), [1, -1, 5, 0], atol=1e-5)


def test_encode_and_decode_equal_the_reference(golden):
    priors = default_boxes(300, clip="cxcywh")[golden["enc_prior_idx"]]
    found = encode_offsets(golden["enc_gt_xyxy"], priors)
    np.testing.assert_allclose(found, golden["enc_out"], rtol=0, atol=1e-4)
    found = decode_offsets(golden["dec_loc"], priors)
    np.testing.assert_allclose(found, golden["dec_out_xyxy"], rtol=0, atol=1e-5)


@pytest.mark.parametrize("wide", [False, True])
def test_decode_inverts_encode(wide):
    with jax.enable_x64(wide):
        rng = np.random.default_rng(4)
        boxes = jnp.asarray(random_boxes(rng, 3, 50), jnp.float64 if wide else jnp.float32)
        defaults = default_boxes(512, "coco")[rng.integers(0, 24564, 50)]
        offsets = encode_offsets(boxes, defaults)
        assert offsets.dtype == (jnp.float64 if wide else jnp.float32)
        found = decode_offsets(offsets, defaults)
        np.testing.assert_allclose(found, boxes, rtol=0, atol=1e-12 if wide else 1e-5)


def test_half_precision_is_widened():
    offsets = jnp.full((2, 4), 0.5, jnp.bfloat16)
    assert decode_offsets(offsets, default_boxes(300)[:2]).dtype == jnp.float32
    assert area(jnp.ones((1, 4), jnp.float16)).dtype == jnp.float32


def test_extremes_stay_finite():
    defaults = jnp.array([[0.5, 0.5, 0.0, 0.0], [0.5, 0.5, 1.0, 1.0]])
    boxes = jnp.array([[0.0, 0, 0, 0], [1e6, 1e6, -1e6, 2e6]])
    assert np.isfinite(encode_offsets(boxes, defaults)).all()
    offsets = jnp.array([[1e30] * 4, [-1e30] * 4])[:, None]
    assert np.isfinite(decode_offsets(offsets, defaults)).all()


def test_growth_of_decoded_sides_is_bounded_as_asked():
    defaults = np.array([[0.5, 0.5, 0.01, 0.02]], np.float32)
    offsets = np.array([[0, 0, 100, 5]], np.float32)
    found = np.asarray(ops_boxes.decode_offsets(offsets, defaults, np.log(1000 / 16)))[0]
    sides = (found[2] - found[0], found[3] - found[1])
    np.testing.assert_allclose(sides, (0.01 * 62.5, 0.02 * np.e), rtol=1e-6)
