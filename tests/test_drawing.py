import numpy as np
import pytest

from jaxpose import drawing
from jaxpose.skeletons import KNOWN, POSETRACK17, Skeleton

ARM = Skeleton("arm", ("left_a", "left_b", "right_c", "nose"), (("left_a", "left_b"),))


def _blank(height=60, width=80):
    return np.full((height, width, 3), 100, np.uint8)


def _changed(before, after):
    return (before != after).any(-1)


def test_limb_lies_between_its_joints_and_nowhere_else():
    points = np.array([[10.0, 20.0], [50.0, 20.0], [np.nan, 0], [np.nan, 0]])
    changed = _changed(_blank(), drawing.draw_skeleton(_blank(), points, ARM, width=1))
    assert changed[20, 10:51].all()
    rows, columns = np.nonzero(changed)
    assert abs(rows - 20).max() <= 3
    assert columns.min() >= 7 and columns.max() <= 53


def test_colours_tell_sides_apart():
    points = np.array([[10.0, 10.0], [10.0, 30.0], [40.0, 10.0], [60.0, 40.0]])
    drawn = drawing.draw_skeleton(_blank(), points, ARM, width=2)
    assert tuple(drawn[20, 10]) == drawing.LEFT
    assert tuple(drawn[10, 40]) == drawing.RIGHT
    assert tuple(drawn[40, 60]) == drawing.MIDDLE


@pytest.mark.parametrize("skeleton", KNOWN.values(), ids=lambda s: s.name)
def test_a_limb_across_the_body_is_middle_and_mirrors_swap_colours(skeleton):
    swapped = {drawing.LEFT: drawing.RIGHT, drawing.RIGHT: drawing.LEFT}
    for joint, other in zip(skeleton.joints, skeleton.flip_order, strict=True):
        colour = drawing.side_colour(joint)
        assert drawing.side_colour(skeleton.joints[other]) == swapped.get(colour, drawing.MIDDLE)
        assert drawing.side_colour(joint, skeleton.joints[other]) in (
            (drawing.MIDDLE,) if other != skeleton.joints.index(joint) else (colour,)
        )


def test_missing_low_scored_and_infinite_joints_are_not_drawn():
    flagged = np.array([[10.0, 10, 0], [20, 20, 1], [30, 30, 2], [np.inf, 5, 2]])
    assert drawing.visible_joints(flagged).tolist() == [False, True, True, False]
    scores = np.array([0.9, 0.2, 0.5, 0.9])
    shown = drawing.visible_joints(flagged, scores, threshold=0.5)
    assert shown.tolist() == [False, False, True, False]
    nothing = drawing.draw_skeleton(_blank(), np.zeros((4, 3)), ARM)
    assert np.array_equal(nothing, _blank())


def test_inputs_stay_untouched_and_far_points_do_no_harm():
    image = _blank()
    points = np.array([[10.0, 20.0], [1e12, -1e12], [-5.0, 3.0], [4.0, 4.0]])
    drawn = drawing.draw_skeleton(image, points, ARM)
    boxed = drawing.draw_box(image, np.array([5.0, 5.0, 1e9, 40.0]), caption="person 0.98 é")
    assert _changed(image, drawn).any() and _changed(image, boxed).any()
    assert np.array_equal(image, _blank())


def test_views_that_are_not_contiguous_can_be_drawn_on():
    points = np.array([[10.0, 20.0], [50.0, 20.0], [30.0, 30.0], [4.0, 4.0]])
    flipped = _blank()[:, ::-1]
    drawn = drawing.draw_skeleton(flipped, points, ARM)
    assert np.array_equal(drawn, drawing.draw_skeleton(_blank(), points, ARM))


def test_line_width_grows_with_the_person_within_the_image():
    image = np.zeros((400, 400, 3), np.uint8)
    span = np.array([[0.0, 0.0], [0.0, 240.0]])
    shown = np.array([True, True])
    assert drawing.line_width(image, span, shown) == 4
    assert drawing.line_width(image, span / 100, shown) == 1
    assert drawing.line_width(image, span * 100, shown) == 8
    assert drawing.line_width(image, span, ~shown) == 1


def test_box_outline_is_where_the_box_is():
    changed = _changed(_blank(), drawing.draw_box(_blank(), np.array([10.0, 15.0, 40.0, 50.0])))
    assert changed[15, 12:38].all() and changed[50, 12:38].all()
    assert changed[17:48, 10].all() and changed[17:48, 40].all()
    assert not changed[18:47, 13:38].any()
    nothing = drawing.draw_box(_blank(), np.full(4, np.nan))
    assert np.array_equal(nothing, _blank())


def test_polygon_outline():
    triangle = np.array([[10.0, 10.0], [60.0, 10.0], [10.0, 50.0]])
    changed = _changed(_blank(), drawing.draw_polygon(_blank(), triangle))
    assert changed[10, 12:58].all() and changed[12:48, 10].all()
    assert not changed[20, 20:30].any()


def test_prediction_covers_truth_and_truth_shows_where_they_differ():
    truth = np.zeros((15, 3))
    truth[0], truth[1] = (20, 40, 2), (20, 10, 2)
    predicted = np.full((15, 2), np.nan)
    predicted[0], predicted[1] = (50, 40), (50, 10)
    drawn = drawing.draw_prediction(_blank(), predicted, truth, POSETRACK17)
    assert drawn[25, 20].min() > 200  # thin white
    assert np.abs(drawn[25, 50].astype(int) - drawing.RIGHT).max() < 40
    same = drawing.draw_prediction(_blank(), truth, truth, POSETRACK17)
    assert np.abs(same[25, 20].astype(int) - drawing.RIGHT).max() < 40
    captioned = drawing.draw_prediction(_blank(), truth, truth, POSETRACK17, caption="3")
    assert _changed(same, captioned)[:14].any()


def test_sheet_places_tiles_row_by_row():
    tiles = [np.full((4, 6, 3), value, np.uint8) for value in (50, 60, 70)]
    page = drawing.sheet(tiles, columns=2, gap=1)
    assert page.shape == (9, 13, 3)
    assert (page[:4, :6] == 50).all() and (page[:4, 7:] == 60).all() and (page[5:, :6] == 70).all()
    assert (page[5:, 7:] == 24).all() and (page[4] == 24).all()
    assert drawing.sheet(tiles, columns=9, gap=0).shape == (4, 18, 3)


def test_sheet_of_unequal_tiles_and_of_none():
    page = drawing.sheet([np.full((2, 3, 3), 9, np.uint8), np.full((5, 1, 3), 7, np.uint8)], 1)
    assert page.shape == (5 + 2 + 5, 3, 3)
    assert (page[7:, 0] == 7).all()
    assert drawing.sheet([], 3).shape == (1, 1, 3)
    with pytest.raises(ValueError, match="columns is 0"):
        drawing.sheet([], 0)
    with pytest.raises(ValueError):
        drawing.sheet([_blank()], 1, captions=["a", "b"])
