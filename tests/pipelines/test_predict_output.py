"""What `predict` draws, and what it says about it."""

import cv2
import numpy as np
import pytest

from jaxpose.inference.frames import Frame
from jaxpose.inference.people import FrameResult, Person
from jaxpose.pipelines.predict_output import Output
from jaxpose.skeletons import POSETRACK17

HEIGHT, WIDTH = 240, 320
BOX = (60, 60, 260, 220)


def drawn(folder, video="", **options):
    """One person in one frame: the notes, and the drawn picture where one is saved."""
    joints = POSETRACK17.joints
    points = np.full((len(joints), 2), [160.0, 140.0])
    person = Person(np.float32(BOX), 0.9, points, np.ones(len(joints)), joints)
    image = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    name, index = ("clip/000000", 0) if video else ("a.png", -1)
    result = FrameResult(name, WIDTH, HEIGHT, (person,), video, index)
    chosen = {"save_images": False, "save_video": False} | options
    with Output(folder, [], joints, 0.0, **chosen) as output:
        output.add(Frame(name, image, video, index), result, 25.0)
    path = folder / "images/a.png"
    return output.notes(), cv2.imread(str(path)) if path.exists() else None


def parts(image):
    """Whether the box's lower edge is drawn, and a label: above it, or in its upper left."""
    edge = image[BOX[3] - 2 : BOX[3] + 3, BOX[0] + 10 : BOX[2] - 10]
    corner = image[BOX[1] - 40 : BOX[1] + 40, BOX[0] + 5 : BOX[0] + 60].copy()
    corner[38:43] = 0  # the box's upper edge
    return bool(edge.any()), bool(corner.any())


@pytest.mark.parametrize("boxes", [True, False])
@pytest.mark.parametrize("labels", [True, False])
def test_boxes_and_labels_are_drawn_as_asked(tmp_path, boxes, labels):
    _, image = drawn(tmp_path, save_images=True, boxes=boxes, labels=labels)
    assert parts(image) == (boxes, labels) and image[130:150, 150:170].any()


@pytest.mark.parametrize("with_av", [True, False])
def test_notes_on_videos_follow_what_was_written(tmp_path, monkeypatch, with_av):
    """A still asks for no codec; that of a video is named only where it is not H.264."""
    assert drawn(tmp_path)[0] == []
    monkeypatch.setattr("jaxpose.pipelines.predict_output.has_h264", lambda: with_av)
    (note,) = drawn(tmp_path, save_video=True)[0]
    assert note.startswith("no video is written") and not (tmp_path / "videos").exists()
    notes, _ = drawn(tmp_path, "clip", save_video=True)
    assert (tmp_path / "videos/clip.mp4").stat().st_size > 0
    assert notes == [] if with_av else "MPEG-4 part 2" in notes[0]
