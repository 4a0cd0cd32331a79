"""Work done ahead in threads, and boxes that are handed in."""

import threading
import time

import numpy as np
import pytest

from jaxpose.inference.frames import Frame, checked_image, results_ahead
from jaxpose.inference.own_boxes import boxes_by_name, person_boxes, with_boxes


def test_results_come_in_order_and_no_more_are_started_than_asked_for():
    started, most = [], []

    def call(number):
        started.append(number)
        time.sleep(0.002 * (number % 3))
        return number

    taken = 0
    for result in results_ahead((lambda n=n: call(n) for n in range(50)), 5, 4):
        assert result == taken
        taken += 1
        most.append(len(started) - taken)
    assert taken == 50 and max(most) <= 5


def test_one_thread_runs_one_call_after_the_other():
    names = list(results_ahead([lambda: threading.get_ident()] * 9, 3, 1))
    assert len(set(names)) == 1 and names[0] != threading.get_ident()


def test_an_error_comes_out_in_its_place_and_stops_the_rest():
    started = []

    def call(number):
        started.append(number)
        if number == 2:
            raise KeyError("two")
        return number

    results = results_ahead((lambda n=n: call(n) for n in range(50)), 3, 1)
    assert [next(results), next(results)] == [0, 1]
    with pytest.raises(KeyError, match="two"):
        next(results)
    assert len(started) <= 6


def test_own_boxes_are_checked():
    boxes = person_boxes([[1, 2, 3, 4], [0, 0, 9, 9]], [0.5, 1])
    assert boxes.boxes_xyxy.dtype == np.float32 and boxes.scores.tolist() == [0.5, 1]
    assert person_boxes([]).boxes_xyxy.shape == (0, 4)
    assert person_boxes(np.zeros((0, 4))).scores.shape == (0,)
    for wrong, fault in {
        ((1, 2, 3, 4),): r"not \[4\]",
        ((((1, 2, 3),)),): r"\[N, 4\]",
        (((0, 0, 9, 9), (5, 5, 5, 8)),): "box 1",
        (((0, 0, np.nan, 9),),): "box 0",
        (((0, 0, 9, 9),), (np.inf,)): "score inf",
        (((0, 0, 9, 9),), (1, 2)): "as many scores",
    }.items():
        with pytest.raises(ValueError, match=fault):
            person_boxes(*wrong)


def test_boxes_are_given_to_frames_by_name():
    own = boxes_by_name({"a": [[0, 0, 9, 9]]}, {"a": [0.25]})
    image = np.zeros((9, 9, 3), np.uint8)
    frames = [Frame("a", image), Frame("b", image), Frame("c", None, error="unreadable")]
    a, b, c = with_boxes(frames, own.get)
    assert a.boxes.scores.tolist() == [0.25] and len(b.boxes.scores) == 0 and c.boxes is None
    with pytest.raises(ValueError, match="mapping"):
        boxes_by_name([[0, 0, 9, 9]])


def test_images_are_checked():
    assert checked_image(np.zeros((1, 1, 3), np.uint8)).shape == (1, 1, 3)
    for wrong in (np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3)), np.zeros((0, 4, 3), np.uint8)):
        with pytest.raises(ValueError, match="RGB uint8"):
            checked_image(wrong)
