"""Which frames are the best and the worst, and what is drawn on them."""

from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from jaxpose.annotations.schema import Frame, Person
from jaxpose.evaluation.posetrack_matching import match_frame
from jaxpose.pipelines.system_gallery import (
    MISSED,
    Judged,
    data_uri,
    drawing,
    extremes,
    judged,
)
from jaxpose.pipelines.system_submission import ScoredFrame
from jaxpose.skeletons import POSETRACK17

HEAD = np.array([0.0, 0, 30, 40])  # head size 30 px: joints match within 15 px


def person(points, score=None, **more):
    keypoints = np.zeros((15, 3))
    for joint, xy in points.items():
        keypoints[joint] = (*xy, 2)
    scores = None if score is None else np.full(15, score)
    return Person(keypoints, head_box=HEAD, scores=scores, **more)


def scored(truth, found, image=Path("a.jpg"), video="v"):
    frames = [Frame("a.jpg", "a", persons=tuple(people)) for people in (truth, found)]
    return ScoredFrame(video, image, *frames, match_frame(*frames))


def test_right_and_false_joints_are_those_from_the_threshold_on():
    truth = [person({0: (50, 50), 1: (90, 90)}), person({2: (200, 20)})]
    found = [person({0: (52, 50), 1: (150, 90)}, 0.9), person({2: (200, 21), 3: (0, 9)}, 0.3)]
    frame = scored(truth, found)
    (low,), (high,) = judged([frame], 0.2), judged([frame], 0.5)
    assert (low.annotated, low.right, low.false) == (3, 2, 2) and low.share == 0
    assert (high.annotated, high.right, high.false) == (3, 1, 1)
    assert judged([scored([person({})], found)], 0) == []


def row(video, right, annotated=10, false=0):
    return Judged(SimpleNamespace(video=video), annotated, right, false)


def rates(rows):
    return [(r.frame.video, r.right) for r in rows]


def test_best_and_worst_are_spread_over_the_videos():
    rows = [row("a", n) for n in (9, 8, 1, 0)] + [row("b", n) for n in (7, 2)] + [row("c", 5)]
    best, worst = extremes(rows, 3)
    assert rates(best) == [("a", 9), ("b", 7), ("c", 5)]
    assert rates(worst) == [("a", 0), ("b", 2), ("a", 1)][:1] + [("a", 1), ("b", 2)]
    best, worst = extremes(rows[:4], 3)
    assert rates(best) == [("a", 9), ("a", 8)] and rates(worst) == [("a", 0), ("a", 1)]
    assert extremes(rows[:1], 3) == (rows[:1], []) and extremes([], 3) == ([], [])


def test_more_joints_go_first_among_equals_and_false_ones_count():
    rows = [row("a", 5, 5), row("b", 20, 20), row("c", 10, 10, false=4)]
    best, worst = extremes(rows, 1)
    assert rates(best) == [("b", 20)] and rates(worst) == [("c", 10)]


@pytest.fixture
def grey(tmp_path):
    cv2.imwrite(str(tmp_path / "grey.png"), np.full((200, 300, 3), 90, np.uint8))
    return tmp_path / "grey.png"


def coloured(image, colour):
    """Centre (x, y) of the pixels of about a colour, and their number."""
    near = (np.abs(image.astype(int) - colour) < 60).all(-1)
    ys, xs = np.nonzero(near)
    return (xs.mean(), ys.mean()) if len(xs) else None, len(xs)


def test_missed_joints_are_ringed_at_the_size_of_the_page(grey):
    truth = [person({0: (100, 60), 1: (250, 150)})]
    frame = scored(truth, [person({0: (101, 60)}, 0.9)], grey)
    image = drawing(frame, POSETRACK17, 0.5)
    assert image.shape == (400, 600, 3)  # enlarged twice, no more
    centre, count = coloured(image, MISSED)
    assert centre == pytest.approx((500.5, 300.5), abs=1) and count > 30
    # With a threshold above its score the other joint is missed too, and nobody is drawn.
    both, more = coloured(drawing(frame, POSETRACK17, 0.95), MISSED)
    assert both[0] == pytest.approx((500.5 + 200.5) / 2, abs=2) and more > 1.8 * count


def test_large_pictures_are_reduced(tmp_path):
    cv2.imwrite(str(tmp_path / "large.png"), np.zeros((900, 1600, 3), np.uint8))
    frame = scored([person({0: (800, 450)})], [], tmp_path / "large.png")
    image = drawing(frame, POSETRACK17, 0)
    assert image.shape == (405, 720, 3)
    assert coloured(image, MISSED)[0] == pytest.approx((360, 202.5), abs=1)
    assert data_uri(image).startswith("data:image/jpeg;base64,/9j/")
