import json
import os
from pathlib import Path

import numpy as np
import pytest

from jaxpose.annotations.coco import (
    read_coco_detection,
    read_coco_keypoints,
    write_coco_detection,
    write_coco_keypoints,
)
from jaxpose.annotations.schema import AnnotationSet, Frame, Person, Rejections
from jaxpose.errors import DataError
from jaxpose.skeletons import COCO, NO_JOINTS


def document(**more):
    content = {
        "images": [
            {"id": 9, "file_name": "a.jpg", "width": 100, "height": 80},
            {"id": 4, "file_name": "b.jpg", "width": 50, "height": 40},
        ],
        "annotations": [
            {"id": 1, "image_id": 9, "category_id": 17, "bbox": [10, 20.5, 30, 40], "area": 600.5,
             "iscrowd": 0, "segmentation": [[1, 2, 3]]},
            {"id": 2, "image_id": 9, "category_id": 1, "bbox": [0, 0, 100, 80], "iscrowd": 1},
        ],
        # Ids have gaps, and need not be in order.
        "categories": [{"id": 17, "name": "cat"}, {"id": 1, "name": "person"},
                       {"id": 90, "name": "toothbrush"}],
    }  # fmt: skip
    return {**content, **more}


def changed(**fields):
    content = document()
    content["annotations"][0].update(fields)
    return content


@pytest.fixture
def read(tmp_path):
    def written_and_read(content, allowed=0):
        path = tmp_path / "instances.json"
        path.write_text(json.dumps(content))
        return read_coco_detection(path, Rejections(allowed))

    return written_and_read


def test_hand_written_file(read):
    found = read(document())
    assert found.skeleton is NO_JOINTS
    assert found.classes == ("person", "cat", "toothbrush")
    first, empty = found.frames
    assert (first.image_id, first.filename, empty.persons) == ("9", "a.jpg", ())
    cat, crowd = first.persons
    np.testing.assert_array_equal(cat.box_xyxy, [10, 20.5, 40, 60.5])
    assert (cat.category, cat.area, cat.iscrowd) == ("cat", 600.5, False)
    assert (crowd.category, crowd.iscrowd) == ("person", True)
    assert cat.keypoints.shape == (0, 3)


def test_keypoints_are_not_read(read):
    posed = changed(keypoints=[1, 2, "not a number"], num_keypoints=3, scores=[1])
    assert read(posed).frames[0].persons[0].scores is None


@pytest.mark.parametrize(
    "bbox", [[5, 5, 20, 0], [5, 5, 0, 20], [100, 5, 20, 20], [-9, 5, 9, 9], [1e9, 2, 3, 4]]
)
def test_empty_boxes_are_left_out_and_counted(read, bbox):
    found = read(changed(bbox=bbox))
    assert [person.category for person in found.frames[0].persons] == ["person"]
    (note,) = found.notes
    assert note.startswith("1 annotations") and "empty box left out" in note


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"bbox": None}, "annotation has no bbox"),
        ({"bbox": [1, 2, -3, 4]}, "negative size"),
        ({"bbox": [1, 2, 3]}, "bbox holds 3 numbers"),
        ({"bbox": [1, 2, 3, "4"]}, "not a number"),
        ({"bbox": [0, 0, 1e9, 4]}, "absurdly far outside"),
        ({"category_id": 2}, "category_id 2 is not among the categories"),
        ({"image_id": 5}, "image_id 5 has no image"),
        ({"id": 2}, "annotation id 2 occurs twice"),
        ({"iscrowd": 3}, "iscrowd is 3"),
        ({"area": -1}, "area is -1"),
    ],
)
def test_bad_annotations_are_refused_by_name(read, fields, reason):
    content = changed(**fields)
    with pytest.raises(DataError, match=rf"instances.json: annotations\[[01]\] .*: .*({reason})"):
        read(content)
    assert len(read(content, allowed=1).frames[0].persons) == 1


@pytest.mark.parametrize(
    ("categories", "reason"),
    [
        ([], "categories: none"),
        ([{"id": 1, "name": "a"}, {"id": 1, "name": "b"}], "an id occurs twice"),
        ([{"id": 1, "name": "a"}, {"id": 2, "name": "a"}], "a name occurs twice"),
        ([{"id": 1}], "category has no field name"),
        ([{"name": "a"}], "category has no field id"),
        ([7], "category is 7"),
        ({}, "categories is"),
    ],
)
def test_bad_categories_are_refused(read, categories, reason):
    with pytest.raises(DataError, match=rf"instances.json: .*{reason}"):
        read(document(categories=categories, annotations=[]))


def test_a_keypoint_file_gives_its_boxes(tmp_path):
    person = Person(np.tile([20.0, 30, 2], (17, 1)), box_xyxy=np.array([10.0, 10, 60, 60]))
    frames = (Frame("1.jpg", "1", 90, 80, persons=(person,)),)
    write_coco_keypoints(tmp_path / "a.json", AnnotationSet(COCO, frames))
    found = read_coco_detection(tmp_path / "a.json")
    assert found.classes == ("person",) and found.skeleton is NO_JOINTS
    np.testing.assert_array_equal(found.frames[0].persons[0].box_xyxy, person.box_xyxy)


def test_round_trip(tmp_path):
    classes = ("person", "dog", "cat")
    boxes = np.array([[1.0, 2, 30, 40], [0.5, 0.25, 9, 9], [3, 3, 50, 60]])
    persons = tuple(
        Person(np.zeros((0, 3)), box, area=9.5, iscrowd=name == "dog", category=name)
        for box, name in zip(boxes, ("dog", "person", "dog"), strict=True)
    )
    frames = (Frame("1.jpg", "1", 90, 80, persons=persons), Frame("2.jpg", "2", 90, 80))
    path = tmp_path / "a.json"
    write_coco_detection(path, AnnotationSet(NO_JOINTS, frames, classes=classes))
    first = path.read_bytes()
    back = read_coco_detection(path)
    assert back.classes == classes and [f.image_id for f in back.frames] == ["1", "2"]
    for one, other in zip(back.frames[0].persons, persons, strict=True):
        np.testing.assert_array_equal(one.box_xyxy, other.box_xyxy)
        assert (one.category, one.iscrowd, one.area) == (other.category, other.iscrowd, other.area)
    write_coco_detection(path, back)
    assert path.read_bytes() == first
    assert "keypoints" not in path.read_text()


@pytest.mark.skipif("JAXPOSE_SAMPLES" not in os.environ, reason="JAXPOSE_SAMPLES is not set")
def test_real_file():
    path = Path(os.environ["JAXPOSE_SAMPLES"]) / "coco/test_coco.json"
    boxes, posed = read_coco_detection(path), read_coco_keypoints(path)
    assert boxes.classes == ("person",) and len(boxes.frames) == 4
    for one, other in zip(boxes.frames, posed.frames, strict=True):
        for box, person in zip(one.persons, other.persons, strict=True):
            np.testing.assert_array_equal(box.box_xyxy, person.box_xyxy)
