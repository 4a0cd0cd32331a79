"""COCO results: read back by pycocotools and by the project."""

import json

import numpy as np
import pytest
from pycocotools import coco as pycoco

from jaxpose.errors import DataError
from jaxpose.inference.coco_results import CocoResults, read_coco_results
from jaxpose.inference.people import FrameResult, Person
from jaxpose.skeletons import COCO, POSETRACK17


def _person(names=COCO.joints, seed=0):
    rng = np.random.default_rng(seed)
    points = np.round(rng.uniform(0, 300, (len(names), 2)), 3)
    scores = rng.uniform(0.1, 1, len(names)).astype(np.float32)
    return Person(np.array([10.5, 20, 110.25, 220]), np.float32(0.625), points, scores, names)


def _frames(*names, people=2):
    return [
        FrameResult(name, 640, 480, tuple(_person(seed=10 * n + p) for p in range(people)))
        for n, name in enumerate(names)
    ]


def _written(folder, frames, names=COCO.joints, threshold=0.0):
    writer = CocoResults(folder, names, threshold)
    for frame in frames:
        writer.add(frame)
    return writer, writer.close()


def test_pycocotools_reads_exactly_what_was_estimated(tmp_path):
    frames = _frames("a/000000000785.jpg", "000000040083.jpg")
    writer, paths = _written(tmp_path, frames)
    assert paths == [tmp_path / "results.json", tmp_path / "images.json"]
    truth = pycoco.COCO(str(tmp_path / "images.json"))
    results = truth.loadRes(str(tmp_path / "results.json"))
    assert {i: image["file_name"] for i, image in truth.imgs.items()} == {
        785: "a/000000000785.jpg",
        40083: "000000040083.jpg",
    }
    found = results.imgToAnns[785]
    assert len(found) == 2 and len(results.imgToAnns[40083]) == 2
    for result, person in zip(found, frames[0].people, strict=True):
        assert result["bbox"] == [10.5, 20, 99.75, 200] and result["score"] == 0.625
        joints = np.array(result["keypoints"]).reshape(-1, 3)
        np.testing.assert_array_equal(joints[:, :2], person.keypoints)
        np.testing.assert_array_equal(joints[:, 2], person.keypoint_scores.astype(np.float64))
    assert "coco: image_id is the number in the file name" in writer.notes


@pytest.mark.parametrize("names", [("a.jpg", "7.jpg"), ("x/7.jpg", "y/007.jpg"), ("٣.jpg",)])
def test_other_names_count_from_one(tmp_path, names):
    writer, _ = _written(tmp_path, _frames(*names))
    images = json.loads((tmp_path / "images.json").read_text())["images"]
    assert [(i["id"], i["file_name"]) for i in images] == list(enumerate(names, 1))
    assert any("counts from 1" in note for note in writer.notes)


def test_reading_back_gives_the_frames(tmp_path):
    frames = _frames("sp ace/ü 图.jpg", "b.jpg", people=2)
    frames[1] = frames[1]._replace(people=())  # nobody there
    frames.append(FrameResult("broken.jpg", 0, 0, (), error="truncated JPEG"))
    frames.append(FrameResult("clip/000004", 32, 24, (_person(seed=9),), "clip", 4))
    _written(tmp_path, frames)
    back = read_coco_results(tmp_path)
    for frame, again in zip(frames, back, strict=True):
        assert frame._replace(people=()) == again._replace(people=())
        for person, other in zip(frame.people, again.people, strict=True):
            np.testing.assert_array_equal(person.keypoints, other.keypoints)
            np.testing.assert_array_equal(person.keypoint_scores, other.keypoint_scores)
            np.testing.assert_array_equal(person.box_xyxy, other.box_xyxy)
            assert person.score == other.score and other.joint_names == COCO.joints


def test_lacking_and_low_joints_are_zeros(tmp_path):
    person = _person(POSETRACK17.joints)
    low = person.keypoint_scores.copy()
    low[POSETRACK17.joints.index("left_knee")] = 0.2
    low[POSETRACK17.joints.index("right_knee")] = 0.3
    person = person._replace(keypoint_scores=low)
    frame = FrameResult("1.jpg", 640, 480, (person,))
    writer, _ = _written(tmp_path, [frame], POSETRACK17.joints, threshold=0.25)
    (result,) = json.loads((tmp_path / "results.json").read_text())
    joints = dict(zip(COCO.joints, np.reshape(result["keypoints"], (-1, 3)), strict=True))
    assert not joints["left_ear"].any() and not joints["left_knee"].any()
    right = person.keypoints[POSETRACK17.joints.index("right_knee")]
    assert joints["right_knee"][:2].tolist() == right.tolist()
    assert writer.notes[0].startswith("coco: the network has no left_eye, right_eye, left_ear")
    assert "no slot for head_bottom, head_top" in writer.notes[0]
    (again,) = read_coco_results(tmp_path)[0].people
    assert np.isnan(again.keypoints[COCO.joints.index("left_knee")]).all()


def test_no_people_and_no_frames_are_valid_files(tmp_path):
    _written(tmp_path / "a", _frames("1.jpg", people=0))
    assert json.loads((tmp_path / "a/results.json").read_text()) == []
    assert len(read_coco_results(tmp_path / "a")) == 1
    _written(tmp_path / "b", [])
    assert read_coco_results(tmp_path / "b") == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image_id": 5}, "result 1: image_id 5 is not in images.json"),
        ({"keypoints": [1, 2, 3]}, "result 1: keypoints holds 3 numbers"),
        ({"bbox": [0, 0, -1, 2]}, "result 1: bbox has a negative size"),
        ({"score": "high"}, "result 1: score is 'high'"),
    ],
)
def test_damaged_results_are_named(tmp_path, change, message):
    _written(tmp_path, _frames("1.jpg"))
    results = json.loads((tmp_path / "results.json").read_text())
    results[1] |= change
    (tmp_path / "results.json").write_text(json.dumps(results))
    with pytest.raises(DataError, match=message):
        read_coco_results(tmp_path)


def test_missing_files_are_named(tmp_path):
    with pytest.raises(DataError, match="images.json"):
        read_coco_results(tmp_path)
