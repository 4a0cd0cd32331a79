from dataclasses import replace

import numpy as np
import pytest

from jaxpose.annotations.schema import AnnotationSet, Frame, Person, Rejections
from jaxpose.annotations.voc import CLASSES, read_lists, xml_file
from jaxpose.annotations.voc_writing import write_voc
from jaxpose.errors import DataError
from jaxpose.skeletons import COCO, NO_JOINTS


def objects(count):
    rng = np.random.default_rng(count)
    return tuple(
        Person(
            keypoints=np.zeros((0, 3)),
            box_xyxy=np.sort(np.round(rng.uniform(0, 70, (2, 2)), 3) + [[0, 0], [9, 9]], 0).ravel(),
            difficult=bool(rng.integers(2)),
            truncated=bool(rng.integers(2)),
            category=CLASSES[rng.integers(20)],
        )
        for _ in range(count)
    )


def test_round_trip(tmp_path):
    frames = [
        Frame(f"{year}/JPEGImages/{n}.jpg", f"{year}/{n}", 90 + n, 80, persons=objects(n))
        for year in ("VOC2007", "VOC2012")
        for n in range(3)
    ]
    written = AnnotationSet(NO_JOINTS, tuple(frames), classes=CLASSES)
    paths = write_voc(tmp_path, {"trainval": written})
    assert [path.name for path in paths[:3]] == ["trainval.txt", "trainval.txt", "0.xml"]
    assert paths[-1] == xml_file(tmp_path, frames[-1])
    before = [path.read_bytes() for path in paths]
    assert [p.read_bytes() for p in write_voc(tmp_path, {"trainval": written})] == before
    back = read_lists(tmp_path, (("VOC2007", "trainval"), ("VOC2012", "trainval")), Rejections())
    assert back.classes == written.classes
    for one, other in zip(back.frames, frames, strict=True):
        for name in ("filename", "image_id", "width", "height"):
            assert getattr(one, name) == getattr(other, name)
        for person, wanted in zip(one.persons, other.persons, strict=True):
            np.testing.assert_allclose(person.box_xyxy, wanted.box_xyxy, atol=1e-12)
            for name in ("category", "difficult", "truncated"):
                assert getattr(person, name) == getattr(wanted, name)


GOOD = Frame("VOC2007/JPEGImages/1.jpg", "VOC2007/1", 90, 80, persons=objects(1))


@pytest.mark.parametrize(
    "frame",
    [
        replace(GOOD, filename="1.jpg"),
        replace(GOOD, filename="VOC2007/JPEGImages/../1.jpg"),
        replace(GOOD, filename="VOC2007/JPEGImages/1.png"),
        replace(GOOD, filename="VOC2010/JPEGImages/1.jpg"),
        replace(GOOD, filename="VOC2007/JPEGImages/1 1.jpg"),
        replace(GOOD, width=None),
        replace(GOOD, persons=(Person(np.zeros((0, 3))),)),
        replace(GOOD, persons=(replace(GOOD.persons[0], category="unicorn"),)),
    ],
)
def test_what_voc_cannot_hold_is_refused(tmp_path, frame):
    with pytest.raises(DataError, match="VOC"):
        write_voc(tmp_path, {"trainval": AnnotationSet(COCO, (frame,))})
