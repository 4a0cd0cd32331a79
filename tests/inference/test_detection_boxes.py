"""Boxes from files, found by the names of the images."""

import json
import os
from pathlib import Path

import numpy as np
import pytest

from jaxpose.errors import DataError
from jaxpose.inference.detection_boxes import read_boxes, write_boxes
from jaxpose.inference.people import FrameResult, Person


def _file(tmp_path, document, name="detections.json"):
    (tmp_path / name).write_text(json.dumps(document))
    return tmp_path / name


def _result(score=0.5, **fields):
    return {"bbox": [10, 20, 30, 40], "score": score, "category_id": 1} | fields


def _scores(boxes, name):
    found = boxes.find(name)
    return None if found is None else found[1].tolist()


def test_a_list_of_results_is_found_by_number(tmp_path):
    path = _file(
        tmp_path,
        [_result(0.9, image_id=785), _result(0.8, image_id=785, bbox=[1, 2, 3, 4.5]),
         _result(0.7, image_id=10003420001), _result(0.6, image_id=785, category_id=3)],
    )  # fmt: skip
    boxes = read_boxes(path)
    found, scores = boxes.find("any folder/000000000785.jpg")
    assert found.tolist() == [[10, 20, 40, 60], [1, 2, 4, 6.5]] and scores.tolist() == [0.9, 0.8]
    assert _scores(boxes, "val/000342_mpii_test/000001.jpg") == [0.7]
    assert boxes.find("786.jpg") is None and boxes.find("000342_mpii_test/000002.jpg") is None
    assert boxes.notes == ["1 boxes of other categories left out"] and len(boxes) == 2


def test_a_list_with_file_names(tmp_path):
    path = _file(tmp_path, [_result(0.9, file_name="a b/ü.jpg"), {"file_name": "c.png",
                            "bbox": [0, 0, 5, 5]}])  # fmt: skip
    boxes = read_boxes(path)
    assert _scores(boxes, "a b/ü.jpg") == [0.9] and _scores(boxes, "c.png") == [1.0]
    assert boxes.find("ü.png") is not None and boxes.find("other/ü.jpg") is None


def _document(images, annotations, names=("person", "dog")):
    return {
        "images": [{"id": n, "file_name": name} for n, name in enumerate(images)],
        "annotations": [
            {"id": n, "iscrowd": 0} | _result() | fields for n, fields in enumerate(annotations)
        ],
        "categories": [{"id": n, "name": name} for n, name in enumerate(names, 1)],
    }


def test_a_document_knows_images_without_boxes(tmp_path):
    path = _file(
        tmp_path,
        _document(
            ["images/val/000342_x/000000.jpg", "images/val/000342_x/000001.jpg"],
            [{"image_id": 0, "score": 0.4}, {"image_id": 0, "category_id": 2},
             {"image_id": 0, "iscrowd": 1}, {"image_id": 0, "bbox": [3, 3, 0, 9]}],
        ),
    )  # fmt: skip
    boxes = read_boxes(path)
    assert _scores(boxes, "000342_x/000000.jpg") == [0.4]
    found, scores = boxes.find("000342_x/000001")
    assert found.shape == (0, 4) and scores.shape == (0,)
    assert boxes.find("000343_x/000000.jpg") is None
    assert "2 boxes of other categories left out" in boxes.notes
    assert any("empty box left out" in note for note in boxes.notes)


def test_names_that_fit_two_images_are_an_error(tmp_path):
    images = ["a/1.jpg", "b/1.jpg", "c/2.jpg", "c/2.png"]
    boxes = read_boxes(_file(tmp_path, _document(images, [])))
    assert boxes.find("b/1.jpg") is not None and boxes.find("x/b/1.bmp") is not None
    assert boxes.find("c/2.png") is not None
    with pytest.raises(DataError, match=r"1\.jpg: a/1\.jpg or b/1\.jpg"):
        boxes.find("1.jpg")
    with pytest.raises(DataError, match=r"c/2\.jpg or c/2\.png"):
        boxes.find("c/2.bmp")


def test_a_folder_of_documents(tmp_path):
    for n, name in enumerate(("one", "two")):
        document = _document([f"{name}/0.jpg"], [{"image_id": 0, "score": n / 4}])
        _file(tmp_path, document, f"{name}.json")
    boxes = read_boxes(tmp_path)
    assert [_scores(boxes, f"{name}/0.jpg") for name in ("one", "two")] == [[0], [0.25]]


def test_what_was_written_is_read(tmp_path):
    person = Person(np.array([1.5, 2, 31.5, 42], np.float32), np.float32(0.3), *[np.zeros(0)] * 3)
    frames = [
        FrameResult("clip/000000", 64, 48, (person, person._replace(score=0.75)), "clip", 0),
        FrameResult("clip/000001", 64, 48, (), "clip", 1),
    ]
    write_boxes(tmp_path / "cache/boxes.json", frames)
    boxes = read_boxes(tmp_path / "cache/boxes.json")
    found, scores = boxes.find("clip/000000")
    assert found.tolist() == [[1.5, 2, 31.5, 42]] * 2
    assert scores.tolist() == [float(np.float32(0.3)), 0.75]
    assert boxes.find("clip/000001")[0].shape == (0, 4)


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ([_result(image_id=1), 7], "detection 1: detection is 7"),
        ([_result()], "detection 0: neither file_name nor image_id"),
        ([{"image_id": 1}], "detection 0: no bbox"),
        ([_result(image_id=1, bbox=[1, 2, 3])], "detection 0: bbox holds 3 numbers"),
        ([_result(image_id=1, bbox=[1, 2, -3, 4])], "detection 0: bbox has a negative size"),
        ([_result(image_id="x")], "detection 0: image_id is 'x'"),
        ([_result(file_name="../x.jpg")], "detection 0: file_name .* leads out"),
        ([_result("sure", image_id=1)], "detection 0: score is 'sure'"),
        (_document(["a.jpg"], [{"image_id": 4}]), r"annotations\[0\].* image_id 4 has no image"),
        (_document(["a.jpg"], [], ("dog",)), "no category person, only dog"),
        ({"results": []}, "no field categories"),
        (3, "detections.json"),
    ],
)
def test_damaged_files_name_file_and_record(tmp_path, document, message):
    path = _file(tmp_path, document)
    with pytest.raises(DataError, match=message) as caught:
        read_boxes(path)
    assert "detections.json" in str(caught.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(DataError, match="nothing.json"):
        read_boxes(tmp_path / "nothing.json")


@pytest.mark.skipif("JAXPOSE_SAMPLES" not in os.environ, reason="JAXPOSE_SAMPLES is not set")
def test_real_detections():
    samples = Path(os.environ["JAXPOSE_SAMPLES"])
    boxes = read_boxes(samples / "coco/test_coco_det_AP_H_56.json")
    assert all(len(boxes.find(f.name)[0]) for f in (samples / "coco").glob("*.jpg"))
    annotations = samples / "posetrack18/annotations"
    boxes = read_boxes(annotations / "test_posetrack18_human_detections.json")
    assert len(boxes.find("012834_mpii_test/000000.jpg")[0]) > 3
    truth = read_boxes(annotations / "test_posetrack18_val.json")
    assert len(truth.find("val/012834_mpii_test/000000.jpg")[0]) == 11
