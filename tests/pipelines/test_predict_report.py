"""The lines at the end of a run."""

import numpy as np
import pytest

from jaxpose.inference.frames import Frame
from jaxpose.inference.people import FrameResult, Person
from jaxpose.inference.video import VideoReport
from jaxpose.pipelines.predict_report import Tally, video_lines

PERSON = Person(np.zeros(4), 1.0, np.zeros((1, 2)), np.zeros(1), ("nose",))


@pytest.mark.parametrize(
    ("people", "told"),
    [
        ([1], "1 frame, 1 person in "),
        ([0], "1 frame, 0 people in "),
        ([2, 0], "2 frames, 2 people in "),
        ([], "0 frames, 0 people in "),
    ],
)
def test_numbers_agree_with_their_nouns(people, told):
    tally = Tally()
    for number in people:
        tally.add(Frame("a.jpg", None), FrameResult("a.jpg", 1, 1, (PERSON,) * number))
    assert tally.speed(0).startswith(told)


def test_a_video_s_frames():
    reports = {
        "a": VideoReport("a", rate=10, expected=1, read=1),
        "b": VideoReport("b", rate=10, expected=3, read=1, failed=2),
        "c": VideoReport("c", rate=10, expected=0, read=1),
    }
    assert [line.partition(", ")[0] for line in video_lines(reports)] == [
        "a: 1 of 1 frame read",
        "b: 1 of 3 frames read",
        "c: 1 frame read",
    ]
