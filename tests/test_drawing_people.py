"""Properties of the drawing of people: where paint lies, which colour it has, and what is left."""

from typing import NamedTuple

import numpy as np
import pytest

from jaxpose.drawing import LEFT, MIDDLE, RIGHT
from jaxpose.drawing_people import PALETTE, draw_people, limb_width, person_colour
from jaxpose.skeletons import COCO, KNOWN, POSETRACK17, Skeleton

GREY = 100


class Drawn(NamedTuple):
    box_xyxy: np.ndarray
    score: float
    keypoints: np.ndarray
    keypoint_scores: np.ndarray
    joint_names: tuple[str, ...]


def _blank(height=300, width=400):
    return np.full((height, width, 3), GREY, np.uint8)


def _person(joints, names=POSETRACK17.joints, score=0.9, box=(60, 40, 340, 260)):
    """A person with the joints of {name: (x, y)} or {name: (x, y, score)}, all others nan."""
    points, scores = np.full((len(names), 2), np.nan), np.zeros(len(names))
    for name, values in joints.items():
        points[names.index(name)] = values[:2]
        scores[names.index(name)] = values[2] if len(values) > 2 else 1.0
    return Drawn(np.array(box, float), score, points, scores, names)


def _changed(image):
    return (image != GREY).any(-1)


def _pose(person, **options):
    return draw_people(_blank(), [person], **{"boxes": False, "labels": False} | options)


def _near(pixel, colour, tolerance=3):
    return np.abs(pixel.astype(int) - colour).max() <= tolerance


def test_limbs_have_the_colour_of_their_side_on_a_dark_rim():
    person = _person({
        "left_hip": (100, 100), "left_knee": (100, 200),
        "right_hip": (200, 100), "right_knee": (200, 200),
    })  # fmt: skip
    drawn = _pose(person)
    assert _near(drawn[150, 100], LEFT) and _near(drawn[150, 200], RIGHT)
    assert _near(drawn[100, 150], MIDDLE)
    across = drawn[150, 90:111].astype(int).max(-1)
    assert across[:9].min() < 75 and across[12:].min() < 75  # the rim, on both sides of the core
    changed = _changed(drawn)
    assert not changed[110:, 110:190].any() and not changed[:90].any()


def test_joints_have_the_colour_of_their_side_in_a_ring_of_the_persons_colour():
    person = _person(
        {"left_wrist": (200, 200), "right_wrist": (600, 200)}, box=(100, 100, 700, 900)
    )
    drawn = draw_people(_blank(1000, 1000), [person], ids=[7], boxes=False, labels=False)
    for x, colour in ((200, LEFT), (600, RIGHT)):
        assert _near(drawn[200, x], colour)
        assert any(_near(pixel, person_colour(7)) for pixel in drawn[200, x : x + 20])


def test_nothing_is_drawn_below_the_threshold():
    person = _person({"left_hip": (100, 100, 0.5), "left_knee": (100, 200, 0.2)})
    assert np.array_equal(_pose(person, threshold=0.6), _blank())
    changed = _changed(_pose(person, threshold=0.5))
    assert changed[100, 100] and not changed[150:, :].any()
    assert _changed(_pose(person, threshold=0.2))[150, 100]


def test_unsure_joints_fade_and_shrink():
    paint = []
    for score in (0.05, 0.3, 0.9):
        drawn = _pose(_person({"left_hip": (100, 100, score), "left_knee": (100, 200, score)}))
        strength = np.abs(drawn[150, 100].astype(int) - GREY).sum()
        paint.append((strength, _changed(drawn)[90:111, 90:111].sum()))
    assert paint[0][0] < paint[1][0] < paint[2][0]
    assert paint[0][1] < paint[1][1] < paint[2][1]


def test_the_image_itself_is_left_alone():
    image = _blank()
    drawn = draw_people(image, [_person({"nose": (100, 100), "head_top": (100, 60)})])
    assert np.array_equal(image, _blank()) and not np.array_equal(drawn, image)
    assert drawn.shape == image.shape and drawn.dtype == np.uint8
    assert np.array_equal(draw_people(image, []), image)
    view = np.broadcast_to(_blank()[:1], (300, 400, 3))[:, ::-1]  # read-only, not contiguous
    assert draw_people(view, [_person({"nose": (100, 100)})]).flags.writeable


