import json
import os
from pathlib import Path

import numpy as np
import pytest

from jaxpose.annotations.posetrack17 import (
    read_posetrack17,
    write_posetrack17,
    write_posetrack17_mat,
)
from jaxpose.annotations.schema import AnnotationSet, Frame, Person, Rejections
from jaxpose.errors import DataError
from jaxpose.skeletons import MPII, POSETRACK17

HEAD = {"x1": [10], "y1": [20], "x2": [40], "y2": [60]}


def point(joint, x, y, **more):
    return {"id": [joint], "x": [x], "y": [y], **{k: [v] for k, v in more.items()}}


def rect(*points, track=0, **more):
    return {**HEAD, "track_id": [track], "annopoints": [{"point": list(points)}], **more}


def entry(name, *rects, **more):
    return {"image": [{"name": name}], "imgnum": [1], "is_labeled": [1], "annorect": list(rects),
            **more}  # fmt: skip


def saved(tmp_path, *entries, name="000001_video.json"):
    path = tmp_path / name
    path.write_text(json.dumps({"annolist": list(entries)}))
    return path


def synthetic(videos=2, scores=False):
    """A set whose coordinates are multiples of 1/64, so that adding and taking 1 is exact."""
    generator = np.random.default_rng(videos)
    frames = []
    for video in range(videos):
        for index in range(4):
            persons = []
            for track in range(index):
                points = np.round(generator.uniform(-20, 900, (15, 2)) * 64) / 64
                flags = generator.integers(0, 3, 15)
                flags[0] = 2
                keypoints = np.where(flags[:, None] > 0, np.insert(points, 2, flags, 1), 0.0)
                joint_scores = np.where(flags > 0, np.round(generator.uniform(size=15), 3), 0.0)
                persons.append(
                    Person(
                        keypoints,
                        head_box=None if track == 1 else np.array([1.5, -2, 30, 40]),
                        track_id=track - 1,
                        scores=joint_scores if scores else None,
                        score=0.25 if scores else None,
                    )
                )
            name = f"images/v{video}/{index:06d}.jpg"
            polygons = (np.array([[1.0, 2], [30, 2], [30, 40.5]]),) * (index % 3)
            frames.append(Frame(name, name, None, None, f"v{video}", index, index != 0,
                                tuple(persons), polygons))  # fmt: skip
    return AnnotationSet(POSETRACK17, tuple(frames))


def assert_equal(one, other):
    assert one.skeleton == other.skeleton and len(one.frames) == len(other.frames)
    for a, b in zip(one.frames, other.frames, strict=True):
        for name in ("filename", "image_id", "video_id", "frame_index", "is_labeled"):
            assert getattr(a, name) == getattr(b, name)
        assert len(a.ignore_polygons) == len(b.ignore_polygons)
        for p, q in zip(a.ignore_polygons, b.ignore_polygons, strict=True):
            np.testing.assert_array_equal(p, q)
        assert len(a.persons) == len(b.persons)
        for p, q in zip(a.persons, b.persons, strict=True):
            for name in ("keypoints", "head_box", "track_id", "scores", "score"):
                np.testing.assert_array_equal(
                    np.asarray(getattr(p, name), float), np.asarray(getattr(q, name), float)
                )


