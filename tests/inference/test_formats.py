"""All result files of a run at once."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from pycocotools import coco as pycoco

from jaxpose.annotations.posetrack17 import read_posetrack17
from jaxpose.annotations.posetrack18 import read_posetrack18
from jaxpose.errors import UsageError
from jaxpose.inference.formats import FORMATS, ResultFiles
from jaxpose.inference.openpose import read_openpose
from jaxpose.inference.people import FrameResult, Person
from jaxpose.inference.posetrack_results import frame_results
from jaxpose.skeletons import MPII, POSETRACK17, POSETRACK18

JOINTS = POSETRACK17.joints


def _person(seed=0, names=JOINTS):
    rng = np.random.default_rng(seed)
    points, scores = rng.uniform(1, 300, (len(names), 2)), rng.uniform(0, 1, len(names))
    return Person(np.array([10.5, 20, 110.25, 220]), 0.625, points, scores, names)


def _still(name, people=1, **fields):
    return FrameResult(name, 640, 480, tuple(map(_person, range(people))), **fields)


def _clip(name="clip", count=3):
    return [_still(f"{name}/{i:06d}", people=i, video=name, index=i) for i in range(count)]


def test_every_format_holds_every_frame(tmp_path):
    frames = [_still("päth with space/a.jpg", 2), _still("b.jpg", 0), *_clip()]
    frames.append(FrameResult("broken.jpg", 0, 0, (), error="truncated"))
    with ResultFiles(tmp_path, list(FORMATS), JOINTS) as files:
        for frame in frames:
            assert files.add(frame) == frame
        paths = files.close()
    assert all(path.is_file() and path.is_relative_to(tmp_path) for path in paths)
    found = {path for path in tmp_path.rglob("*") if path.is_file()}
    assert set(paths) == found
    people = {frame.name: len(frame.people) for frame in frames}
    results = pycoco.COCO(str(tmp_path / "coco/images.json"))
    results = results.loadRes(str(tmp_path / "coco/results.json"))
    assert {
        image["file_name"]: len(results.imgToAnns[i]) for i, image in results.imgs.items()
    } == people
    for read, name in ((read_posetrack17, "posetrack17"), (read_posetrack18, "posetrack18")):
        back = read(tmp_path / name).frames
        assert {frame.filename: len(frame.persons) for frame in back} == people
    back = {frame.name: len(frame.people) for frame in read_openpose(tmp_path / "openpose")[0]}
    assert back == {name.removesuffix(".jpg"): count for name, count in people.items()}


def test_a_run_without_inputs_is_no_error(tmp_path):
    with ResultFiles(tmp_path, list(FORMATS), JOINTS) as files:
        pass
    assert [path.name for path in files.close()] == ["results.json", "images.json"]


def test_two_inputs_of_one_name_are_kept_apart(tmp_path):
    with ResultFiles(tmp_path, ["openpose", "posetrack18"], JOINTS) as files:
        names = [files.add(_still("a.jpg", n)).name for n in range(3)]
        for frame in _clip() + _clip():
            files.add(frame)
    assert names == ["a.jpg", "a_2.jpg", "a_3.jpg"]
    for n, stem in enumerate(("a", "a_2", "a_3")):
        document = json.loads((tmp_path / f"openpose/{stem}_keypoints.json").read_text())
        assert len(document["people"]) == n
    videos = [path.name for path in sorted((tmp_path / "posetrack18").iterdir())]
    assert videos == ["clip.json", "clip_2.json", "stills.json"]
    assert len(read_posetrack18(tmp_path / "posetrack18").frames) == 9
    assert files.notes[-1].startswith("name taken or unusable: 'a.jpg' is 'a_2.jpg'")
    assert files.notes[-1].endswith("and 4 more")


@pytest.mark.parametrize(
    "name", ["/etc/passwd", "../../up.jpg", "a/../../../b.jpg", "C:\\x\\y.jpg"]
)
@pytest.mark.parametrize("video", [False, True])
def test_nothing_is_written_outside_the_folder(tmp_path, name, video):
    out = tmp_path / "deep/down/out"
    frame = _still(f"{name}/000000", video=name, index=0) if video else _still(name)
    with ResultFiles(out, list(FORMATS), JOINTS) as files:
        files.add(frame)
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(written) == 5 and all(path.is_relative_to(out) for path in written)


def test_what_was_estimated_before_an_error_is_kept(tmp_path):
    with (
        pytest.raises(KeyboardInterrupt),
        ResultFiles(tmp_path, list(FORMATS), JOINTS) as files,
    ):
        files.add(_clip()[0])
        raise KeyboardInterrupt
    assert len(read_posetrack17(tmp_path / "posetrack17").frames) == 1
    assert len(json.loads((tmp_path / "coco/images.json").read_text())["images"]) == 1


def test_joints_that_do_not_fit_are_told_at_the_start(tmp_path):
    files = ResultFiles(tmp_path, ["posetrack18", "coco", "posetrack18"], MPII.joints)
    assert [note.split(":")[0] for note in files.notes] == ["posetrack18", "coco"]
    assert ResultFiles(tmp_path, ["posetrack17"], JOINTS).notes == []


def test_the_threshold_reaches_every_format(tmp_path):
    with ResultFiles(tmp_path, list(FORMATS), JOINTS, keypoint_threshold=1.1) as files:
        files.add(_still("1.jpg"))
    (result,) = json.loads((tmp_path / "coco/results.json").read_text())
    assert not any(result["keypoints"]) and result["image_id"] == 1
    for read, name in ((read_posetrack17, "posetrack17"), (read_posetrack18, "posetrack18")):
        (person,) = read(tmp_path / name).frames[0].persons
        assert not person.keypoints.any()
    assert read_openpose(tmp_path / "openpose")[0][0].people == ()


def test_an_unknown_format_is_a_usage_error(tmp_path):
    with pytest.raises(UsageError, match="--format=csv: unknown, choose from coco,openpose"):
        ResultFiles(tmp_path, ["coco", "csv"], JOINTS)
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif("JAXPOSE_SAMPLES" not in os.environ, reason="JAXPOSE_SAMPLES is not set")
def test_real_annotations_as_predictions_come_back(tmp_path):
    samples = Path(os.environ["JAXPOSE_SAMPLES"]) / "posetrack18/annotations"
    truth = read_posetrack18(samples / "test_posetrack18_val.json")
    with ResultFiles(tmp_path, list(FORMATS), POSETRACK18.joints) as files:
        for frame in frame_results(truth):
            assert files.add(frame) == frame
    for read, name in ((read_posetrack17, "posetrack17"), (read_posetrack18, "posetrack18")):
        back = {frame.filename: frame for frame in read(tmp_path / name).frames}
        for frame in truth.frames:
            assert back[frame.filename].video_id == frame.video_id
            for person, again in zip(frame.persons, back[frame.filename].persons, strict=True):
                joints = again.keypoints[:, 2] > 0
                assert joints.sum() == (person.keypoints[:, 2] > 0).sum()
                if name == "posetrack18":
                    np.testing.assert_allclose(again.keypoints, person.keypoints, atol=5.1e-4)
    ids = {f.filename: f.image_id for f in read_posetrack18(tmp_path / "posetrack18").frames}
    assert ids == {frame.filename: frame.image_id for frame in truth.frames}
