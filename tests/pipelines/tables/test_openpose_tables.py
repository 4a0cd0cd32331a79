"""OpenPose's files scored against ground truth: files of a frame, of a video, of PoseTrack."""

from dataclasses import replace

import numpy as np
import pytest

from jaxpose.annotations.json_files import write_json
from jaxpose.annotations.posetrack17 import (
    read_posetrack17,
    write_posetrack17,
    write_posetrack17_mat,
)
from jaxpose.annotations.schema import AnnotationSet
from jaxpose.annotations.synthetic import write_dataset
from jaxpose.errors import DataError
from jaxpose.inference.openpose import OpenPoseResults
from jaxpose.inference.posetrack_results import frame_results
from jaxpose.pipelines.openpose_tables import openpose_cell
from jaxpose.pipelines.report_tables import TABLES
from jaxpose.pipelines.reproduce_tables import OpenPose, reproduce
from jaxpose.pipelines.table_commands import real_places
from jaxpose.skeletons import POSETRACK17

HEAD_TOP = POSETRACK17.joints.index("head_top")


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """Drawn PoseTrack17 files with two validation videos."""
    folder = tmp_path_factory.mktemp("drawn")
    write_dataset(folder, 3, 0, 2, 3, (128, 96), ("posetrack17",))
    return folder / "posetrack17"


@pytest.fixture(scope="module")
def truth(source):
    return source / "annotations" / "val"


def annotated(truth, head_top=True):
    """The ground truth as results, with or without the joint that OpenPose lacks."""
    frames = []
    for file in sorted(truth.glob("*.json")):
        found = read_posetrack17(file)
        for frame in found.frames:
            people = []
            for person in frame.persons:
                keypoints = person.keypoints.copy()
                keypoints[HEAD_TOP] *= head_top
                people.append(replace(person, keypoints=keypoints))
            frames.append(replace(frame, persons=tuple(people)))
    return frame_results(AnnotationSet(POSETRACK17, tuple(frames)))


def write_openpose(folder, frames, name):
    writer = OpenPoseResults(folder, POSETRACK17.joints)
    for frame in frames:
        writer.add(frame._replace(name=name(frame)))
    return folder


NAMES = {
    "folders": lambda frame: frame.name,
    "videos": lambda frame: f"{frame.name.split('/')[-2]}_{frame.index:012d}",
}


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
def test_files_of_frames(tmp_path, truth, name):
    folder = write_openpose(tmp_path / "openpose", annotated(truth, head_top=False), name)
    cell = openpose_cell(folder, truth)
    # All that is written is right; joints that people lack are not written, head tops by nobody.
    assert cell.figures["Shou"] == cell.figures["Ankl"] == 100
    assert cell.figures["Head"] == pytest.approx(200 / 3)
    assert cell.figures["Total"] == pytest.approx(1400 / 15)
    assert cell.source == folder and "head_top is missing" in cell.notes[0]
    assert "labelled frames" in cell.notes[0] and "STAND-IN" not in cell.notes[0]


def test_a_guessed_head_top_is_said(tmp_path, truth):
    folder = write_openpose(tmp_path, annotated(truth, head_top=False), NAMES["folders"])
    guessed = openpose_cell(folder, truth, head_top=True)
    assert "head_top is extrapolated" in guessed.notes[0]
    assert guessed.figures["Head"] >= openpose_cell(folder, truth).figures["Head"]


def _scored(truth):
    """The ground truth as PoseTrack results."""
    frames = [
        replace(frame, persons=tuple(replace(p, scores=np.ones(15)) for p in frame.persons))
        for frame in read_posetrack17(truth).frames
    ]
    return AnnotationSet(POSETRACK17, tuple(frames))


def test_result_files_of_posetrack(tmp_path, truth):
    write_posetrack17(tmp_path / "results", _scored(truth))
    cell = openpose_cell(tmp_path / "results", truth)
    assert cell.figures["Total"] == cell.figures["Head"] == 100


def test_ground_truth_in_matlab_files(tmp_path, truth):
    results, frames = tmp_path / "results", tmp_path / "openpose"
    write_posetrack17(results, _scored(truth))
    write_openpose(frames, annotated(truth), NAMES["folders"])
    write_posetrack17_mat(tmp_path / "mat", read_posetrack17(truth))
    for folder in (results, frames):
        matlab, json = (openpose_cell(folder, where) for where in (tmp_path / "mat", truth))
        assert matlab == json and matlab.figures["Shou"] == 100 and matlab.videos == 2


def test_a_frame_without_a_file(tmp_path, truth):
    frames = annotated(truth)
    labelled = next(frame for frame in frames if frame.people)
    kept = [frame for frame in frames if frame is not labelled]
    write_openpose(tmp_path, kept, NAMES["folders"])
    with pytest.raises(
        DataError, match=f"no result of 1 annotated frames, such as {labelled.name}"
    ):
        openpose_cell(tmp_path, truth)


def test_two_files_of_one_frame(tmp_path, truth):
    frames = annotated(truth)
    write_openpose(tmp_path / "a", frames, NAMES["folders"])
    write_openpose(tmp_path / "b", frames, NAMES["folders"])
    with pytest.raises(DataError, match="are of one frame"):
        openpose_cell(tmp_path, truth)


def test_no_folder(tmp_path, truth):
    with pytest.raises(DataError, match="none: no such folder"):
        openpose_cell(tmp_path / "none", truth)


def test_tables_6_and_7_take_them(tmp_path, source, truth):
    folder = write_openpose(tmp_path / "out" / "openpose", annotated(truth), NAMES["folders"])
    places = real_places(tmp_path / "runs", tmp_path, sources={"posetrack17": str(source)})
    openpose = OpenPose({"posetrack": folder})
    report = reproduce([6, 7], places, openpose)
    six, seven = report.tables
    assert not six.cells[0].figures and seven.cells[0].figures["Shou"] == 100
    assert {number for command in report.commands for number in command.tables} == {6}
    assert seven.table is TABLES[6]


def test_files_of_our_own_are_marked_and_can_be_stale(tmp_path, source, truth, make_run):
    from jaxpose.pipelines.report_tables import POSE_MPII, SSD_POSETRACK

    folder = write_openpose(tmp_path / "out" / "openpose", annotated(truth), NAMES["folders"])
    runs = [make_run(SSD_POSETRACK), make_run(POSE_MPII, value=1.0)]
    digests = dict(zip(("detector", "pose"), (run.digest for run in runs), strict=True))
    write_json(tmp_path / "out" / "predict.json", {"checkpoints": digests})
    places = real_places(tmp_path / "runs", tmp_path, sources={"posetrack17": str(source)})
    (cell,) = reproduce([6], places, OpenPose({"mpii": folder})).tables[0].cells
    assert cell.figures["Shou"] == 100
    assert cell.notes[0].startswith("A STAND-IN written by jaxpose.predict, no OpenPose: detector ")
    make_run(POSE_MPII, step=16000, value=2.0)
    (cell,) = reproduce([6], places, OpenPose({"mpii": folder})).tables[0].cells
    assert not cell.figures and cell.reason.startswith("stale: ")
