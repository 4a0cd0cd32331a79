"""PoseTrack files of predictions, read back by the readers of annotations."""

import json

import numpy as np
import pytest

from jaxpose.annotations.posetrack17 import read_posetrack17
from jaxpose.annotations.posetrack18 import read_posetrack18
from jaxpose.annotations.schema import VISIBLE
from jaxpose.errors import DataError
from jaxpose.inference.people import FrameResult, Person
from jaxpose.inference.posetrack_results import (
    frame_results,
    posetrack17_results,
    posetrack18_results,
    posetrack_image_id,
)
from jaxpose.skeletons import MPII, POSETRACK17, POSETRACK18, conversion

FORMATS = [
    (posetrack17_results, read_posetrack17, POSETRACK17),
    (posetrack18_results, read_posetrack18, POSETRACK18),
]
each_format = pytest.mark.parametrize(("results", "read", "skeleton"), FORMATS, ids=["17", "18"])


def _person(names=POSETRACK17.joints, seed=0):
    rng = np.random.default_rng(seed)
    points = np.round(rng.uniform(1, 300, (len(names), 2)), 3)
    scores = rng.uniform(0.1, 1, len(names)).astype(np.float32)
    return Person(np.array([10.5, 20, 110.25, 220]), np.float32(0.625), points, scores, names)


def _video(name, frames, people=(2, 0, 1)):
    return [
        FrameResult(
            f"{name}/{i:06d}", 640, 480,
            tuple(_person(seed=10 * i + p) for p in range(people[i % len(people)])), name, i,
        )
        for i in range(frames)
    ]  # fmt: skip


def _written(results, folder, frames, names=POSETRACK17.joints, threshold=0.0):
    writer = results(folder, names, threshold)
    for frame in frames:
        writer.add(frame)
    return writer, writer.close()


@each_format
def test_a_video_comes_back_exactly(tmp_path, results, read, skeleton):
    frames = _video("clip.mp4", 4)
    frames[3] = frames[3]._replace(people=(), error="cannot be decoded")
    _, paths = _written(results, tmp_path, frames)
    assert paths == [tmp_path / "clip.mp4.json"]
    back = read(tmp_path)
    index = conversion(POSETRACK17, skeleton)
    for frame, again in zip(frames, back.frames, strict=True):
        assert again.filename == frame.name and again.frame_index == frame.index
        assert again.video_id == "clip.mp4" and again.is_labeled
        assert [person.track_id for person in again.persons] == list(range(len(frame.people)))
        for person, other in zip(frame.people, again.persons, strict=True):
            there = index >= 0
            assert (other.keypoints[:, 2] == np.where(there, VISIBLE, 0)).all()
            np.testing.assert_array_equal(
                other.keypoints[there, :2], person.keypoints[index[there]]
            )
            scores = person.keypoint_scores.astype(np.float64)[index]
            np.testing.assert_array_equal(other.scores, np.where(there, scores, 0))
            assert other.score == 0.625
            if skeleton is POSETRACK18:
                np.testing.assert_array_equal(other.box_xyxy, person.box_xyxy)


@each_format
def test_joints_below_the_threshold_are_left_out(tmp_path, results, read, skeleton):
    person = _person()
    scores = np.full(15, 0.5)
    scores[[0, 3]] = 0.49, 0.5
    frame = FrameResult("clip/000000", 640, 480, (person._replace(keypoint_scores=scores),), "c", 0)
    _written(results, tmp_path, [frame], threshold=0.5)
    (again,) = read(tmp_path).frames[0].persons
    there = {j for j, v in zip(skeleton.joints, again.keypoints[:, 2], strict=True) if v}
    assert there == set(POSETRACK17.joints) - {POSETRACK17.joints[0]}


@each_format
def test_a_person_without_joints_keeps_its_place(tmp_path, results, read, skeleton):
    nobody = _person()._replace(keypoints=np.full((15, 2), np.nan))
    _written(results, tmp_path, [FrameResult("c/0", 640, 480, (nobody, _person()), "c", 0)])
    persons = read(tmp_path).frames[0].persons
    assert [p.track_id for p in persons] == [0, 1]
    assert not persons[0].keypoints.any() and persons[1].keypoints.any()


