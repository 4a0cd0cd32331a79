import numpy as np

from jaxpose.annotations.people import BOX_OFFSETS
from jaxpose.annotations.schema import Frame, Person
from jaxpose.data.tally import Tally

JOINTS = np.array([[10.0, 20, 2], [30, 60, 1]])
BOX = np.array([1.0, 2, 30, 40])
HEAD = np.array([10.0, 10, 16, 18])
TRIANGLE = np.array([[0.0, 0], [9, 0], [9, 9]])

ANNOTATED = Person(JOINTS, box_xyxy=BOX)
MPII = Person(JOINTS, center=np.array([20.0, 40]), scale=0.5)
HEADED = Person(JOINTS, head_box=HEAD)
ONE_JOINT = Person(JOINTS * [[1], [0]])
CROWD = Person(np.zeros((2, 3)), box_xyxy=BOX, iscrowd=True)


def test_images_count_all_persons_and_the_largest_record():
    tally = Tally()
    tally.add(Frame("a", "a", persons=(ANNOTATED, MPII, CROWD), ignore_polygons=(TRIANGLE,)), [{}])
    tally.add(Frame("b", "b", persons=(HEADED, ONE_JOINT)), [{}])
    tally.add(Frame("c", "c", ignore_polygons=(TRIANGLE,) * 3), [{}])
    tally.add(Frame("refused", "d", persons=(ANNOTATED,) * 9), [])
    assert (tally.most_boxes, tally.most_ignored) == (3, 3)
    assert tally.notes("train", ("person",), BOX_OFFSETS) == [
        "train person boxes: 2 annotated, 2 from keypoint extent x 1.3, 1 without area",
        "train crops: 1 from head box, 1 from objpos and scale, 1 from person box",
        "train head sizes: 1 unknown, 1 as 0.6 x head-box diagonal, 1 as 25 x raw scale",
    ]


def test_people_count_those_in_records():
    tally = Tally()
    frame = Frame("a", "a", persons=(ANNOTATED, CROWD, HEADED), ignore_polygons=(TRIANGLE,))
    tally.add(frame, [{"person/index": np.int32(0)}, {"person/index": np.int32(2)}])
    assert (tally.most_boxes, tally.most_ignored) == (1, 0)
    assert tally.notes("val", ("person",), (0.25,) * 4)[0] == (
        "val person boxes: 1 annotated, 1 from keypoint extent x 1.5"
    )


def test_sets_of_several_classes_hold_objects():
    tally = Tally()
    tally.add(Frame("a", "a", persons=(Person(np.zeros((0, 3)), BOX, category="dog"),)), [{}])
    assert tally.notes("train", ("cat", "dog"), BOX_OFFSETS) == ["train object boxes: 1 annotated"]
    assert Tally().notes("train", ("person",), BOX_OFFSETS) == []
