import math
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxpose.ops.default_boxes import default_boxes
from jaxpose.ops.matching import match
from jaxpose.tasks import multibox

GOLDEN = Path(__file__).parent.parent / "golden"
LOSS_CASES = {
    # torchvision counts positives twice where negatives run out; ssd.pytorch needs a box per image.
    "small_c21": ("ssdpytorch", "lufficc", "torchvision"),
    "small_c2_person": ("ssdpytorch", "lufficc", "torchvision"),
    "small_c2_noGT": ("lufficc", "torchvision"),
    "small_saturated": ("ssdpytorch", "lufficc"),
    "full_c2_person": ("ssdpytorch", "lufficc", "torchvision"),
    "full_c21": ("ssdpytorch", "lufficc", "torchvision"),
}

loss = jax.jit(multibox.multibox_loss)


@jax.jit
def loss_and_gradients(class_logits, offsets, labels, targets, candidates=None):
    def total(class_logits, offsets):
        parts = multibox.multibox_loss(
            class_logits, offsets, labels, targets, candidates=candidates
        )
        return sum(parts), parts

    gradients, parts = jax.grad(total, (0, 1), has_aux=True)(class_logits, offsets)
    return jnp.stack(parts), *gradients


def golden(file, case):
    with np.load(GOLDEN / file) as arrays:
        return {key.split("/")[1]: arrays[key] for key in arrays if key.startswith(f"{case}/")}


def random_outputs(seed, shape, classes, offset_scale):
    """The golden README's recipe."""
    rng = np.random.RandomState(seed)
    offsets = (rng.standard_normal((*shape, 4)) * offset_scale).astype(np.float32)
    return (rng.standard_normal((*shape, classes)) * 1.5).astype(np.float32), offsets


def loss_case(case):
    """(class_logits, offsets, labels, target offsets) and the golden values."""
    values = golden("c_multibox_loss.npz", case)
    truths = [values[f"gt{i}"] for i in range(sum(key.startswith("gt") for key in values))]
    if "conf" in values:
        priors, class_logits, offsets = (values[k] for k in ("priors_cxcywh", "conf", "loc"))
    else:
        priors = default_boxes(300, "voc", clip="cxcywh")
        shape = (len(truths), len(priors))
        class_logits, offsets = random_outputs(
            values["seed"], shape, int(values["num_classes"]), 0.8
        )
        np.testing.assert_allclose(offsets.sum(dtype=float), values["loc_checksum"], rtol=1e-9)
        np.testing.assert_allclose(
            class_logits.sum(dtype=float), values["conf_checksum"], rtol=1e-9
        )
    labels = np.zeros((len(truths), len(priors)), int)
    # NaN where there is no positive: those targets must not matter.
    targets = np.full((*labels.shape, 4), np.nan, np.float32)
    for truth, label, target in zip(truths, labels, targets, strict=True):
        padded = np.zeros((40, 4), np.float32)
        padded[: len(truth)] = truth[:, :4]
        index = np.asarray(match(padded, np.arange(40) < len(truth), priors, mode="torch"))
        taken, truth = index >= 0, truth[index[index >= 0]]
        label[taken] = truth[:, 4] + 1
        target[taken] = encoded(truth[:, :4], priors[taken])
    return (class_logits, offsets, labels, targets), values


def encoded(boxes, priors):
    center, size = (boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]
    shift = (center - priors[:, :2]) / (0.1 * priors[:, 2:])
    return np.concatenate([shift, np.log(size / priors[:, 2:]) / 0.2], 1)


@pytest.mark.parametrize("case", LOSS_CASES)
def test_loss_golden(case):
    inputs, values = loss_case(case)
    parts, grad_logits, grad_offsets = (np.asarray(x) for x in loss_and_gradients(*inputs))
    for reference in LOSS_CASES[case]:
        np.testing.assert_allclose(parts, values[f"loss_loc_conf_{reference}"], rtol=1e-5)
    for name, gradient in (("loc", grad_offsets), ("conf", grad_logits)):
        expected = np.zeros_like(gradient)
        if f"grad_{name}" in values:
            expected = values[f"grad_{name}"]
        else:
            expected[tuple(values[f"grad_{name}_rows"].T)] = values[f"grad_{name}_at_rows"]
        np.testing.assert_allclose(gradient, expected, rtol=0, atol=1e-6)
        np.testing.assert_array_equal((gradient != 0).any(-1), (expected != 0).any(-1))


def test_loss_by_hand():
    """One positive, so three negatives: losses log(1 + e^x) for background against logit x."""
    logits = np.zeros((1, 6, 2), np.float32)
    logits[0, :, 1] = [2, 5, -1, 4, 3, 0]
    labels = np.array([[1, 0, 0, 0, 0, 0]])
    offsets, targets = np.zeros((2, 1, 6, 4), np.float32)
    offsets[0, 0], offsets[0, 3] = [0.5, -1, 3, 0], [9, 9, 9, 9]

    def background(x):
        return math.log1p(math.exp(x))

    loc, conf = loss(logits, offsets, labels, targets)
    assert loc == 0.125 + 0.5 + 2.5
    expected = background(-2) + background(5) + background(4) + background(3)
    np.testing.assert_allclose(conf, expected, rtol=1e-6)
    _, conf = loss(logits, offsets, labels, targets, negative_ratio=1)
    np.testing.assert_allclose(conf, background(-2) + background(5), rtol=1e-6)
    # A default box on a crowd is no negative, and the next one takes its place.
    candidates = np.array([[True, False, True, True, True, True]])
    _, conf = loss(logits, offsets, labels, targets, candidates=candidates)
    expected = background(-2) + background(4) + background(3) + background(0)
    np.testing.assert_allclose(conf, expected, rtol=1e-6)
    only_one = np.arange(6)[None] == 2
    _, conf = loss(logits, offsets, labels, targets, candidates=only_one)
    np.testing.assert_allclose(conf, background(-2) + background(-1), rtol=1e-6)


