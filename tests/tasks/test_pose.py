"""The pose task: geometry of augmentation, decoding back to source pixels.

Functions are compiled whole, as in a step, and with traced options, so that tests share them.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxpose.defaults import pose_config
from jaxpose.ops import affine
from jaxpose.skeletons import POSETRACK17
from jaxpose.tasks import pose, pose_prediction
from jaxpose.tasks.pose_pictures import input_sheet, prediction_sheet

SIZE = (96, 128)
CANVAS = 160
JOINTS = POSETRACK17.size
CALM = {
    "scale": 0.0,
    "rotation": 0.0,
    "rotation_probability": 0.0,
    "flip_probability": 0.0,
    "color": 0.0,
}
COMMON = {"size": SIZE, "mean": (0.0, 0.0, 0.0), "flip_order": POSETRACK17.flip_order}


@jax.jit
def augment(key, batch, options):
    return pose.augment(key, batch, options=options, **COMMON)


def dotted_batch(rows=3, seed=0):
    """Black canvases with one 5x5 white dot at the first joint of each person."""
    rng = np.random.default_rng(seed)
    matrix = np.tile(np.array([[0.5, 0, 30], [0, 0.5, 20]], np.float32), (rows, 1, 1))
    points = rng.uniform(60, 180, (rows, JOINTS, 2)).round()
    image = np.zeros((rows, CANVAS, CANVAS, 3), np.uint8)
    for row in range(rows):
        x, y = np.rint(matrix[row] @ np.append(points[row, 0], 1)).astype(int)
        image[row, y - 2 : y + 3, x - 2 : x + 3] = 255
    keypoints = np.concatenate([points, np.full((rows, JOINTS, 1), 2)], -1).astype(np.float32)
    return {
        "image": image,
        "matrix": matrix,
        "keypoints": keypoints,
        "joint_mask": np.ones((rows, JOINTS), np.float32),
        "center": np.full((rows, 2), 120, np.float32),
        "scale": np.full(rows, 1.0, np.float32),
        "mask": np.ones(rows, np.float32),
    }


def centroid(image):
    weights = np.asarray(image)[..., 0]
    y, x = np.mgrid[: weights.shape[0], : weights.shape[1]]
    return np.array([(weights * x).sum(), (weights * y).sum()]) / weights.sum()


@pytest.mark.parametrize("rotation", [0.0, 30.0])
@pytest.mark.parametrize("flip", [0.0, 1.0])
def test_joints_follow_the_pixels(rotation, flip):
    options = CALM | {"rotation": rotation, "rotation_probability": 1.0, "flip_probability": flip}
    batch = dotted_batch()
    inputs = augment(jax.random.key(1), batch, options)
    assert inputs["image"].shape == (3, *SIZE, 3)
    first = int(POSETRACK17.flip_order[0]) if flip else 0  # the dot's joint changes sides
    for row in range(3):
        point = np.asarray(inputs["points"][row, first])
        np.testing.assert_allclose(centroid(inputs["image"][row]), point, atol=0.75)


def test_without_augmentation_the_crop_is_the_crop_matrix():
    batch = dotted_batch()
    inputs = augment(jax.random.key(0), batch, CALM)
    crop = affine.crop_matrix(batch["center"], batch["scale"], SIZE, np.zeros(3))
    expected = affine.transform_points(crop, batch["keypoints"][..., :2])
    np.testing.assert_allclose(inputs["points"], expected, atol=1e-4)


def test_flip_swaps_annotations_and_masks():
    batch = dotted_batch()
    left = POSETRACK17.joints.index("left_wrist")
    right = POSETRACK17.joints.index("right_wrist")
    batch["keypoints"][:, left, 2] = 0
    batch["joint_mask"][:, right] = 0
    options = CALM | {"flip_probability": 1.0}
    inputs = augment(jax.random.key(0), batch, options)
    assert not inputs["annotated"][:, right].any() and inputs["annotated"][:, left].all()
    assert not inputs["joint_mask"][:, left].any() and inputs["joint_mask"][:, right].all()


def test_random_crop_has_the_stated_distribution():
    rows = 4000
    batch = {"scale": np.ones(rows, np.float32), "center": np.zeros((rows, 2), np.float32)}
    options = {"scale": 0.25, "rotation": 30, "rotation_probability": 0.4, "flip_probability": 0.5}
    crop, flipped = pose.random_crop(jax.random.key(3), batch, options, (200, 200))
    crop = np.asarray(crop, np.float64)
    exponent = -np.log2(np.sqrt(np.abs(np.linalg.det(crop[:, :, :2]))))
    crop[flipped] *= [[-1], [1]]
    angle = np.rad2deg(np.arctan2(crop[:, 1, 0], crop[:, 0, 0]))
    assert np.abs(exponent).max() <= 0.5 + 1e-5
    assert exponent.std() == pytest.approx(0.25 * 0.9595, abs=0.01)  # normal clamped at 2 sigma
    assert np.abs(angle).max() <= 60 + 1e-3
    assert (np.abs(angle) > 1e-3).mean() == pytest.approx(0.4, abs=0.03)
    assert np.asarray(flipped).mean() == pytest.approx(0.5, abs=0.03)
    turned = angle[np.abs(angle) > 1e-3]
    assert turned.std() == pytest.approx(30 * 0.9595, abs=1.5)


def test_augmentation_is_a_function_of_the_key():
    options = pose_config().augment.to_dict()
    batch = dotted_batch()
    runs = [augment(jax.random.key(k), batch, options) for k in (5, 5, 6)]
    np.testing.assert_array_equal(runs[0]["image"], runs[1]["image"])
    assert not np.array_equal(runs[0]["points"], runs[2]["points"])


class Marks:
    """Stands for a network: the map of joint j is bright where the input's red channel is."""

    def apply(self, variables, images):
        red = images[..., 0]
        rows, height, width = red.shape
        maps = red.reshape(rows, height // 4, 4, width // 4, 4).mean((2, 4))
        one = jnp.zeros((1, 1, 1, JOINTS)).at[..., 0].set(1)
        return (maps[..., None] * one)[None]


@pytest.mark.parametrize("flip_test", [False, True])
def test_predicted_points_come_back_in_source_pixels(flip_test):
    batch = dotted_batch(rows=4, seed=2)
    # With the flip test, the mirrored pass fills the other side's joint; make the joint central.
    order = np.arange(JOINTS)
    predict = partial(
        pose_prediction.predict,
        model=Marks(),
        size=SIZE,
        mean=(0.0, 0.0, 0.0),
        flip_order=order,
        flip_test=flip_test,
    )
    found = jax.jit(predict)({}, batch)
    np.testing.assert_allclose(
        found["points"][:, 0], batch["keypoints"][:, 0, :2], atol=200 / 96 * 2.5
    )
    assert (np.asarray(found["scores"][:, 0]) > 0.1).all()


def test_alignment_of_imported_networks_shifts_joints_but_not_across_a_flip_test():
    """Half a crop px in x and y; in the mean over both mirrorings only in y."""
    batch, joint = dotted_batch(rows=2, seed=2), np.s_[:, 0]
    common = {"model": Marks(), "size": SIZE, "mean": (0.0, 0.0, 0.0)}
    common["flip_order"] = np.arange(JOINTS)
    cut = pose_prediction.Decoding(first_pixel=2.0)
    for flip_test, moved in ((False, (0.5, 0.5)), (True, (0.0, 0.5))):
        centered, shifted = (
            pose_prediction.predict({}, batch, decoding=how, flip_test=flip_test, **common)
            for how in (pose_prediction.CENTERED, cut)
        )
        shift = np.asarray(shifted["points"] - centered["points"])[joint] * 96 / 200
        np.testing.assert_allclose(shift, np.broadcast_to(moved, (2, 2)), atol=1e-4)


def test_flip_test_is_symmetric():
    batch = dotted_batch(rows=2, seed=4)

    @jax.jit
    def heatmaps(batch):
        crop = affine.crop_matrix(np.full((2, 2), 120.0), 1.0, SIZE, 0.0)
        images = pose_prediction.crop_images(batch, crop, SIZE)
        return [
            pose_prediction.predict_heatmaps(
                {}, images, model=Marks(), flip_order=np.arange(JOINTS), flip_test=flip_test
            )
            for flip_test in (True, False)
        ]

    maps, plain = heatmaps(batch)
    # `Marks` treats both mirrorings alike, so averaging must change nothing.
    np.testing.assert_allclose(maps, plain, atol=1e-6)


def test_a_flip_test_is_one_call_of_the_network_with_twice_the_rows():
    seen = []

    class Noted(Marks):
        def apply(self, variables, inputs):
            seen.append(np.asarray(inputs))
            return super().apply(variables, inputs)

    inputs = np.random.default_rng(0).random((3, 16, 8, 3), np.float32)
    options = {"model": Noted(), "flip_order": np.arange(JOINTS), "flip_test": True}
    pose_prediction.predict_heatmaps({}, inputs, **options)
    (doubled,) = seen
    np.testing.assert_array_equal(doubled, np.concatenate([inputs, inputs[:, :, ::-1]]))


def test_predict_images_takes_the_whole_image_as_the_crop():
    image = np.zeros((1, 120, 80, 3), np.uint8)
    image[0, 58:63, 28:33] = 255
    predict = partial(
        pose_prediction.predict_images,
        model=Marks(),
        size=(64, 64),
        mean=(0.0, 0.0, 0.0),
        flip_order=np.arange(JOINTS),
        flip_test=False,
    )
    found = jax.jit(predict)({}, image)
    np.testing.assert_allclose(found["points"][0, 0], [30, 60], atol=4)


def test_prediction_sheet_shows_the_crop_and_both_skeletons():
    batch = dotted_batch(rows=2)
    batch["mask"][1] = 0  # padding is not shown
    predictions = {"points": batch["keypoints"][..., :2] + 4, "scores": np.ones((2, JOINTS))}
    sheet = prediction_sheet(batch, predictions, skeleton=POSETRACK17, size=SIZE)
    assert sheet.dtype == np.uint8 and sheet.shape[0] < 2 * 192 and sheet.shape[1] >= 192
    colours = {tuple(c) for c in sheet.reshape(-1, 3)[::3].tolist()}
    assert len(colours) > 20
    inputs = augment(jax.random.key(0), batch, CALM)
    shown = input_sheet(
        jax.tree.map(np.asarray, inputs), skeleton=POSETRACK17, mean=(0.0, 0.0, 0.0)
    )
    assert shown.std() > 5
