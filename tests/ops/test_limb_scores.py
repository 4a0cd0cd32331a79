import jax
import numpy as np
import pytest

from jaxpose.ops import limb_scores as ops

STATIC = ("samples", "sample_threshold", "sample_share", "long_limb")
limb_scores = jax.jit(ops.limb_scores, static_argnames=STATIC)
LIMBS = np.array([[0, 1]])


def score(fields, start, end, height=100, **options):
    """Of one limb between one peak of each part; fields [H, W, 2]."""
    points = np.array([[[start], [end]]], np.float32)
    found = limb_scores(
        np.moveaxis(np.asarray(fields, np.float32), -1, 0)[None], points,
        np.ones((1, 2, 1), bool), LIMBS, np.array([height]), **options,
    )  # fmt: skip
    assert found.shape == (1, 1, 1, 1)
    return float(found[0, 0, 0, 0])


def constant(x, y, size=(40, 40)):
    return np.tile(np.array([x, y], np.float32), (*size, 1))


def test_a_limb_along_the_field_scores_its_length():
    assert score(constant(0.8, 0), (3, 5), (30, 5)) == pytest.approx(0.8, abs=1e-6)
    assert score(constant(0.8, 0), (30, 5), (3, 5)) == 0  # against it
    assert score(constant(0.8, 0), (5, 3), (5, 30)) == 0  # across
    assert score(constant(0.6, 0.8), (1, 1), (19, 25)) == pytest.approx(1, abs=1e-6)


def test_long_limbs_cost():
    # Half the height is free; here 27 px are 3 / 4 of 36.
    assert score(constant(1, 0), (3, 5), (30, 5), height=54) == pytest.approx(1, abs=1e-6)
    assert score(constant(1, 0), (3, 5), (30, 5), height=36) == pytest.approx(2 / 3, abs=1e-6)
    assert score(constant(1, 0), (3, 5), (30, 5), height=36, long_limb=0.75) == pytest.approx(1)
    assert score(constant(0.3, 0), (3, 5), (30, 5), height=36) == 0  # 0.3 - 1 / 3


def test_more_than_the_share_of_samples_must_agree():
    fields = constant(1, 0)
    fields[5, 3], fields[5, 30] = 0.05, 0.0  # the first and the last of ten samples
    assert score(fields, (3, 5), (30, 5)) == 0
    assert score(fields, (3, 5), (30, 5), sample_share=0.7) == pytest.approx(0.805, abs=1e-6)
    fields[5, 3] = 0.06
    assert score(fields, (3, 5), (30, 5)) == pytest.approx(0.806, abs=1e-6)
    assert score(fields, (3, 5), (30, 5), sample_threshold=0.1) == 0


def test_samples_are_the_nearest_pixels():
    fields = constant(0, 0, (4, 40))
    fields[2] = 1, 0
    assert score(fields, (0, 2.4), (36, 1.6)) == pytest.approx(0.9997, abs=1e-3)
    assert score(fields, (0, 3.4), (36, 3.4)) == 0


def test_peaks_in_one_place_or_not_there_make_no_limb():
    assert score(constant(1, 1), (7, 7), (7, 7)) == 0
    valid = np.array([[[True, False], [False, True]]])
    points = np.array([[[[3, 5], [3, 6]], [[30, 5], [30, 6]]]], np.float32)
    fields = np.moveaxis(constant(1, 0), -1, 0)[None]
    found = np.asarray(limb_scores(fields, points, valid, LIMBS, np.array([100])))
    assert found.shape == (1, 1, 2, 2) and np.argwhere(found).tolist() == [[0, 0, 0, 1]]


def test_every_limb_has_its_own_field():
    fields = np.zeros((2, 4, 8, 8), np.float32)  # two frames, limbs 0-1 and 1-0
    fields[0, 0], fields[1, 2] = 0.5, -0.7
    points = np.tile(np.array([[[1, 4]], [[6, 4]]], np.float32), (2, 1, 1, 1))
    limbs = np.array([[0, 1], [1, 0]])
    found = limb_scores(fields, points, np.ones((2, 2, 1), bool), limbs, np.array([100, 100]))
    np.testing.assert_allclose(np.asarray(found).ravel(), [0.5, 0, 0, 0.7], atol=1e-6)
