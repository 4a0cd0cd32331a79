"""Confidence maps and affinity fields: loops over pixels, a port's golden arrays, flips, masks."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxpose.limbs import LimbSet, limbs_of
from jaxpose.ops import affine, heatmaps, part_maps
from jaxpose.ops.grouping import flip_fields
from jaxpose.skeletons import POSETRACK17

GOLDEN = np.load(Path(__file__).parents[1] / "golden" / "l_openpose_network.npz")
SIZE = (13, 17)
LIMBS = np.array([[0, 1], [1, 2], [3, 0]])


def people(seed, count=4, joints=4):
    """Random parts inside and around a map; some are absent, one of them at no place at all."""
    rng = np.random.default_rng(seed)
    points = rng.uniform(-4, 20, (2, count, joints, 2)).astype(np.float32)
    valid = rng.uniform(size=points.shape[:3]) < 0.8
    points[0, 0, 0], valid[0, 0, 0] = np.nan, False
    points[1, 1, 1], valid[1, 1] = points[1, 1, 0], True  # a limb without length
    return points, valid


def looped_maps(points, valid, sigma, merge):
    maps = np.zeros((len(points), *SIZE, points.shape[2]))
    for b, n, k in np.argwhere(valid):
        for y, x in np.ndindex(SIZE):
            exponent = (
                ((x - points[b, n, k, 0]) ** 2 + (y - points[b, n, k, 1]) ** 2) / 2 / sigma**2
            )
            value = np.exp(-exponent) if exponent <= 4.6052 else 0
            here = maps[b, y, x, k]
            maps[b, y, x, k] = max(here, value) if merge == "max" else min(1, here + value)
    return maps


@pytest.mark.parametrize("merge", ["max", "clipped_sum"])
def test_confidence_maps_equal_loops(merge):
    points, valid = people(0)
    found = part_maps.confidence_maps(jnp.array(points), jnp.array(valid), SIZE, 1.3, merge)
    np.testing.assert_allclose(found, looped_maps(points, valid, 1.3, merge), atol=1e-5)
    whole = part_maps.with_background(found)
    np.testing.assert_array_equal(whole[..., -1], 1 - np.asarray(found).max(-1))


def looped_fields(points, valid, width):
    fields = np.zeros((len(points), *SIZE, len(LIMBS), 2))
    count = np.zeros(fields.shape[:-1])
    for b, n, limb in np.ndindex(*points.shape[:2], len(LIMBS)):
        (start, end), there = (
            points[b, n, LIMBS[limb]].astype(float),
            valid[b, n, LIMBS[limb]].all(),
        )
        length = np.hypot(*(end - start))
        if not there or length == 0:
            continue
        unit = (end - start) / length
        low, high = np.minimum(start, end) - width, np.maximum(start, end) + width
        for y, x in np.ndindex(SIZE):
            away = abs((x - start[0]) * unit[1] - (y - start[1]) * unit[0])
            if away < width and (low <= (x, y)).all() and ((x, y) <= high).all():
                fields[b, y, x, limb] += unit
                count[b, y, x, limb] += 1
    return (fields / np.maximum(count, 1)[..., None]).reshape(*count.shape[:3], -1), count


def test_affinity_fields_equal_loops():
    points, valid = people(1, count=6)
    found, count = part_maps.affinity_fields(jnp.array(points), jnp.array(valid), LIMBS, SIZE, 1.2)
    fields, looped_count = looped_fields(points, valid, 1.2)
    np.testing.assert_array_equal(count, looped_count)
    np.testing.assert_allclose(found, fields, atol=1e-5)
    assert looped_count.max() >= 2, "limbs overlap somewhere"


def test_golden_maps():
    stride, sigma = int(GOLDEN["hm_stride"]), float(GOLDEN["hm_sigma"])
    points = heatmaps.input_to_heatmap(GOLDEN["hm_centers"].astype(np.float32), stride)
    valid = jnp.ones((1, len(points), 1))
    wanted, points = GOLDEN["hm_out"], points[None, :, None]
    found = part_maps.confidence_maps(points, valid, wanted.shape, sigma / stride, "clipped_sum")
    np.testing.assert_allclose(found[0, ..., 0], wanted, atol=2e-5)


def test_golden_fields():
    """The port has px 0 of the fields at 0, not at the centre of its 8 px."""
    stride = int(GOLDEN["hm_stride"])
    ends = np.stack([GOLDEN["paf_A"], GOLDEN["paf_B"]], 1)[None] / stride
    wanted = GOLDEN["paf_out"]
    found, count = part_maps.affinity_fields(
        jnp.array(ends, jnp.float32), jnp.ones(ends.shape[:3]), np.array([[0, 1]]),
        wanted.shape[:2], bounds="rounded",
    )  # fmt: skip
    np.testing.assert_array_equal(count[0, ..., 0], GOLDEN["paf_count"])
    np.testing.assert_allclose(found[0], wanted, atol=2e-5)


def test_targets_of_a_mirrored_image_are_mirrored_targets():
    rng = np.random.default_rng(2)
    points = jnp.array(rng.uniform(0, 12, (1, 3, 15, 2)), jnp.float32)
    valid = jnp.array(rng.uniform(size=(1, 3, 15)) < 0.9)
    hips = LimbSet(POSETRACK17.joints, (*limbs_of(POSETRACK17).pairs, ("right_hip", "left_hip")))
    order, flip = POSETRACK17.flip_order, hips.flip(POSETRACK17.flip_order)
    mirrored = affine.transform_points(affine.flip_matrix(SIZE[1]), points)[:, :, order]
    parts = [
        part_maps.confidence_maps(p, v, SIZE, 1.0)
        for p, v in ((points, valid), (mirrored, valid[..., order]))
    ]
    np.testing.assert_allclose(heatmaps.flip_heatmaps(parts[0], order), parts[1], atol=1e-5)
    fields = [
        part_maps.affinity_fields(p, v, hips.by_field, SIZE)[0]
        for p, v in ((points, valid), (mirrored, valid[..., order]))
    ]
    np.testing.assert_allclose(flip_fields(fields[0], *flip), fields[1], atol=1e-5)
    assert np.abs(fields[0]).max() > 0.9


def test_boxes_count_from_the_edges_of_pixels():
    grid = part_maps.pixel_grid((3, 4), jnp.float32)
    boxes = jnp.array([[[1.0, 0, 3, 2], [0, 0, 0, 0]], [[0, 0, 0, 0], [0, 0, 0, 0]]])
    inside = np.asarray(part_maps.in_boxes(jnp.stack([grid, grid]), boxes)).reshape(2, 3, 4)
    assert inside[0].astype(int).tolist() == [[0, 1, 1, 0], [0, 1, 1, 0], [0, 0, 0, 0]]
    assert not inside[1].any()


def test_unknown_words_are_refused():
    points, valid = (jnp.array(values) for values in people(3))
    with pytest.raises(ValueError, match="'max' or 'clipped_sum'"):
        part_maps.confidence_maps(points, valid, SIZE, 1.0, "mean")
    with pytest.raises(ValueError, match="'exact' or 'rounded'"):
        part_maps.affinity_fields(points, valid, LIMBS, SIZE, bounds="loose")


def test_nobody_gives_background_alone():
    points, none = jnp.zeros((1, 2, 4, 2)), jnp.zeros((1, 2, 4))
    maps = jax.jit(part_maps.confidence_maps, static_argnums=(2, 3))(points, none, SIZE, 1.0)
    assert part_maps.with_background(maps).sum() == np.prod(SIZE)
    assert not part_maps.affinity_fields(points, none, LIMBS, SIZE)[0].any()
