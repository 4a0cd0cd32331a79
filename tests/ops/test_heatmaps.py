import math
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxpose.ops import affine
from jaxpose.ops import heatmaps as ops_heatmaps
from jaxpose.ops.heatmaps import flip_heatmaps, heatmap_to_input, input_to_heatmap
from jaxpose.skeletons import MPII

# Compiled whole: much faster than many small operations.
render_heatmaps = jax.jit(
    ops_heatmaps.render_heatmaps, static_argnames=("size", "sigma", "rounding")
)
decode_heatmaps = jax.jit(
    ops_heatmaps.decode_heatmaps, static_argnames=("quarter_offset", "at_borders")
)

GOLDEN = Path(__file__).parent.parent / "golden" / "h_heatmaps.npz"


@pytest.fixture(scope="module")
def golden():
    with np.load(GOLDEN) as file:
        return dict(file)


def slow_render(x, y, size, sigma):
    """One map by loops, after the description of `draw_labelmap`."""
    out = np.zeros(size)
    radius = int(3 * sigma + 0.5)
    left, top = int(x - radius), int(y - radius)
    for row in range(top, int(y + radius + 1)):
        for column in range(left, int(x + radius + 1)):
            if 0 <= row < size[0] and 0 <= column < size[1]:
                distance = (column - left - radius) ** 2 + (row - top - radius) ** 2
                out[row, column] = math.exp(-distance / (2 * sigma**2))
    return out


def slow_decode(heatmap):
    height, width = heatmap.shape
    y, x = divmod(int(heatmap.argmax()), width)
    score = heatmap[y, x]
    if not score > 0:
        return (-1.0, -1.0), score
    if not (0 < x < width - 1 and 0 < y < height - 1):
        return (x, y), score
    slope_x = heatmap[y, x + 1] - heatmap[y, x - 1]
    slope_y = heatmap[y + 1, x] - heatmap[y - 1, x]
    return (x + 0.25 * np.sign(slope_x), y + 0.25 * np.sign(slope_y)), score


@pytest.mark.parametrize("wide", [False, True])
def test_render_equals_the_reference(golden, wide):
    points = golden["hm_pts0based"].astype(np.float64 if wide else np.float32)
    with jax.enable_x64(wide):
        found = render_heatmaps(points[None], np.ones((1, len(points))), (64, 64))
    assert found.dtype == points.dtype
    expected = golden["hm_bearpaw"].transpose(1, 2, 0)
    np.testing.assert_allclose(found[0], expected, rtol=0, atol=1e-6)
    # The reference also counts a joint as visible whose patch only touches the map's border.
    assert not np.any(found[0, :, :, golden["hm_bearpaw_vis"] == 0])


@pytest.mark.parametrize("sigma", [1.0, 1.75, 2.0])
def test_render_equals_a_loop_over_pixels(sigma):
    points = np.random.default_rng(0).uniform(-8, 28, (3, 12, 2)).astype(np.float32)
    found = np.asarray(render_heatmaps(points, np.ones((3, 12)), (18, 22), sigma))
    for b in range(3):
        for k in range(12):
            expected = slow_render(*points[b, k].tolist(), (18, 22), sigma)
            np.testing.assert_allclose(found[b, :, :, k], expected, atol=1e-6)
    assert 0 < np.count_nonzero(found.max((1, 2))) < 36  # some are drawn, some lie outside


def test_render_by_hand():
    found = np.asarray(render_heatmaps(jnp.array([[[4.0, 1.0]]]), jnp.ones((1, 1)), (6, 9)))
    heatmap = found[0, :, :, 0]
    assert heatmap[1, 4] == 1
    np.testing.assert_allclose(heatmap[2, 5], math.exp(-1), rtol=1e-6)
    np.testing.assert_allclose(heatmap[4, 1], math.exp(-9), rtol=1e-5)
    assert np.count_nonzero(heatmap) == 5 * 7  # rows 0..4 (cut at the top), columns 1..7


def test_nearest_rounds_to_the_nearest_pixel_and_keeps_the_whole_patch():
    points = jnp.array([[[7.4, 7.6], [1.5, 0.4]]])
    found = np.asarray(render_heatmaps(points, jnp.ones((1, 2)), (16, 16), rounding="nearest"))
    assert found[0, 8, 7, 0] == 1 and np.count_nonzero(found[0, :, :, 0]) == 49
    assert found[0, 0, 2, 1] == 1 and np.count_nonzero(found[0, :, :, 1]) == 4 * 6


def test_unknown_rounding_is_refused():
    with pytest.raises(ValueError, match="floor"):
        render_heatmaps(jnp.zeros((1, 1, 2)), jnp.ones((1, 1)), (8, 8), rounding="floor")


