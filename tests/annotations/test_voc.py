import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jaxpose.annotations.schema import Rejections
from jaxpose.annotations.voc import CLASSES, list_file, read_lists, read_voc, voc_splits
from jaxpose.errors import DataError
from jaxpose.skeletons import NO_JOINTS

PERSON = """
  <object><name>person</name><pose>Left</pose><truncated>1</truncated><difficult>0</difficult>
    <bndbox><xmin>8</xmin><ymin>12</ymin><xmax>60</xmax><ymax>80</ymax></bndbox>
    <part><name>head</name>
      <bndbox><xmin>1</xmin><ymin>1</ymin><xmax>9</xmax><ymax>9</ymax></bndbox></part>
  </object>"""
# VOC2012 orders the corners otherwise and has fractions.
DOG = """
  <object><name>dog</name><difficult>1</difficult>
    <bndbox><xmax>33.5</xmax><xmin>1</xmin><ymax>44</ymax><ymin>2.25</ymin></bndbox>
  </object>"""
TRAINVAL07, TEST07 = (("VOC2007", "trainval"),), (("VOC2007", "test"),)


def xml(*objects, width=100, height=80):
    size = f"<size><width>{width}</width><height>{height}</height><depth>3</depth></size>"
    return f"<annotation><folder>VOC2007</folder>{size}{''.join(objects)}\n</annotation>"


def put(devkit, year, lists, **documents):
    (devkit / year / "Annotations").mkdir(parents=True, exist_ok=True)
    for name, content in documents.items():
        (devkit / year / "Annotations" / f"{name.strip('_')}.xml").write_text(content)
    for name, images in lists.items():
        file = list_file(devkit, year, name)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("".join(f"{image}\n" for image in images))


@pytest.fixture
def one(tmp_path):
    """Writes one annotation and reads it."""

    def read(content, allowed=0, name="000001"):
        put(tmp_path, "VOC2007", {"trainval": [name]}, _000001=content)
        rejections = Rejections(allowed)
        return read_lists(tmp_path, TRAINVAL07, rejections), rejections

    return read


def test_hand_written_annotation(one):
    found, _ = one(xml(PERSON, DOG))
    assert found.skeleton is NO_JOINTS and found.classes == CLASSES and found.notes == ()
    (frame,) = found.frames
    assert (frame.image_id, frame.filename) == ("VOC2007/000001", "VOC2007/JPEGImages/000001.jpg")
    assert (frame.width, frame.height, frame.video_id, frame.is_labeled) == (100, 80, "", True)
    person, dog = frame.persons
    np.testing.assert_array_equal(person.box_xyxy, [7, 11, 59, 79])
    np.testing.assert_array_equal(dog.box_xyxy, [0, 1.25, 32.5, 43])
    assert (person.category, person.truncated, person.difficult) == ("person", True, False)
    assert (dog.category, dog.truncated, dog.difficult) == ("dog", False, True)
    assert person.keypoints.shape == (0, 3) and not person.iscrowd


def test_classes_are_vocs_in_alphabetical_order():
    assert len(CLASSES) == 20 and list(CLASSES) == sorted(CLASSES)
    assert CLASSES.index("person") == 14


def test_frames_without_objects_stay(one):
    (frame,) = one(xml())[0].frames
    assert frame.persons == ()


def box(xmin, ymin, xmax, ymax):
    corners = {"xmin": xmin, "ymin": ymin, "xmax": xmax, "ymax": ymax}
    inner = "".join(f"<{k}>{v}</{k}>" for k, v in corners.items())
    return f"<object><name>cat</name><bndbox>{inner}</bndbox></object>"


@pytest.mark.parametrize("corners", [(5, 5, 5, 9), (5, 9, 50, 9), (101, 1, 120, 9)])
def test_empty_boxes_are_left_out_and_counted(one, corners):
    found, rejections = one(xml(box(*corners), PERSON))
    assert [p.category for p in found.frames[0].persons] == ["person"]
    assert found.notes == ("1 objects with an empty box left out",)
    assert not rejections.rows


@pytest.mark.parametrize(
    ("element", "reason"),
    [
        (box(9, 1, 5, 9), "bndbox has a negative size: -4 x 8"),
        (box("nan", 1, 5, 9), "xmin is 'nan', not a number"),
        (box("", 1, 5, 9), "xmin is '', not a text"),
        (box(1, 1, 1e9, 9), "absurdly far outside"),
        (DOG.replace("dog", "unicorn"), "name 'unicorn' is none of the 20 classes"),
        (DOG.replace("<name>dog</name>", ""), "object has no element name"),
        (DOG.replace("<difficult>1", "<difficult>5"), "difficult is 5.0, neither 0 nor 1"),
        (DOG.replace("<xmin>1</xmin>", ""), "bndbox has no element xmin"),
        ("<object><name>dog</name></object>", "object has no element bndbox"),
        (DOG.replace("</object>", "<bndbox/></object>"), "object has 2 elements bndbox"),
    ],
)
def test_bad_objects_are_refused_by_name(one, element, reason):
    with pytest.raises(DataError, match=rf"000001.xml: object 1: .*{reason}"):
        one(xml(PERSON, element))
    found, rejections = one(xml(PERSON, element), allowed=1)
    assert [p.category for p in found.frames[0].persons] == ["person"]
    assert [row["record"] for row in rejections.rows] == ["object 1"]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("<annotation>", "not XML"),
        ("<annotation/>", "annotation has no element size"),
        (xml(width=0), "image width is 0"),
        (xml(height="1.5"), "image height is 1.5"),
        ('<!DOCTYPE annotation [<!ENTITY a "b">]>' + xml(), "document type"),
    ],
)
def test_bad_annotations_are_refused_by_name(one, content, reason):
    with pytest.raises(DataError, match=rf"000001.xml: VOC2007/000001: .*{reason}"):
        one(content)
    found, rejections = one(content, allowed=1)
    assert found.frames == () and len(rejections.rows) == 1


