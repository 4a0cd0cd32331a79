"""OpenPose's JSON, written and read, and what its joints mean."""

import json

import numpy as np
import pytest

from jaxpose.errors import DataError
from jaxpose.inference.openpose import OpenPoseResults, read_openpose
from jaxpose.inference.openpose_joints import BODY_25, COCO_18, HEAD_TOP_BEYOND_NOSE, MPI_15
from jaxpose.inference.people import FrameResult, Person
from jaxpose.skeletons import COCO, POSETRACK17


def _person(names=POSETRACK17.joints, seed=0):
    rng = np.random.default_rng(seed)
    points = np.round(rng.uniform(1, 300, (len(names), 2)), 3)
    scores = rng.uniform(0.3, 1, len(names)).astype(np.float32)
    return Person(np.array([10.5, 20, 110.25, 220]), 0.625, points, scores, names)


def _written(folder, frames, names=POSETRACK17.joints, threshold=0.0):
    writer = OpenPoseResults(folder, names, threshold)
    for frame in frames:
        writer.add(frame)
    return writer, writer.close()


def _body(path, person=0):
    flat = json.loads(path.read_text())["people"][person]["pose_keypoints_2d"]
    return dict(zip(BODY_25.joints, np.reshape(flat, (25, 3)).tolist(), strict=True))


def _of(person, joint):
    n = person.joint_names.index(joint)
    return [*person.keypoints[n].tolist(), float(person.keypoint_scores[n])]


def test_body_25_places_every_joint_by_name(tmp_path):
    person = _person()
    writer, paths = _written(tmp_path, [FrameResult("a b/ü.jpg", 9, 9, (person,))])
    assert paths == [tmp_path / "a b/ü_keypoints.json"]
    document = json.loads(paths[0].read_text())
    assert document["version"] == 1.3 and document["people"][0]["person_id"] == [-1]
    body = _body(paths[0])
    assert body["neck"] == _of(person, "head_bottom")
    for joint in ("nose", "right_wrist", "left_ankle", "left_hip"):
        assert body[joint] == _of(person, joint)
    hips = np.mean([_of(person, "left_hip"), _of(person, "right_hip")], 0)
    np.testing.assert_allclose(body["mid_hip"], hips, atol=5.1e-4)
    assert not any(any(body[j]) for j in ("left_ear", "right_eye", "left_big_toe", "right_heel"))
    (note,) = writer.notes
    assert "mid_hip" not in note and "neck" not in note and "head_top: dropped" in note


def test_the_published_order_of_body_25():
    assert [BODY_25.joints.index(j) for j in ("nose", "neck", "mid_hip", "left_ear")] == [
        0, 1, 8, 18
    ]  # fmt: skip
    assert BODY_25.joints[9:12] == ("right_hip", "right_knee", "right_ankle")
    assert BODY_25.joints[19] == "left_big_toe" and BODY_25.joints[24] == "right_heel"
    assert COCO_18.joints[8] == "right_hip" and COCO_18.joints[14] == "right_eye"
    assert (BODY_25.size, COCO_18.size, MPI_15.size) == (25, 18, 15)


def test_mid_hip_needs_both_hips(tmp_path):
    person = _person()
    scores = person.keypoint_scores.copy()
    scores[POSETRACK17.joints.index("left_hip")] = 0.1
    frame = FrameResult("x.jpg", 9, 9, (person._replace(keypoint_scores=scores),))
    _, (path,) = _written(tmp_path, [frame], threshold=0.2)
    body = _body(path)
    assert body["left_hip"] == body["mid_hip"] == [0, 0, 0] and any(body["right_hip"])


def test_a_network_without_neck_is_told(tmp_path):
    writer, (path,) = _written(
        tmp_path, [FrameResult("x.jpg", 9, 9, (_person(COCO.joints),))], COCO.joints
    )
    assert _body(path)["neck"] == [0, 0, 0] and any(_body(path)["left_eye"])
    assert "no neck," in writer.notes[0] and "dropped" not in writer.notes[0]


def test_round_trip(tmp_path):
    frames = [
        FrameResult(f"clip/{i:06d}", 9, 9, tuple(_person(seed=9 * i + p) for p in range(i)), "c", i)
        for i in range(12)
    ]
    _written(tmp_path, frames)
    back, notes = read_openpose(tmp_path)
    assert [f.name for f in back] == [f.name for f in frames]
    assert [f.index for f in back] == list(range(12)) and {f.video for f in back} == {"clip"}
    top = POSETRACK17.joints.index("head_top")
    for frame, again in zip(frames, back, strict=True):
        for person, other in zip(frame.people, again.people, strict=True):
            same = np.arange(15) != top
            np.testing.assert_array_equal(other.keypoints[same], person.keypoints[same])
            np.testing.assert_array_equal(
                other.keypoint_scores[same], person.keypoint_scores[same].astype(np.float64)
            )
            assert np.isnan(other.keypoints[top]).all() and other.keypoint_scores[top] == 0
            assert other.joint_names == POSETRACK17.joints
    assert notes == [
        "OpenPose body_25: neck counts as head_bottom",
        "OpenPose body_25: head_top is missing",
    ]