def test_posetrack17_writes_no_joint_that_is_absent(tmp_path):
    person = _person(MPII.joints)
    writer, _ = _written(
        posetrack17_results, tmp_path, [FrameResult("c/0", 9, 9, (person,), "c", 0)], MPII.joints
    )
    document = json.loads((tmp_path / "c.json").read_text())
    (rect,) = document["annolist"][0]["annorect"]
    points = rect["annopoints"][0]["point"]
    assert [p["id"][0] for p in points] == [i for i in range(15) if i != 13]  # MPII has no nose
    assert rect["track_id"] == [0] and all("score" in p for p in points)
    assert writer.notes == [
        "posetrack17: the network has no nose: not written; no slot for pelvis, thorax: dropped"
    ]


def test_folders_of_stills_are_sequences_with_posetracks_ids(tmp_path):
    names = ["val/000342_mpii_test/000000.jpg", "val/000342_mpii_test/000007.jpg", "x/y.jpg", "z"]
    frames = [FrameResult(name, 640, 480, (_person(),)) for name in names]
    mixed = [frames[0], frames[2], frames[1], frames[3]]
    _, paths = _written(posetrack18_results, tmp_path, mixed)
    assert sorted(path.name for path in paths) == ["000342_mpii_test.json", "stills.json", "x.json"]
    ids = {f.filename: (f.image_id, f.video_id) for f in read_posetrack18(tmp_path).frames}
    assert ids == {
        names[0]: ("10003420000", "000342_mpii_test"),
        names[1]: ("10003420007", "000342_mpii_test"),
        names[2]: ("2000000", "x"),
        names[3]: ("3000000", "stills"),
    }


@each_format
def test_folders_of_the_same_name_do_not_overwrite(tmp_path, results, read, skeleton):
    names = ["train/000342_a/000000.jpg", "val/000342_a/000000.jpg", "val/000342_a/000001.jpg"]
    frames = [FrameResult(name, 640, 480, (_person(),)) for name in names]
    _, paths = _written(results, tmp_path, frames)
    assert [path.name for path in paths] == ["000342_a.json", "000342_a_2.json"]
    back = read(tmp_path).frames  # refuses an image id that occurs twice
    assert [frame.filename for frame in back] == names


def test_a_folder_as_input_is_the_sequence_of_the_pictures_directly_in_it(tmp_path):
    """And no other sequence, not even that of a folder of its name within it."""
    name = "003418_mpii_test"
    names = ["000000.jpg", "000008.jpg", f"{name}/000001.jpg"]
    frames = [FrameResult(path, 640, 480, (_person(),), folder=name) for path in names]
    _, paths = _written(posetrack18_results, tmp_path, [*frames, FrameResult("z", 9, 9, ())])
    assert [path.stem for path in paths] == [name, f"{name}_2", "stills"]
    back = read_posetrack18(paths[0]).frames
    assert [frame.image_id for frame in back] == ["10034180000", "10034180008"]
    assert {frame.video_id for frame in back} == {name}


def test_a_video_is_written_when_it_has_ended(tmp_path):
    writer = posetrack18_results(tmp_path, POSETRACK17.joints)
    for frame in _video("one", 2) + _video("two", 1):
        writer.add(frame)
    assert [path.name for path in tmp_path.iterdir()] == ["one.json"]
    writer.close()
    assert {path.name for path in tmp_path.iterdir()} == {"one.json", "two.json"}


def test_image_ids_of_posetrack18():
    assert posetrack_image_id("images/val/012834_mpii_test/000000.jpg") == 10128340000
    assert posetrack_image_id("012834_mpii_test/000139") == 10128340139
    for other in ("000001.jpg", "12834_mpii/000000.jpg", "012834_mpii_test/x.jpg",
                  "012834_mpii_test/012345.jpg"):  # fmt: skip
        assert posetrack_image_id(other) is None


@each_format
def test_annotations_become_results(tmp_path, results, read, skeleton):
    frames = _video("clip", 3)
    _written(results, tmp_path, frames)
    for frame, again in zip(frames, frame_results(read(tmp_path)), strict=True):
        assert (again.name, again.video, again.index) == (frame.name, "clip", frame.index)
        for person, other in zip(frame.people, again.people, strict=True):
            assert other.joint_names == skeleton.joints and other.score == 0.625
            nose = skeleton.joints.index("nose")
            np.testing.assert_array_equal(
                other.keypoints[nose], person.keypoints[POSETRACK17.joints.index("nose")]
            )
            assert np.isfinite(other.box_xyxy).all()
    if skeleton is POSETRACK18:
        assert np.isnan(other.keypoints[3]).all() and other.keypoint_scores[3] == 0  # an ear


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    writer = posetrack18_results(tmp_path / "file", POSETRACK17.joints)
    writer.add(_video("clip", 1)[0])
    with pytest.raises(DataError, match="cannot be written"):
        writer.close()