def test_missing_far_and_broken_joints_do_no_harm():
    person = _person({
        "left_hip": (100, 100), "left_knee": (np.nan, 200), "left_ankle": (np.inf, 3),
        "right_hip": (1e12, -1e12), "right_knee": (-50, -50), "head_top": (3e5, 3e5),
    })  # fmt: skip
    person = person._replace(box_xyxy=np.array([np.nan, 0, 1, 1]))
    drawn = draw_people(_blank(), [person])
    assert _changed(drawn)[100, 100]
    nobody = _person({})._replace(box_xyxy=np.full(4, np.nan))
    assert np.array_equal(draw_people(_blank(), [nobody]), _blank())


def test_box_and_label_have_the_persons_colour_and_are_options():
    person = _person({"nose": (200, 150)})
    drawn = draw_people(_blank(), [person], ids=[3])
    assert _near(drawn[150, 60], PALETTE[3], 20) and _near(drawn[260, 200], PALETTE[3], 20)
    label = (drawn[:40, 60:160] == PALETTE[3]).all(-1)
    assert label.sum() > 200
    bare = draw_people(_blank(), [person], ids=[3], boxes=False)
    assert not _changed(bare)[60:260, 60].any() and _changed(bare)[:40].any()
    bare = draw_people(_blank(), [person], ids=[3], labels=False)
    assert not _changed(bare)[:38].any() and _changed(bare)[150, 60]


def test_colours_of_persons_are_stable_and_apart():
    assert person_colour(0) == PALETTE[0] == person_colour(len(PALETTE))
    import cv2

    lab = cv2.cvtColor(np.array([PALETTE], np.float32) / 255, cv2.COLOR_RGB2LAB)[0]
    apart = np.linalg.norm(lab[:, None] - lab[None], axis=-1)
    assert apart[~np.eye(len(lab), dtype=bool)].min() > 15
    # Two neighbours are far apart, since few people stand in most pictures.
    assert apart[np.arange(7), np.arange(1, 8)].min() > 50


def test_small_persons_are_drawn_above_large_ones():
    large = _person({"left_hip": (100, 100), "left_knee": (100, 200)})
    small = _person({"right_hip": (60, 150), "right_knee": (140, 150)}, box=(60, 120, 140, 200))
    for people in ([large, small], [small, large]):
        drawn = draw_people(_blank(), people, boxes=False, labels=False)
        assert _near(drawn[150, 100], RIGHT, 30)


@pytest.mark.parametrize("shape", [(1, 1), (2, 900), (200, 150), (2160, 3840), (900, 2)])
@pytest.mark.parametrize("size", [1.0, 30.0, 5000.0])
def test_any_picture_and_person_size(shape, size):
    points = np.random.default_rng(0).uniform(0, size, (17, 2))
    person = Drawn(np.array([0, 0, size, size]), 1.0, points, np.full(17, 0.4), COCO.joints)
    image = np.full((*shape, 3), GREY, np.uint8)
    drawn = draw_people(image, [person] * 2)
    assert drawn.shape == image.shape and _changed(drawn).any()
    width = limb_width(image.shape, size)
    assert 1 <= width <= max(1, min(shape) / 90, size / 25)


@pytest.mark.parametrize("scale", [0.5, 2, 4])
def test_widths_grow_with_the_picture(scale):
    shape = (720, 1280, 3)
    enlarged = tuple(int(scale * side) for side in shape)
    assert limb_width(enlarged, 300 * scale) == pytest.approx(scale * limb_width(shape, 300))


@pytest.mark.parametrize("skeleton", KNOWN.values(), ids=lambda s: s.name)
def test_every_joint_set_is_drawn_with_its_limbs(skeleton):
    points = np.random.default_rng(0).uniform(20, 280, (skeleton.size, 2))
    person = Drawn(np.array([0, 0, 300, 300.0]), 1, points, np.ones(skeleton.size), skeleton.joints)
    changed = _changed(_pose(person))
    for a, b in skeleton.limb_indices:
        x, y = np.round((points[a] + points[b]) / 2).astype(int)
        assert changed[y, x]


def test_own_limbs_may_be_given():
    joints = ("left_paw", "tail")
    person = _person({"left_paw": (100, 100), "tail": (200, 100)}, joints)
    assert not _changed(_pose(person))[100, 150]
    own = Skeleton("cat", joints, (("left_paw", "tail"),))
    assert _near(_pose(person, skeleton=own)[100, 150], LEFT)