def test_frames_without_people_and_people_without_joints(tmp_path):
    lost = _person()._replace(keypoints=np.full((15, 2), np.nan))
    frames = [FrameResult("a.jpg", 9, 9, ()), FrameResult("b.jpg", 9, 9, (lost, _person()))]
    _, paths = _written(tmp_path, frames)
    assert [len(json.loads(p.read_text())["people"]) for p in paths] == [0, 1]
    assert [len(frame.people) for frame in read_openpose(tmp_path)[0]] == [0, 1]


def test_inputs_of_one_stem_do_not_overwrite(tmp_path):
    frames = [FrameResult(name, 9, 9, (_person(),)) for name in ("a.jpg", "a.png", "../../a.jpg")]
    _, paths = _written(tmp_path, frames)
    names = ["a_keypoints.json", "a_2_keypoints.json", "_/_/a_keypoints.json"]
    assert [path.relative_to(tmp_path).as_posix() for path in paths] == names


def test_a_link_out_of_the_folder_is_refused(tmp_path):
    out, elsewhere = tmp_path / "out", tmp_path / "elsewhere"
    out.mkdir()
    elsewhere.mkdir()
    (out / "sub").symlink_to(elsewhere)
    with pytest.raises(DataError, match="leads out of the folder"):
        _written(out, [FrameResult("sub/a.jpg", 9, 9, ())])
    assert not list(elsewhere.iterdir())


def _raw(folder, name, *people):
    folder.mkdir(parents=True, exist_ok=True)
    records = [{"pose_keypoints_2d": list(flat)} for flat in people]
    (folder / f"{name}_keypoints.json").write_text(json.dumps({"people": records}))


def _upright(model):
    """Nose above neck; everything else 0."""
    joints = np.zeros((model.size, 3))
    joints[model.joints.index("neck")] = (50, 100, 0.8)
    if "nose" in model.joints:
        joints[model.joints.index("nose")] = (52, 80, 0.6)
    if "head_top" in model.joints:
        joints[model.joints.index("head_top")] = (53, 60, 0.7)
    return joints.ravel().tolist()


@pytest.mark.parametrize("model", [BODY_25, COCO_18])
def test_head_top_is_extrapolated_on_request_only(tmp_path, model):
    _raw(tmp_path, "a", _upright(model))
    top = POSETRACK17.joints.index("head_top")
    (frame,), _ = read_openpose(tmp_path)
    assert np.isnan(frame.people[0].keypoints[top]).all()
    (frame,), notes = read_openpose(tmp_path, extrapolate_head_top=True)
    expected = [52 + 2 * HEAD_TOP_BEYOND_NOSE, 80 - 20 * HEAD_TOP_BEYOND_NOSE]
    np.testing.assert_allclose(frame.people[0].keypoints[top], expected)
    assert frame.people[0].keypoint_scores[top] == 0.6
    assert notes[1] == f"OpenPose {model.name}: head_top is extrapolated beyond the nose"


def test_the_mpi_model_has_a_head_top(tmp_path):
    _raw(tmp_path, "a", _upright(MPI_15))
    (frame,), notes = read_openpose(tmp_path, extrapolate_head_top=True)
    person = frame.people[0]
    assert person.keypoints[POSETRACK17.joints.index("head_top")].tolist() == [53, 60]
    assert np.isnan(person.keypoints[POSETRACK17.joints.index("nose")]).all()
    assert len(notes) == 1 and person.score == pytest.approx(0.75)


def test_videos_of_openpose_are_sequences_in_the_order_of_their_numbers(tmp_path):
    for number in (10, 9, 0):
        _raw(tmp_path, f"clip_{number:012d}", _upright(BODY_25))
    for number in (10, 9):
        _raw(tmp_path / "seq", str(number))
    _raw(tmp_path, "still", [], _upright(COCO_18))  # the first person has a face alone
    frames, notes = read_openpose(tmp_path)
    assert [(f.name, f.video, f.index, len(f.people)) for f in frames] == [
        ("still", "", -1, 1),
        ("clip_000000000000", "clip", 0, 1),
        ("clip_000000000009", "clip", 1, 1),
        ("clip_000000000010", "clip", 2, 1),
        ("seq/9", "seq", 0, 0),
        ("seq/10", "seq", 1, 0),
    ]
    assert notes[0] == "OpenPose body_25, coco_18: neck counts as head_bottom"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[]", "the file is .*not an object"),
        ('{"version": 1.3}', "has no field people"),
        ('{"people": [{}, {"pose_keypoints_2d": []}]}', r"people\[0\].*pose_keypoints_2d"),
        ('{"people": [{"pose_keypoints_2d": [1, 2, 3]}]}', r"people\[0\]: .* 3 numbers, expected"),
        ('{"people": [{"pose_keypoints_2d": [1, NaN, 3]}]}', "NaN"),
        ('{"people": [', "not JSON"),
    ],
)
def test_damaged_files_are_named(tmp_path, text, message):
    (tmp_path / "a_keypoints.json").write_text(text)
    with pytest.raises(DataError, match=message) as caught:
        read_openpose(tmp_path)
    assert "a_keypoints.json" in str(caught.value)


def test_an_empty_folder_is_an_error(tmp_path):
    with pytest.raises(DataError, match="no .*_keypoints.json"):
        read_openpose(tmp_path)