def slow_loss(logits, offsets, labels, targets, candidates):
    """Loops in float64; only the number of negatives among equal losses is defined, not which."""
    loc = conf = 0.0
    logits, errors = logits.astype(float), np.abs(offsets.astype(float) - targets)
    losses = (
        np.log(np.exp(logits).sum(-1)) - np.take_along_axis(logits, labels[..., None], -1)[..., 0]
    )
    for row in range(len(labels)):
        positive = np.flatnonzero(labels[row] > 0)
        for d in errors[row, positive].ravel():
            loc += d * d / 2 if d < 1 else d - 0.5
        negative = np.sort(losses[row][(labels[row] == 0) & candidates[row]])[::-1]
        conf += losses[row, positive].sum() + negative[: 3 * len(positive)].sum()
    count = max(1, (labels > 0).sum())
    return loc / count, conf / count


@pytest.mark.parametrize("seed", range(6))
def test_loss_equals_loops(seed):
    """Logits of few values: many equal losses; 0 to 40 % positives, so negatives run out."""
    rng = np.random.default_rng(seed)
    logits = rng.integers(-2, 3, (5, 64, 4)).astype(np.float32)
    offsets, targets = rng.normal(size=(2, 5, 64, 4)).astype(np.float32)
    share = np.array([0, 0.02, 0.1, 0.2, 0.4])[:, None]
    labels = np.where(rng.random((5, 64)) < share, rng.integers(1, 4, (5, 64)), 0)
    candidates = rng.random((5, 64)) < rng.choice([0.2, 0.9, 1])
    found = loss(logits, offsets, labels, targets, candidates=candidates)
    np.testing.assert_allclose(found, slow_loss(logits, offsets, labels, targets, candidates), 1e-5)


def selected(logits, labels):
    """Default boxes whose logits have a gradient."""
    zeros = np.zeros((*labels.shape, 4), np.float32)
    return (np.asarray(loss_and_gradients(logits, zeros, labels, zeros)[1]) != 0).any(-1)


def test_equal_losses_do_not_change_the_number_of_negatives():
    labels = np.zeros((3, 64), int)
    labels[0, [5, 9]], labels[1, :20] = 1, 1
    found = selected(np.zeros((3, 64, 2), np.float32), labels)
    assert found.sum(1).tolist() == [2 + 6, 64, 0]
    assert np.flatnonzero(found[0]).tolist() == [0, 1, 2, 3, 4, 5, 6, 9]


def test_no_positives_at_all():
    zeros = np.zeros((3, 64, 4), np.float32)
    labels, nothing = np.zeros((3, 64), int), np.full_like(zeros, np.nan)
    parts, *gradients = loss_and_gradients(zeros[..., :2] + 3, zeros, labels, nothing)
    assert parts.tolist() == [0, 0]
    assert all(not np.any(gradient) for gradient in gradients)


def test_an_empty_image_changes_nothing():
    inputs, _ = loss_case("small_c2_person")
    padded = [np.concatenate([part, 0 * part[:1]]) for part in inputs[:3]]
    targets = np.concatenate([inputs[3], np.full_like(inputs[3][:1], np.nan)])
    np.testing.assert_allclose(loss(*padded, targets), loss(*inputs), rtol=1e-6)


@pytest.mark.parametrize("dtype", ["bfloat16", "float32"])
def test_extreme_outputs_stay_finite(dtype):
    """Nearly the largest numbers of the type, in the limits of a float32 sum."""
    rng = np.random.default_rng(0)
    large = min(float(jnp.finfo(dtype).max) / 4, 1e30)
    logits = jnp.asarray(rng.choice([-1.0, 0, 1], (3, 64, 2)) * large, dtype)
    offsets = jnp.asarray(rng.choice([-1.0, 0, 1], (3, 64, 4)) * large, dtype)
    labels = (rng.random((3, 64)) < 0.1).astype(int)
    parts, *gradients = loss_and_gradients(
        logits, offsets, labels, np.zeros((3, 64, 4), np.float32)
    )
    assert parts.dtype == jnp.float32 and np.isfinite(parts).all()
    for gradient in gradients:
        assert gradient.dtype == dtype and np.isfinite(np.asarray(gradient, np.float32)).all()


def test_nan_in_an_output_is_not_hidden():
    logits = np.zeros((3, 64, 2), np.float32)
    labels = np.zeros((3, 64), int)
    labels[:, 0] = 1
    logits[1, 50, 1] = np.nan
    zeros = np.zeros((3, 64, 4), np.float32)
    assert not np.isfinite(loss_and_gradients(logits, zeros, labels, zeros)[1]).all()