def test_invalid_joints_stay_zero_whatever_their_point():
    points = jnp.array([[[jnp.nan, 3.0], [jnp.inf, -jnp.inf], [4.0, 4.0], [1e30, 4.0]]])
    found = render_heatmaps(points, jnp.array([[0, 0, 0, 1]]), (8, 8))
    np.testing.assert_array_equal(found, np.zeros((1, 8, 8, 4)))


def test_occluded_joints_are_drawn_like_visible_ones():
    points = jnp.full((1, 2, 2), 4.0)
    found = render_heatmaps(points, jnp.array([[1, 2]]), (8, 8))
    np.testing.assert_array_equal(found[..., 0], found[..., 1])
    assert found.max() == 1


def test_decode_equals_the_reference(golden):
    maps = golden["dec_heatmaps"].transpose(0, 2, 3, 1)
    whole, scores = decode_heatmaps(maps, quarter_offset=False)
    shifted, _ = decode_heatmaps(maps)
    np.testing.assert_array_equal(whole, golden["dec_get_preds_1based"] - 1)
    np.testing.assert_array_equal(shifted, golden["dec_hm_coords_before_transform"] - 1.5)
    np.testing.assert_array_equal(scores, golden["dec_heatmaps"].max((2, 3)))


def test_decoded_joints_in_the_image_equal_the_reference(golden):
    """`final_preds`: the reference adds half a pixel, inverts the crop at 64 px and truncates."""
    with jax.enable_x64(True):
        points, _ = decode_heatmaps(golden["dec_heatmaps"].transpose(0, 2, 3, 1))
        center, scale = golden["dec_center"].astype(float), golden["dec_scale"].astype(float)
        back = affine.invert(affine.crop_matrix(center, scale, 64))
        source = affine.transform_points(back, np.asarray(points, float) + 0.5)
    np.testing.assert_array_equal(np.trunc(source) + 1, golden["dec_final_preds"])


@pytest.mark.parametrize("shape", [(2, 7, 5, 6), (1, 1, 9, 4), (1, 2, 2, 5)])
def test_decode_equals_a_loop_over_maps(shape):
    maps = np.random.default_rng(1).normal(size=shape).round(1).astype(np.float32)
    maps[0, :, :, 0] -= 10
    points, scores = decode_heatmaps(maps)
    for b in range(shape[0]):
        for k in range(shape[3]):
            point, score = slow_decode(maps[b, :, :, k])
            np.testing.assert_array_equal(points[b, k], point)
            assert scores[b, k] == score


def test_no_quarter_offset_at_any_border():
    """On maps that rise towards the border pixel, and in the next row too."""
    pixels = [(0, 2), (4, 2), (2, 0), (2, 5), (1, 1), (3, 4)]  # (x, y) in a map of 5 x 6
    maps = np.random.default_rng(8).uniform(0.1, 0.9, (1, 6, 5, len(pixels))).astype(np.float32)
    for k, (x, y) in enumerate(pixels):
        maps[0, y, x, k] = 1
    points = np.asarray(decode_heatmaps(maps)[0][0])
    np.testing.assert_array_equal(points[:4], pixels[:4])
    np.testing.assert_array_equal(np.abs(points[4:] - pixels[4:]), np.full((2, 2), 0.25))


def test_quarter_offset_at_borders_points_outwards_or_along():
    """As princeton's port decodes: at a border the peak stands for its missing neighbour."""
    maps = np.zeros((1, 4, 5, 3), np.float32)
    maps[0, 1, 0, 0], maps[0, 2, 0, 0] = 1, 0.5  # left border, the map rises downwards
    maps[0, 3, 4, 1] = 1  # lower right corner
    maps[0, 1, 2, 2], maps[0, 1, 3, 2], maps[0, 0, 2, 2] = 1, 0.5, 0.5  # inside
    points = np.asarray(decode_heatmaps(maps, at_borders=True)[0][0])
    np.testing.assert_array_equal(points, [[-0.25, 1.25], [4.25, 3.25], [2.25, 0.75]])
    np.testing.assert_array_equal(decode_heatmaps(maps)[0][0], [[0, 1], [4, 3], [2.25, 0.75]])


def test_a_map_without_a_positive_value_decodes_to_minus_one():
    maps = np.zeros((1, 4, 4, 3), np.float32)
    maps[..., 1] = -2
    maps[0, 2, 2, 2] = np.nan
    points, scores = decode_heatmaps(maps)
    np.testing.assert_array_equal(points, np.full((1, 3, 2), -1))
    np.testing.assert_array_equal(scores[0, :2], [0, -2])
    assert np.isnan(scores[0, 2])


