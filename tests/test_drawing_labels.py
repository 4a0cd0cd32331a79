"""Labels: inside the picture, of readable size, beside one another."""

import numpy as np
import pytest

from jaxpose.drawing_labels import draw_label

COLOUR = (70, 215, 95)


def _label(shape, box, taken=None, text="#0  0.98", colour=COLOUR):
    image = np.full((*shape, 3), 100, np.uint8)
    taken = [] if taken is None else taken
    draw_label(image, text, np.array(box, float), colour, taken)
    return image, taken


def test_it_stands_on_the_box():
    image, ((x, y, width, height),) = _label((480, 640), (100, 200, 300, 400))
    assert x == 100 and y + height == 200
    inside = image[y : y + height, x : x + width]
    assert (inside == COLOUR).all(-1).mean() > 0.4 and (inside < 60).all(-1).any()
    image[y : y + height, x : x + width] = 100
    assert (image == 100).all()


def test_ink_is_black_on_bright_and_white_on_dark():
    for colour, ink in (((250, 245, 190), 0), ((150, 60, 170), 255)):
        image, ((x, y, w, h),) = _label((480, 640), (100, 200, 300, 400), colour=colour)
        assert (np.abs(image[y : y + h, x : x + w].astype(int) - ink) < 40).all(-1).any()


@pytest.mark.parametrize("box", [(0, 0, 639, 479), (-50, -80, 700, 900), (600, 300, 639, 470)])
def test_it_stays_inside_the_picture(box):
    _, ((x, y, width, height),) = _label((480, 640), box)
    assert x >= 0 and y >= 0 and x + width <= 640 and y + height <= 480


def test_labels_of_one_place_find_other_corners():
    taken = []
    for _ in range(4):
        _label((480, 640), (200, 200, 400, 400), taken)
    assert len({(x, y) for x, y, _, _ in taken}) == 4
    for n, (x, y, w, h) in enumerate(taken):
        for u, v, *_ in taken[:n]:
            assert abs(x - u) >= w or abs(y - v) >= h


@pytest.mark.parametrize(
    ("shape", "low", "high"), [((200, 150), 9, 16), ((720, 1280), 17, 32), ((2160, 3840), 50, 96)]
)
def test_height_follows_the_picture(shape, low, high):
    _, ((_, _, _, height),) = _label(shape, (0, 0, *shape[::-1]))
    assert low <= height <= high


def test_no_label_where_it_would_hide_the_person_or_there_is_no_box():
    for box in ((100, 100, 110, 120), (np.nan, 0, 9, 300)):
        image, taken = _label((480, 640), box)
        assert taken == [] and (image == 100).all()


def test_a_label_wider_than_the_picture_is_cut():
    image, _ = _label((400, 20), (0, 100, 19, 300), text="#12345  0.98")
    assert (image == COLOUR).all(-1).any()
