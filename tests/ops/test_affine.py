from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxpose.ops import affine

# Compiled whole: much faster than many small operations.
crop_matrix = jax.jit(affine.crop_matrix, static_argnames="resolution")
compose, invert = jax.jit(affine.compose), jax.jit(affine.invert)
transform_points = jax.jit(affine.transform_points)

GOLDEN = Path(__file__).parent.parent / "golden" / "g_pose_geometry.npz"


@pytest.fixture(scope="module")
def golden():
    with np.load(GOLDEN) as file:
        return dict(file)


def golden_matrices(golden):
    names = ("tf_center", "tf_scale", "tf_res", "tf_rot")
    rows = zip(*(golden[name] for name in names), strict=True)
    return np.stack([crop_matrix(c, s, int(res), rot) for c, s, res, rot in rows])


def test_crop_matrix_equals_the_reference(golden):
    with jax.enable_x64(True):
        found = golden_matrices(golden)
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, golden["tf_matrix"][:, :2], rtol=0, atol=1e-6)


def test_crop_matrix_in_float32_is_good_to_a_thousandth_of_a_pixel(golden):
    found = golden_matrices(golden)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, golden["tf_matrix"][:, :2], rtol=1e-6, atol=1e-3)


def test_transform_points_equals_the_reference(golden):
    matrices, points = golden["tf_matrix"][:, :2], golden["tf_pts"]
    with jax.enable_x64(True):
        found = transform_points(matrices, points)
        one_based = transform_points(matrices, points - 1)
    np.testing.assert_allclose(found, golden["tf_pts_matrix_float"], rtol=0, atol=1e-6)
    truncated = np.trunc(one_based).astype(int) + 1
    np.testing.assert_array_equal(truncated, golden["tf_pts_transform_int1based"])


def test_inverse_equals_the_reference(golden):
    upright = golden["tf_rot"] == 0
    pairs = golden["tf_inverse_rot0_in_out"][upright]
    with jax.enable_x64(True):
        found = transform_points(invert(golden_matrices(golden)[upright]), pairs[..., :2] - 1.0)
    np.testing.assert_array_equal(np.trunc(found).astype(int) + 1, pairs[..., 2:])


def test_crop_matrix_is_batched_by_broadcasting():
    centers = np.array([[10.0, 20], [30, 40], [50, 60]])
    scales = np.array([0.5, 1, 2])
    together = crop_matrix(centers, scales, 64, 17.0)
    alone = [crop_matrix(c, s, 64, 17.0) for c, s in zip(centers, scales, strict=True)]
    assert together.shape == (3, 2, 3)
    np.testing.assert_allclose(together, np.stack(alone), rtol=1e-6)


def test_crop_matrix_of_a_tall_crop_fits_the_square_into_the_width():
    matrix = crop_matrix([100.0, 50.0], 0.5, (256, 192))
    found = transform_points(matrix, [[100.0, 50], [50, 50], [150, 50]])
    np.testing.assert_allclose(found, [[96, 128], [0, 128], [192, 128]], atol=1e-4)


def test_positive_rotation_turns_the_content_counter_clockwise():
    matrix = crop_matrix([0.0, 0.0], 1.0, 200, 90.0)
    right_of_center = transform_points(matrix, [[10.0, 0.0]])
    np.testing.assert_allclose(right_of_center, [[100, 90]], atol=1e-4)  # above it: y is down


def test_compose_applies_the_second_argument_first():
    shift, double = affine.translation([5.0, 0.0]), affine.scaling([2.0, 2.0])
    point = np.array([[1.0, 1.0]])
    np.testing.assert_allclose(transform_points(compose(double, shift), point), [[12, 2]])
    np.testing.assert_allclose(transform_points(compose(shift, double), point), [[7, 2]])


def random_matrices(count, seed=0):
    rng = np.random.default_rng(seed)
    linear = rng.normal(size=(count, 2, 2)) + 2 * np.eye(2)
    return np.concatenate([linear, rng.uniform(-300, 300, (count, 2, 1))], -1)


