"""Views of whole frames: what is drawn at a joint is where the view says that the joint is."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxpose.ops import affine
from jaxpose.skeletons import Skeleton
from jaxpose.tasks import bottom_up_augment
from jaxpose.tasks.bottom_up_augment import augment, known_people, random_view, trained_cells
from jaxpose.tasks.bottom_up_prediction import frame_view, network_input

SIDES = Skeleton("sides", ("nose", "left_hip", "right_hip"))
COLOURS = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255]])
CANVAS, SIZE, MEAN = 96, (64, 64), (128.0, 128.0, 128.0)
OPTIONS = {
    "person_size": 0.6,
    "scale": (0.5, 1.1),
    "largest_zoom": 4.0,
    "rotation": 40.0,
    "shift": 6.0,
    "flip_probability": 0.5,
}


def frames(count=8):
    """A frame of 180 x 120 px on the canvas, with a coloured disc at each joint of one person.

    A second person has no joints, a third is a crowd with joints; and there is an ignored region.
    """
    rng = np.random.default_rng(0)
    factor = CANVAS / 192  # half: the photograph is the upper 90 x 60 px of the canvas
    joints = np.array([[90, 40], [70, 80], [110, 84]]) + rng.uniform(-5, 5, (count, 3, 2))
    image = np.zeros((count, CANVAS, CANVAS, 3), np.uint8)
    image[:, :60, :90] = 100
    y, x = np.mgrid[:CANVAS, :CANVAS]
    for row in range(count):
        for joint, colour in zip(joints[row] * factor, COLOURS, strict=True):
            image[row, np.hypot(x - joint[0], y - joint[1]) < 4] = colour
    keypoints = np.zeros((count, 4, 3, 3), np.float32)
    keypoints[:, (0, 2), :, :2], keypoints[:, (0, 2), :, 2] = joints[:, None], 2
    return {
        "image": image,
        "matrix": np.tile(np.array([[factor, 0, 0], [0, factor, 0]], np.float32), (count, 1, 1)),
        "valid": np.tile(np.array([0, 0, 90, 60], np.float32), (count, 1)),
        "size": np.tile(np.array([180, 120], np.float32), (count, 1)),
        "keypoints": keypoints,
        "joint_mask": np.ones((count, 3), np.float32),
        "boxes": np.tile(
            np.array([[60, 30, 120, 90], [10, 10, 30, 40], [60, 30, 90, 60], [0] * 4], np.float32),
            (count, 1, 1),
        ),
        "labels": np.tile(np.array([1, 1, 1, 0], np.int32), (count, 1)),
        "crowd": np.tile(np.array([False, False, True, False]), (count, 1)),
        "ignore": np.tile(np.array([[150, 90, 180, 120]], np.float32), (count, 1, 1)),
        "mask": np.ones(count, np.float32),
    }


@pytest.fixture(scope="module")
def views():
    run = partial(augment, options=OPTIONS, size=SIZE, mean=MEAN, channels="rgb")
    run = jax.jit(partial(run, flip_order=SIDES.flip_order))
    batch = frames()
    return batch, {name: np.asarray(v) for name, v in run(jax.random.key(3), batch).items()}


def test_joints_lie_where_they_are_drawn(views):
    _, found = views
    pixels = found["image"] * 256 + 128
    seen, flipped = 0, set()
    for row in range(len(pixels)):
        points = found["points"][row, 0]
        inside = ((points >= 2) & (points < 62)).all(-1)
        colours = []
        for x, y in np.round(points[inside]).astype(int):
            colours.append(int(pixels[row, y, x].argmax()))
            assert pixels[row, y, x].max() > 180
        if inside.all():
            seen += 1
            assert colours in ([0, 1, 2], [0, 2, 1])
            # A mirrored left hip is a right one: the label follows the picture, not the pixel.
            left_of = found["points"][row, 0, 1, 0] - found["points"][row, 0, 2, 0]
            flipped.add((colours[1] == 2, bool(left_of < 0)))
    assert seen >= 5 and {mirrored for mirrored, _ in flipped} == {True, False}
    assert all(on_the_left for _, on_the_left in flipped), "their left hip is at the left here"


def test_only_the_known_person_is_trained_on(views):
    _, found = views
    assert found["annotated"].any(-1).tolist() == [[True, False, False, False]] * 8
    assert found["trained"].shape == (8, 8, 8) and set(np.unique(found["trained"])) == {0.0, 1.0}


def test_outside_the_photograph_the_view_is_grey():
    batch = frames(1)
    view = frame_view(batch["size"], (64, 96))
    image = np.asarray(network_input(batch, view, (64, 96), MEAN, "bgr"))[0]
    assert (image[:, -2] != 0).any() and image.shape == (64, 96, 3)
    wide = np.asarray(
        network_input(batch, frame_view(batch["size"], (96, 96)), (96, 96), MEAN, "rgb")
    )
    assert (wide[0, 65:] == 0).all() and (wide[0, :62, :94] != 0).any(-1).all()
    np.testing.assert_allclose(
        network_input(batch, view, (64, 96), MEAN, "rgb")[0], image[..., ::-1], atol=0
    )


def test_frames_lie_at_the_upper_left_as_large_as_they_fit():
    sizes = jnp.array([[180.0, 120.0], [100.0, 400.0]])
    matrices = frame_view(sizes, (64, 96))
    corner = affine.transform_points(affine.invert(matrices), jnp.array([[[-0.5, -0.5]]]))
    np.testing.assert_allclose(corner[:, 0], -0.5, atol=1e-4)
    ends = affine.transform_points(affine.invert(matrices), sizes[:, None] - 0.5)[:, 0] + 0.5
    np.testing.assert_allclose(ends, [[96, 64], [16, 64]], atol=1e-3)


def test_the_person_gets_its_share_of_the_view():
    people = known_people(frames(64))
    options = OPTIONS | {"shift": 0.0, "largest_zoom": 100.0}
    crop, flipped = random_view(jax.random.key(1), people, frames(64)["size"], options, SIZE)
    center = affine.transform_points(crop, jnp.array([[[90.0, 60.0]]]))[:, 0]
    mirrored_middle = jnp.where(flipped[:, None], jnp.array([31.0, 32.0]), 32.0)
    np.testing.assert_allclose(center, mirrored_middle, atol=1e-3)
    zoom = np.sqrt(np.abs(np.linalg.det(np.asarray(crop)[:, :, :2])))
    share = 60 * zoom / 64
    assert 0.3 <= share.min() < 0.4 and 0.58 < share.max() <= 0.66 + 1e-5
    angle = np.degrees(np.arctan2(crop[:, 1, 0], crop[:, 1, 1]))
    assert np.abs(angle).max() <= 40.01 and angle.std() > 15
    assert 10 < int(flipped.sum()) < 54
    whole = OPTIONS | {"shift": 0.0, "person_size": 0, "scale": (1.0, 1.0)}
    crop, _ = random_view(jax.random.key(1), people, frames(64)["size"], whole, SIZE)
    np.testing.assert_allclose(
        np.abs(np.linalg.det(np.asarray(crop)[:, :, :2])), (64 / 180) ** 2, rtol=1e-3
    )
    little = OPTIONS | {"shift": 0.0, "largest_zoom": 0.5}
    crop, _ = random_view(jax.random.key(1), people, frames(64)["size"], little, SIZE)
    assert np.abs(np.linalg.det(np.asarray(crop)[:, :, :2])).max() == pytest.approx(0.25, rel=1e-3)


def test_without_people_the_frame_itself_is_shown():
    batch = frames(2)
    batch["labels"][:] = 0
    options = OPTIONS | {"shift": 0.0, "rotation": 0.0, "flip_probability": 0.0}
    crop, _ = random_view(jax.random.key(0), known_people(batch), batch["size"], options, SIZE)
    middle = affine.transform_points(crop, jnp.array([[[90.0, 60.0]]]))
    np.testing.assert_allclose(middle, 32, atol=1e-3)


def test_regions_turn_with_the_view():
    crop = affine.crop_matrix(
        jnp.array([[100.0, 50.0]]), jnp.array([0.32]), SIZE, jnp.array([30.0])
    )
    region = jnp.array([[[100.0, 40.0, 120.0, 60.0]]])
    found = np.asarray(trained_cells(region, affine.invert(crop), SIZE))[0]
    corners = jnp.array([[[110.0, 50.0], [95.0, 50.0], [125.0, 50.0]]])
    cells = np.asarray((affine.transform_points(crop, corners)[0] - 3.5) / 8).round().astype(int)
    assert [found[y, x] for x, y in cells] == [0, 1, 1]
    assert (found == 0).sum() in range(4, 10), "400 px^2 of 64 px^2 a cell"


def test_a_neck_is_made_of_the_shoulders():
    batch = frames(2)
    batch["keypoints"][1, 0, 2, 2] = 0
    batch["joint_mask"][:, 0] = 0
    people = known_people(batch, midpoints=((0, 1, 2),))
    mean = batch["keypoints"][0, 0, 1:, :2].mean(0)
    np.testing.assert_allclose(people.points[0, 0, 0], mean, rtol=1e-6)
    assert people.annotated[:, 0, 0].tolist() == [True, False]
    assert (people.joint_mask == 1).all()
    np.testing.assert_array_equal(people.regions[0, 0], [150, 90, 180, 120])
    assert bottom_up_augment.known_people(batch).joint_mask[:, 0].tolist() == [0, 0]