@pytest.mark.parametrize("name", ["../000001", "/etc/passwd", "a/b", "000001 -1", "C:x", ".."])
def test_lists_hold_plain_names(one, name):
    with pytest.raises(DataError, match="trainval.txt: line 1: "):
        one(xml(), name=name)


def test_images_listed_twice_and_without_annotation_are_refused(tmp_path):
    put(tmp_path, "VOC2007", {"trainval": ["1", "", "1"], "test": ["2"]}, _1=xml())
    with pytest.raises(DataError, match=r"trainval.txt: line 3: image 1 is listed twice"):
        read_lists(tmp_path, TRAINVAL07, Rejections())
    with pytest.raises(DataError, match=r"2.xml: VOC2007/2: cannot be read: No such file"):
        read_lists(tmp_path, TEST07, Rejections())


def test_splits_are_07_plus_12_and_the_test_of_07(tmp_path):
    put(tmp_path, "VOC2007", {"train": "1", "val": "2", "trainval": "12", "test": "3"},
        _1=xml(PERSON), _2=xml(), _3=xml(DOG))  # fmt: skip
    put(tmp_path, "VOC2012", {"train": "1", "val": "4", "trainval": "14", "test": "5"},
        _1=xml(DOG), _4=xml())  # fmt: skip
    splits = read_voc(tmp_path)
    ids = {name: [frame.image_id for frame in found.frames] for name, found in splits.items()}
    assert ids == {
        "train": ["VOC2007/1", "VOC2007/2", "VOC2012/1", "VOC2012/4"],
        "validation": ["VOC2007/3"],
    }
    assert splits["train"].notes == ("train is VOC2007 trainval + VOC2012 trainval",)
    assert splits["validation"].notes == ("validation is VOC2007 test",)
    assert [f.persons[0].category for f in splits["train"].frames if f.persons] == ["person", "dog"]


def test_without_the_test_list_val_is_held_apart(tmp_path):
    put(tmp_path, "VOC2012", {"train": "1", "val": "4", "trainval": "14", "test": "5"},
        _1=xml(), _4=xml())  # fmt: skip
    assert voc_splits(tmp_path) == {
        "train": (("VOC2012", "train"),),
        "validation": (("VOC2012", "val"),),
    }
    assert read_voc(tmp_path)["validation"].notes == ("validation is VOC2012 val",)


def test_shared_images_are_noted(tmp_path):
    put(tmp_path, "VOC2007", {"trainval": "12", "test": "23"}, _1=xml(), _2=xml(), _3=xml())
    for found in read_voc(tmp_path).values():
        assert found.notes[-1] == "1 images are both in train and in validation"


def test_a_folder_without_lists_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"no VOC image lists here, such as .*trainval.txt"):
        read_voc(tmp_path)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck), database=None)
@given(st.data(), st.sampled_from([0, 100]))
def test_mutants_are_valid_or_refused(tmp_path, data, allowed):
    content = xml(PERSON, DOG)
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(content)))
        stop = min(len(content), start + data.draw(st.integers(0, 12)))
        piece = data.draw(st.sampled_from(["", "<", ">", "1", "-9e9", "</bndbox>", "&a;", "<x/>"]))
        content = content[:start] + piece + content[stop:]
    put(tmp_path, "VOC2007", {"trainval": ["1"]}, _1=content)
    try:
        found = read_lists(tmp_path, TRAINVAL07, Rejections(allowed))
    except DataError as error:
        assert "\n" not in str(error) and "1.xml" in str(error)
        return
    for frame in found.frames:
        assert frame.width > 0 and frame.height > 0
        for person in frame.persons:
            x1, y1, x2, y2 = person.box_xyxy
            assert x1 < x2 and y1 < y2 and np.abs(person.box_xyxy).max() < 1e7
            assert person.category in CLASSES


@pytest.mark.skipif("JAXPOSE_SAMPLES" not in os.environ, reason="JAXPOSE_SAMPLES is not set")
def test_real_files():
    splits = read_voc(Path(os.environ["JAXPOSE_SAMPLES"]) / "VOCdevkit")
    by_id = {frame.image_id: frame for frame in splits["train"].frames}
    assert set(by_id) == {"VOC2007/000001", "VOC2012/000001"}
    dog, person = by_id["VOC2007/000001"].persons
    np.testing.assert_array_equal(dog.box_xyxy, [47, 239, 194, 370])
    np.testing.assert_array_equal(person.box_xyxy, [7, 11, 351, 497])
    assert dog.truncated and not dog.difficult
    (train,) = by_id["VOC2012/000001"].persons
    assert train.category == "train"
    assert "1 images are both in train and in validation" in splits["validation"].notes