def test_compose_equals_the_product_of_3x3_matrices():
    a, b = random_matrices(20, 1), random_matrices(20, 2)
    bottom = np.broadcast_to([[[0.0, 0, 1]]], (20, 1, 3))
    product = np.concatenate([a, bottom], 1) @ np.concatenate([b, bottom], 1)
    with jax.enable_x64(True):
        np.testing.assert_allclose(compose(a, b), product[:, :2], rtol=1e-12)


def test_invert_undoes():
    matrices = random_matrices(50)
    points = np.random.default_rng(3).uniform(0, 1000, (50, 7, 2))
    with jax.enable_x64(True):
        there = transform_points(matrices, points)
        back = transform_points(invert(matrices), there)
        identity = compose(invert(matrices), matrices)
    np.testing.assert_allclose(back, points, atol=1e-8)
    np.testing.assert_allclose(identity, np.tile(np.eye(2, 3), (50, 1, 1)), atol=1e-8)


def test_points_through_a_crop_and_back_in_float32():
    rng = np.random.default_rng(4)
    centers, points = rng.uniform(0, 1920, (40, 2)), rng.uniform(0, 1920, (40, 5, 2))
    matrices = crop_matrix(centers, rng.uniform(0.3, 5, 40), 256, rng.uniform(-60, 60, 40))
    crop_points = transform_points(matrices, points)
    back = transform_points(invert(matrices), crop_points)
    np.testing.assert_allclose(back, points, atol=5e-3)


def test_flip_twice_is_the_identity_and_swaps_the_borders():
    flip = affine.flip_matrix(200)
    np.testing.assert_allclose(transform_points(flip, [[0.0, 3], [199, 3]]), [[199, 3], [0, 3]])
    np.testing.assert_array_equal(compose(flip, flip), np.eye(2, 3))


def test_float_type_follows_the_inputs():
    with jax.enable_x64(True):
        narrow = crop_matrix(np.zeros(2, np.float32), np.float32(1), 64, np.float32(0))
        wide = crop_matrix(np.zeros(2), np.float32(1), 64, np.float32(0))
        flipped = compose(affine.flip_matrix(64), narrow)
    assert (narrow.dtype, wide.dtype, flipped.dtype) == (jnp.float32, jnp.float64, jnp.float32)


@pytest.mark.parametrize("function", [affine.compose, affine.transform_points])
def test_no_matmul_which_accelerators_would_round(function):
    matrix = jnp.zeros((3, 2, 3))
    other = matrix if function is affine.compose else jnp.zeros((3, 5, 2))
    assert "dot_general" not in str(jax.make_jaxpr(function)(matrix, other))


def test_adjust_mpii_by_hand():
    center, scale = affine.adjust_mpii(np.array([[100.0, 200.0], [1, 2]]), np.array([2.0, 4.0]))
    np.testing.assert_allclose(center, [[100, 230], [1, 62]])
    np.testing.assert_allclose(scale, [2.5, 5.0])


def test_head_box_rule_is_the_mpii_rule_where_raw_scale_is_0_024_diagonals():
    head_box = np.array([10.0, 20.0, 40.0, 60.0])  # diagonal 50
    raw_scale = 0.024 * 50
    _, scale = affine.crop_from_head_box(head_box, np.array([0.0, 0, 100, 300]))
    _, mpii_scale = affine.adjust_mpii(np.zeros(2), raw_scale)
    np.testing.assert_allclose(scale, mpii_scale)
    # field facts: head size = 0.6 diagonals = 25 raw scales = 20 final ones = side / 10
    np.testing.assert_allclose(0.6 * 50, 25 * raw_scale)
    np.testing.assert_allclose(0.6 * 50, 20 * scale)
    np.testing.assert_allclose(200 * scale, 6 * 50)


def test_head_box_crop_center_lies_3_5_percent_below_the_joints():
    center, scale = affine.crop_from_head_box(
        np.array([10.0, 20.0, 40.0, 60.0]), np.array([0.0, 0, 100, 300])
    )
    np.testing.assert_allclose(center, [50, 150 + 0.035 * 300])
    np.testing.assert_allclose(200 * scale, 300)