def test_hand_written_file(tmp_path):
    path = saved(
        tmp_path,
        entry("images/a/0.jpg", is_labeled=[0]),
        entry(
            "images/a/1.jpg",
            rect(point(0, 5, 6.5, is_visible=1), point(14, 7, 8, is_visible=0), point(3, 1, 2),
                 track=4),
            {**HEAD, "track_id": [5], "annopoints": []},
            {"track_id": [6]},
            ignore_regions=[{"point": [{"x": [1], "y": [2]}, {"x": [3], "y": [4]},
                                       {"x": [5], "y": [7]}]}],
        ),
    )  # fmt: skip
    frames = read_posetrack17(path).frames
    assert [f.is_labeled for f in frames] == [False, True]
    assert [f.frame_index for f in frames] == [0, 1]
    assert {f.video_id for f in frames} == {"000001_video"}
    assert frames[1].filename == frames[1].image_id == "images/a/1.jpg"
    first, empty, headless = frames[1].persons
    expected = np.zeros((15, 3))
    expected[[0, 3, 14]] = [[5, 6.5, 2], [1, 2, 2], [7, 8, 1]]
    np.testing.assert_array_equal(first.keypoints, expected)
    np.testing.assert_array_equal(first.head_box, [10, 20, 40, 60])
    assert first.track_id == 4 and first.scores is None and first.box_xyxy is None
    assert not empty.keypoints.any() and headless.head_box is None
    np.testing.assert_array_equal(frames[1].ignore_polygons[0], [[1, 2], [3, 4], [5, 7]])


def test_scalars_may_be_bare(tmp_path):
    wrapped = entry("a.jpg", rect(point(1, 2, 3, is_visible=1)))
    bare = {"image": {"name": "a.jpg"}, "imgnum": 1, "is_labeled": True, "annorect":
            {"x1": 10, "y1": 20, "x2": 40, "y2": 60, "track_id": 0,
             "annopoints": {"point": {"id": 1, "x": 2, "y": 3, "is_visible": "1"}}}}  # fmt: skip
    one = read_posetrack17(saved(tmp_path, wrapped))
    other = read_posetrack17(saved(tmp_path, bare))
    assert_equal(one, other)


def test_predictions_keep_their_scores(tmp_path):
    scored = rect(point(0, 5, 6, score=0.5), point(2, 7, 8, score=0.25), score=[0.75])
    person = read_posetrack17(saved(tmp_path, entry("a.jpg", scored))).frames[0].persons[0]
    np.testing.assert_array_equal(person.scores, [0.5, 0, 0.25] + [0] * 12)
    assert person.score == 0.75


@pytest.mark.parametrize("scores", [False, True])
def test_json_round_trip(tmp_path, scores):
    written = write_posetrack17(tmp_path, synthetic(scores=scores))
    assert [path.name for path in written] == ["v0.json", "v1.json"]
    assert_equal(read_posetrack17(tmp_path), synthetic(scores=scores))


def test_json_scalars_are_wrapped_and_integers_stay(tmp_path):
    person = Person(np.array([[3.0, 4.5, 2]] + [[0, 0, 0]] * 14), track_id=7)
    frame = Frame("a/0.jpg", "a/0.jpg", video_id="v", frame_index=0, persons=(person,))
    (path,) = write_posetrack17(tmp_path, AnnotationSet(POSETRACK17, (frame,)))
    assert json.loads(path.read_text()) == {
        "annolist": [
            {
                "image": [{"name": "a/0.jpg"}],
                "imgnum": [1],
                "is_labeled": [1],
                "annorect": [
                    {
                        "track_id": [7],
                        "annopoints": [
                            {"point": [{"id": [0], "x": [3], "y": [4.5], "is_visible": [1]}]}
                        ],
                    }
                ],
            }
        ]
    }


def test_matlab_round_trip_and_origin(tmp_path):
    scipy_io = pytest.importorskip("scipy.io")
    (path,) = write_posetrack17_mat(tmp_path, synthetic(1))
    stored = scipy_io.loadmat(path, squeeze_me=True, struct_as_record=False)["annolist"]
    person = synthetic(1).frames[3].persons[0]
    assert stored[3].annorect[0].x1 == person.head_box[0] + 1
    assert stored[3].annorect[0].annopoints.point[0].x == person.keypoints[0, 0] + 1
    assert_equal(read_posetrack17(path), synthetic(1))