def test_rendered_joints_decode_to_their_nearest_pixel():
    points = np.random.default_rng(2).uniform(0, 31, (4, 16, 2)).astype(np.float32)
    maps = render_heatmaps(points, np.ones((4, 16)), (32, 32), rounding="nearest")
    whole, scores = decode_heatmaps(maps, quarter_offset=False)
    np.testing.assert_array_equal(whole, np.round(points))
    np.testing.assert_array_equal(scores, np.ones((4, 16)))
    interior = ((np.asarray(whole) > 0) & (np.asarray(whole) < 31)).all(-1)
    np.testing.assert_array_equal(decode_heatmaps(maps)[0][interior], whole[interior])


def test_quarter_offset_halves_the_error_on_smooth_maps():
    points = np.random.default_rng(3).uniform(3, 28, (1, 200, 2))
    grid = np.arange(32.0)
    rows = np.exp(-((grid[:, None] - points[0, :, 1]) ** 2) / 2)
    columns = np.exp(-((grid[:, None] - points[0, :, 0]) ** 2) / 2)
    maps = (rows[:, None] * columns[None])[None].astype(np.float32)
    error = np.abs(decode_heatmaps(maps)[0] - points)
    assert error.max() < 0.2501
    assert np.abs(decode_heatmaps(maps, quarter_offset=False)[0] - points).max() > 0.45


def test_flip_equals_the_reference(golden):
    maps = golden["dec_heatmaps"].transpose(0, 2, 3, 1)
    found = flip_heatmaps(maps, MPII.flip_order).transpose(0, 3, 1, 2)
    np.testing.assert_array_equal(found[:, :, ::8], golden["flip_back_mpii"])


def test_flip_twice_is_the_identity():
    maps = np.random.default_rng(4).normal(size=(2, 6, 9, 16)).astype(np.float32)
    once = flip_heatmaps(maps, MPII.flip_order)
    assert not np.array_equal(once, maps)
    np.testing.assert_array_equal(flip_heatmaps(once, MPII.flip_order), maps)


@pytest.mark.parametrize("width", [256, 192])
def test_maps_of_mirrored_points_are_the_mirrored_maps(width):
    """Input flip, alignment rule, rendering and map flip agree: the flip test adds like to like."""
    points = np.random.default_rng(5).uniform(-10, width + 10, (3, 16, 2)).astype(np.float32)
    mirrored = affine.transform_points(affine.flip_matrix(width), points)[:, MPII.flip_order]
    size, valid = (64, width // 4), np.ones((3, 16))
    maps = render_heatmaps(input_to_heatmap(points, 4), valid, size, rounding="nearest")
    flipped = render_heatmaps(input_to_heatmap(mirrored, 4), valid, size, rounding="nearest")
    np.testing.assert_allclose(flipped, flip_heatmaps(maps, MPII.flip_order), atol=1e-6)


def test_alignment_rule_by_hand_and_back():
    np.testing.assert_allclose(heatmap_to_input(np.array([0.0, 63.0]), 4), [1.5, 253.5])
    np.testing.assert_allclose(input_to_heatmap(np.array([-0.5, 255.5]), 4), [-0.5, 63.5])
    points = np.random.default_rng(6).uniform(-5, 70, (50, 2)).astype(np.float32)
    back = input_to_heatmap(heatmap_to_input(points, 4), 4)
    np.testing.assert_allclose(back, points, atol=1e-5)


def test_alignment_of_networks_that_cut_targets_to_whole_pixels():
    """pytorch-pose and princeton's port: (p + 0.5) * 4, in x and y or in one of them."""
    points = np.array([[0.0, 0.0], [10.25, 63.0]])
    np.testing.assert_allclose(heatmap_to_input(points, 4, 2.0), (points + 0.5) * 4)
    mixed = heatmap_to_input(points, 4, np.array([1.5, 2.0]))
    np.testing.assert_allclose(mixed, [[1.5, 2.0], [42.5, 254.0]])
    np.testing.assert_allclose(input_to_heatmap(mixed, 4, np.array([1.5, 2.0])), points)
    for rule in (heatmap_to_input, input_to_heatmap):
        np.testing.assert_array_equal(rule(points, 4, 1.5), rule(points, 4))


def test_gradients_through_rendering_are_finite():
    points = jnp.array([[[5.2, 4.9], [jnp.nan, 0.0]]])

    def total(points):
        return render_heatmaps(points, jnp.array([[1, 0]]), (10, 10)).sum()

    assert np.isfinite(jax.grad(total)(points)[0, 0]).all()