def test_person_box_crop_by_hand():
    center, scale = affine.crop_from_person_box(np.array([[100.0, 100, 150, 300]]))
    np.testing.assert_allclose(200 * scale, [220])
    np.testing.assert_allclose(center, [[125, 200 + 0.035 * 220]])


def test_person_box_rule_gives_1_43_joint_extents():
    extent = np.array([0.0, 0, 50, 100])
    box = np.array([25 - 0.65 * 50, 50 - 0.65 * 100, 25 + 0.65 * 50, 50 + 0.65 * 100])
    _, scale = affine.crop_from_person_box(box)
    np.testing.assert_allclose(200 * scale / (extent[3] - extent[1]), 1.43)


def test_crop_rules_work_alike_on_numpy_and_jax_and_keep_the_library():
    rng = np.random.default_rng(5)
    boxes = np.sort(rng.uniform(0, 400, (2, 6, 2, 2)), axis=-2).reshape(2, 6, 4)
    boxes = boxes.astype(np.float32)
    center, scale = boxes[0, :, :2], boxes[0, :, 2]
    for function, args in (
        (affine.adjust_mpii, (center, scale)),
        (affine.crop_from_head_box, (boxes[0], boxes[1])),
        (affine.crop_from_person_box, (boxes[0],)),
    ):
        on_host = function(*args)
        on_device = jax.jit(function)(*map(jnp.asarray, args))
        assert all(type(value) is np.ndarray and value.dtype == np.float32 for value in on_host)
        assert all(isinstance(value, jax.Array) for value in on_device)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), on_host, on_device)


def test_edges_move_by_hand():
    twice = np.array([[2.0, 0, 3], [0, 3.0, -1]])  # pixel centre 0 -> 3, its left edge 0 -> 2.5
    np.testing.assert_allclose(affine.edge_matrix(twice), [[2, 0, 2.5], [0, 3, -2]])
    np.testing.assert_allclose(affine.edge_matrix(np.eye(2, 3)), np.eye(2, 3))


def test_edge_matrix_is_the_matrix_half_a_pixel_later():
    rng = np.random.default_rng(6)
    matrices, points = rng.normal(0, 3, (4, 2, 3)), rng.normal(0, 50, (4, 5, 2))
    with jax.enable_x64(True):
        found = transform_points(affine.edge_matrix(matrices), points)
        expected = transform_points(matrices, points - 0.5) + 0.5
    np.testing.assert_allclose(found, expected, atol=1e-9)


def test_the_whole_image_stays_whole_when_it_is_flipped_or_stretched():
    whole = np.array([[0.0, 0, 40, 30]])
    np.testing.assert_array_equal(affine.transform_boxes(affine.flip_matrix(40), whole), whole)
    onto = affine.invert(affine.stretch_matrix(whole[0], (12, 10)))
    np.testing.assert_allclose(affine.transform_boxes(onto, whole), [[0, 0, 10, 12]], atol=1e-5)


def test_mirrored_boxes_are_put_in_order_again():
    boxes = np.array([[[1.0, 2, 5, 9]], [[0, 0, 1, 1]]])
    found = affine.transform_boxes(affine.flip_matrix(20), boxes)
    np.testing.assert_array_equal(found, [[[15, 2, 19, 9]], [[19, 0, 20, 1]]])
    twice = affine.transform_boxes(affine.flip_matrix(20), found)
    np.testing.assert_array_equal(twice, boxes)


def test_stretch_matrix_moves_corners_onto_the_rectangle():
    rectangles = np.array([[10.0, 20, 50, 40], [50, 20, 10, 40], [-7, -9, 3.5, 1]], np.float32)
    matrices = affine.stretch_matrix(rectangles, (30, 20))
    corners = transform_points(affine.edge_matrix(matrices), np.array([[0.0, 0], [20, 30]]))
    np.testing.assert_allclose(corners.reshape(3, 4), rectangles, atol=1e-5)
    np.testing.assert_allclose(affine.stretch_matrix([0, 0, 20, 30], (30, 20)), np.eye(2, 3))