def test_json_counts_where_a_folder_has_both(tmp_path):
    (tmp_path / "v0.mat").write_bytes(b"not read")
    write_posetrack17(tmp_path, synthetic(1))
    assert_equal(read_posetrack17(tmp_path), synthetic(1))


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (rect(point(15, 1, 2)), "point id 15 is outside 0..14"),
        (rect(point(-1, 1, 2)), "point id -1"),
        (rect(point(1.5, 1, 2)), "not an integer"),
        (rect(point(1, 1, 2), point(1, 3, 4)), "point id 1 occurs twice"),
        (rect({"id": [1], "x": [1]}), "no field y"),
        (rect(point(1, 1e9, 2)), "absurdly far"),
        (rect(point(1, "a", 2)), "not a number"),
        (rect(point(1, 1, 2, is_visible=2)), "is_visible"),
        (rect(point(1, 1, 2, score=0.5), point(2, 1, 2)), "some points have a score"),
        ({**rect(), "x2": [5]}, "head box has a negative size"),
        ({"x1": [1], "y1": [2], "y2": [3]}, "head box has no field x2"),
        (rect(track=1), "track_id 1 occurs twice"),
        (3, "not an object"),
    ],
)
def test_bad_persons_are_refused_by_name(tmp_path, bad, reason):
    good = rect(point(0, 1, 2), track=1)
    path = saved(tmp_path, entry("0.jpg"), entry("1.jpg", good, bad))
    with pytest.raises(DataError, match=reason) as caught:
        read_posetrack17(path)
    assert str(caught.value).startswith(f"{path}: annolist[1].annorect[1]: ")
    rejections = Rejections(allowed=1)
    frames = read_posetrack17(path, rejections).frames
    assert len(frames[1].persons) == 1 and len(rejections.rows) == 1


def test_a_refused_frame_keeps_the_numbers_of_the_others(tmp_path):
    path = saved(tmp_path, entry("0.jpg"), entry("../x.jpg"), entry("2.jpg"), entry("0.jpg"))
    rejections = Rejections(allowed=2)
    frames = read_posetrack17(path, rejections).frames
    assert [(f.filename, f.frame_index) for f in frames] == [("0.jpg", 0), ("2.jpg", 2)]
    assert [row["record"] for row in rejections.rows] == ["annolist[1]", "annolist[3]"]


def test_zero_head_box_is_none(tmp_path):
    nothing = {"x1": [0], "y1": [0], "x2": [0], "y2": [0], "annopoints": []}
    assert (
        read_posetrack17(saved(tmp_path, entry("a", nothing))).frames[0].persons[0].head_box is None
    )


@pytest.mark.parametrize(
    ("document", "reason"),
    [([], "not an object"), ({}, "no field annolist"), ({"annolist": [{}]}, "no field annorect"),
     ({"annolist": [{"annorect": []}]}, "no field image"), ({"annolist": 3}, "not an object")],
)  # fmt: skip
def test_other_layouts_are_refused_by_the_missing_field(tmp_path, document, reason):
    path = tmp_path / "a.json"
    path.write_text(json.dumps(document))
    with pytest.raises(DataError, match=reason):
        read_posetrack17(path, Rejections(allowed=100))


def test_only_posetrack17_joints_can_be_written(tmp_path):
    with pytest.raises(DataError, match="posetrack17 joints, the set has mpii"):
        write_posetrack17(tmp_path, AnnotationSet(MPII, ()))


def test_posevals_own_files_come_back_value_for_value(tmp_path):
    roots = Path(os.environ.get("JAXPOSE_SAMPLES", "")).parents
    folders = [root / "golden" / "j_poseval" / "gt_ignore" for root in roots]
    folder = next((folder for folder in folders if folder.is_dir()), None)
    if folder is None:
        pytest.skip("needs poseval's golden files")
    written = write_posetrack17(tmp_path, read_posetrack17(folder))
    for path in written:
        original = json.loads((folder / path.name).read_text())
        for item in original["annolist"]:
            for person in item["annorect"]:
                person.setdefault("annopoints", [])  # absent and empty mean the same
        assert json.loads(path.read_text()) == original
