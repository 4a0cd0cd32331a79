"""The whole system over drawn splits of both formats, with tiny untrained networks."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from jaxpose.annotations.posetrack import read_posetrack
from jaxpose.annotations.posetrack17 import read_posetrack17
from jaxpose.annotations.posetrack18 import read_posetrack18
from jaxpose.config import with_person_threshold
from jaxpose.errors import DataError, UsageError
from jaxpose.evaluation import posetrack
from jaxpose.evaluation.posetrack_table import COLUMNS, json_scores
from jaxpose.inference.estimator import PoseEstimator
from jaxpose.pipelines.evaluate_system import evaluate_system
from jaxpose.training.weight_file import read_weight_file, write_weight_file

FORMATS = {"posetrack17": read_posetrack17, "posetrack18": read_posetrack18}
_by_format = pytest.mark.parametrize("dataset", FORMATS)


@pytest.fixture(scope="session")
def shared(tmp_path_factory):
    """Options of runs that need not detect for themselves."""
    return {"detections": str(tmp_path_factory.mktemp("shared") / "new" / "boxes.json")}


@pytest.fixture
def run(system_networks, drawn_videos, tmp_path):
    def run(folder="posetrack18", **options):
        given = {"frames": str(drawn_videos / folder), "output_dir": str(tmp_path / "out")}
        given |= {
            "pose": system_networks["pose"],
            "detector": system_networks["detector"],
            "flip_test": False,
        }
        return evaluate_system(**given | options)

    return run


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out"


def truth_of(folder, dataset):
    return FORMATS[dataset](folder / dataset / "annotations" / "val").frames


def check_predictions(folder, truth_folder, dataset):
    """One file a ground-truth file, all frames, people in labelled ones, tracks unique."""
    files = sorted((truth_folder / dataset / "annotations" / "val").iterdir())
    assert sorted(path.name for path in folder.iterdir()) == [file.name for file in files]
    people = 0
    for file in files:
        truth, found = read_posetrack(file).frames, read_posetrack(folder / file.name).frames
        assert [f.filename for f in found] == [f.filename for f in truth]
        assert [f.image_id for f in found] == [f.image_id for f in truth]
        for annotated, predicted in zip(truth, found, strict=True):
            tracks = [person.track_id for person in predicted.persons]
            assert tracks == list(range(len(tracks)))
            assert annotated.persons or not tracks
            people += len(tracks)
    return people


@_by_format
@pytest.mark.parametrize("boxes", ["detector", "ground_truth"])
def test_writes_and_scores_a_split(run, out, drawn_videos, dataset, boxes, capsys):
    report = run(dataset, boxes=boxes)
    assert check_predictions(out / "predictions", drawn_videos, dataset) > 4
    truth = truth_of(drawn_videos, dataset)
    assert any(not frame.persons for frame in truth), "the drawing has unlabelled frames"
    annotations = drawn_videos / dataset / "annotations" / "val"
    expected = json_scores(posetrack.evaluate(annotations, out / "predictions"))
    assert {name: report[name] for name in expected} == expected
    assert json.loads((out / "scores.json").read_text()) == report
    assert all(name in report for name in COLUMNS)
    assert report["frames_evaluated"] == sum(bool(frame.persons) for frame in truth)
    assert report["speed"]["frames"] == report["frames_evaluated"]
    assert (out / "report.html").stat().st_size > 10_000
    printed = capsys.readouterr().out
    assert "& Head & Shou" in printed and "frames/s" in printed
    assert (out / "detections.json").exists() == (boxes == "detector")
    assert ("--detector is not used" in printed) == (boxes == "ground_truth")


def test_the_protocol_tells_where_the_scores_are_from(run, shared):
    options = {"det_threshold": 0.2, "keypoint_threshold": 0.001, "joint_score": "peak"}
    protocol = run(split="validation", oks_nms=0.9, **options, **shared)["protocol"]
    assert options.items() <= protocol.items()
    assert protocol["kind"] == "system" and protocol["boxes"] == "detector"
    assert (protocol["data_set"], protocol["split"]) == ("posetrack18", "validation")
    assert (protocol["flip_test"], protocol["oks_nms"]) == (False, 0.9)
    assert protocol["videos"] == 2
    for role, task in (("detector", "detection"), ("pose", "pose")):
        block = protocol[role]
        assert (block["run"], block["task"], block["step"]) == (role, task, 7)
        assert len(block["checkpoint_digest"]) == 64
    assert protocol["joints"] == "15 common (network 15, data set 17)"
    annotated = run(boxes="ground_truth", detector=None)["protocol"]
    assert annotated["detector"] is annotated["det_threshold"] is annotated["nms_iou"] is None
    assert annotated["data_digest"] == protocol["data_digest"]


def test_kept_boxes_give_what_the_estimator_finds(run, out, shared, system_networks, drawn_videos):
    """Two passes, with a file between them, and one pass over the same frames."""
    options = {"max_persons": 2, "det_threshold": 0.01, "flip_test": False}
    run(**options, **shared)
    found = [
        f for file in sorted((out / "predictions").iterdir()) for f in read_posetrack(file).frames
    ]
    found = [frame for frame in found if frame.persons]
    whole = PoseEstimator.restore(system_networks["detector"], system_networks["pose"], **options)
    paths = [drawn_videos / "posetrack18" / frame.filename for frame in found]
    for frame, result in zip(found, whole(paths), strict=True):
        assert len(result.people) == len(frame.persons) == 2
        for one, other in zip(result.people, frame.persons, strict=True):
            assert np.allclose(one.box_xyxy, other.box_xyxy, atol=2e-3)
            assert one.score == pytest.approx(other.score, abs=1e-6)
    assert len(found) > 4


def test_a_pose_sweep_does_not_detect_again(run, out, system_networks, capsys):
    first = run()
    assert "detecting people: there is no" in capsys.readouterr().out
    kept = (out / "detections.json").read_bytes()
    again = run(output_dir=str(out) + "_2", detections=str(out / "detections.json"))
    assert "nothing detected again" in capsys.readouterr().out
    assert first["speed"]["detection_seconds"]["total"] > 0
    assert again["speed"]["detection_seconds"] is None
    assert first | {"speed": None} == again | {"speed": None}
    assert sorted(p.name for p in Path(f"{out}_2").iterdir()) == [
        "predictions", "report.html", "scores.json",
    ]  # fmt: skip
    run(pose=system_networks["other_pose"], det_threshold=0.4, keypoint_threshold=0.1, oks_nms=0.5)
    assert "nothing detected again" in capsys.readouterr().out
    assert (out / "detections.json").read_bytes() == kept
    other = run(detector=with_own_threshold(system_networks["other_detector"], out, 0.3))
    assert "was made by another detector" in capsys.readouterr().out
    thresholds = [report["protocol"]["det_threshold"] for report in (first, other)]
    assert thresholds == [0.15, 0.3]
    assert (out / "detections.json").read_bytes() != kept
    assert other["protocol"]["detector"] != first["protocol"]["detector"]


def with_own_threshold(detector, folder, threshold):
    handed, file = read_weight_file(detector), f"{folder}_own.npz"
    write_weight_file(file, handed.weights, with_person_threshold(handed.config, threshold))
    return file


def test_detections_that_cannot_be_written_are_refused_before_the_work(run, out, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="file: cannot be made"):
        run(detections=str(tmp_path / "file" / "boxes.json"))
    with pytest.raises(UsageError, match="no file can be written there"):
        run(detections=str(tmp_path))
    assert not list(out.iterdir())


@pytest.fixture
def with_test_split(drawn_videos, tmp_path):
    """The data set with a test split that nobody annotated."""
    folder = tmp_path / "posetrack"
    shutil.copytree(drawn_videos / "posetrack18", folder)
    for file in (folder / "annotations" / "val").iterdir():
        document = json.loads(file.read_text()) | {"annotations": []}
        (folder / "annotations" / "test").mkdir(exist_ok=True)
        (folder / "annotations" / "test" / file.name).write_text(json.dumps(document))
    return folder


def test_a_split_without_ground_truth_gets_files_alone(run, out, with_test_split, capsys):
    options = {"frames": str(with_test_split)}
    run(**options, boxes="ground_truth")
    report = run(**options, split="test")
    assert "no ground truth in the test split: nothing was scored" in capsys.readouterr().out
    assert set(report) == {"speed", "protocol"} and report["protocol"]["split"] == "test"
    assert sorted(path.name for path in out.iterdir()) == [
        "detections.json", "predictions", "protocol.json",
    ]  # fmt: skip
    files = sorted((out / "predictions").iterdir())
    assert len(files) == 2
    found = [frame for file in files for frame in read_posetrack(file).frames]
    assert len(found) == report["speed"]["frames"] == 8  # all of them, labelled or not
    assert all(frame.persons for frame in found)
    with pytest.raises(DataError, match="nobody is annotated in it, so it gives no boxes"):
        run(**options, split="test", boxes="ground_truth")


def test_an_annotated_test_split_is_scored(run, with_test_split):
    shutil.rmtree(with_test_split / "annotations" / "test")
    (with_test_split / "annotations" / "val").rename(with_test_split / "annotations" / "test")
    report = run(frames=str(with_test_split), split="test", boxes="ground_truth")
    assert report["speed"]["frames"] == 8 > report["frames_evaluated"]


def test_what_is_missing_or_wrong_is_said_before_anything_runs(
    run, system_networks, with_test_split, out
):
    for options, error, words in (
        ({"detector": None}, UsageError, "--detector=PATH .* --boxes=ground_truth"),
        ({"split": "val"}, UsageError, "--split=val: choose one of train, validation, test"),
        ({"boxes": "mine"}, UsageError, "--boxes=mine"),
        ({"dataset": "posetrack17"}, DataError, "is of posetrack18, not of --dataset=posetrack17"),
        ({"dataset": "coco"}, UsageError, "--dataset=coco"),
        ({"det_threshold": 2}, UsageError, "det_threshold is 2"),
        (
            {"pose": system_networks["detector"]},
            UsageError,
            "holds a network for detection, not for pose",
        ),
        (
            {"detector": system_networks["pose"]},
            UsageError,
            "a network for pose, not for detection",
        ),
        ({"frames": str(out / "nowhere")}, DataError, "--frames=.*nowhere: no such folder"),
        ({"frames": str(out.parent)}, DataError, "annotations/val: no such folder, so no valid"),
    ):
        with pytest.raises(error, match=words):
            run(**{"frames": str(with_test_split)} | options)
    assert not (out / "predictions").exists() and not (out / "scores.json").exists()


def test_a_missing_or_damaged_image_is_named_and_earlier_results_stay(run, out, with_test_split):
    options = {"frames": str(with_test_split), "boxes": "ground_truth"}
    run(**options)
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    frame = next(
        f for f in read_posetrack18(with_test_split / "annotations/val").frames if f.persons
    )
    image = with_test_split / frame.filename
    image.write_bytes(image.read_bytes()[:500])
    with pytest.raises(DataError, match=f"{frame.filename}: truncated JPEG"):
        run(**options)
    image.unlink()
    with pytest.raises(DataError, match=f"{frame.filename}: no such image; 1 of the"):
        run(**options)
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before
