"""Result files: perfect poses written and read back score 100, and no run leaves half of them."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from jaxpose.annotations.posetrack import read_posetrack
from jaxpose.annotations.schema import AnnotationSet
from jaxpose.errors import DataError
from jaxpose.evaluation import posetrack
from jaxpose.evaluation.posetrack_table import COLUMNS
from jaxpose.inference.joint_slots import JointSlots
from jaxpose.inference.posetrack_results import frame_results
from jaxpose.pipelines.system_split import read_split
from jaxpose.pipelines.system_submission import (
    replaced_folder,
    score_predictions,
    write_predictions,
)
from jaxpose.skeletons import POSETRACK17

SAMPLES = os.environ.get("JAXPOSE_SAMPLES")


def perfect(split):
    """What an estimator would say that finds exactly what is annotated."""
    frames = tuple(frame for frame, _ in split.estimated())
    return iter(frame_results(AnnotationSet(split.skeleton, frames)))


def check_perfect(split, folder):
    write_predictions(
        folder, split, perfect(split), JointSlots(split.skeleton.joints, split.skeleton)
    )
    evaluator, scored = score_predictions(folder, split)
    result = evaluator.result()
    assert [result[column] for column in COLUMNS] == [100.0] * 8
    assert (result["precision"] == 100).all() and (result["recall"] == 100).all()
    assert len(scored) == split.labelled
    again = posetrack.evaluate(split.videos[0].file.parent, folder)
    assert [again[column] for column in COLUMNS] == [100.0] * 8
    return result


@pytest.mark.parametrize("dataset", ["posetrack17", "posetrack18"])
def test_ground_truth_as_the_estimator_scores_100(drawn_videos, dataset, tmp_path):
    split = read_split(drawn_videos / dataset, None, "validation")
    check_perfect(split, tmp_path)
    for video in split.videos:
        found = read_posetrack(tmp_path / video.file.name).frames
        assert [len(f.persons) for f in found] == [len(f.persons) for f in video.frames]
        assert [f.video_id for f in found] == [f.video_id for f in video.frames]


@pytest.mark.skipif(not SAMPLES, reason="JAXPOSE_SAMPLES names no folder of real samples")
def test_real_annotations_as_the_estimator_score_100(tmp_path):
    split = read_split(Path(SAMPLES) / "posetrack18", None, "validation")
    result = check_perfect(split, tmp_path)
    assert split.labelled == 3 and result["gt_persons"] >= 10


def test_a_joint_below_the_threshold_is_not_written(drawn_videos, tmp_path):
    split = read_split(drawn_videos / "posetrack17", None, "validation")
    slots = JointSlots(split.skeleton.joints, split.skeleton, threshold=0.5)
    faint = POSETRACK17.joints.index("nose")

    def results():
        for result in perfect(split):
            for person in result.people:
                person.keypoint_scores[faint] = 0.4
            yield result

    write_predictions(tmp_path, split, results(), slots)
    result = score_predictions(tmp_path, split)[0].result()
    assert result["n_pred_joints"][faint] == 0 == result["ap"][faint]
    assert np.delete(result["ap"], faint).tolist() == [100] * 14


def test_files_that_do_not_pair_with_the_ground_truth_are_refused(drawn_videos, tmp_path):
    split = read_split(drawn_videos / "posetrack17", None, "validation")
    slots = JointSlots(split.skeleton.joints, split.skeleton)
    write_predictions(tmp_path, split, perfect(split), slots)
    one, two = sorted(tmp_path.iterdir())
    text = two.read_text()
    two.write_text(text[: len(text) // 2])
    with pytest.raises(DataError, match=f"{two.name}: not JSON"):
        score_predictions(tmp_path, split)
    two.unlink()
    with pytest.raises(DataError, match=f"{two.name}: cannot be read"):
        score_predictions(tmp_path, split)


def test_a_folder_is_replaced_whole_or_not_at_all(tmp_path):
    folder = tmp_path / "new" / "predictions"
    with replaced_folder(folder) as staging:
        (staging / "a").write_text("first")
    with replaced_folder(folder) as staging:
        (staging / "b").write_text("second")
    assert [path.name for path in folder.iterdir()] == ["b"]
    with pytest.raises(KeyboardInterrupt), replaced_folder(folder) as staging:
        (staging / "c").write_text("third")
        raise KeyboardInterrupt
    assert [path.name for path in folder.parent.iterdir()] == ["predictions"]
    assert (folder / "b").read_text() == "second"
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    for process in (dead.pid, os.getppid()):
        (folder.parent / f"incomplete.{process}_predictions").mkdir()
    with replaced_folder(folder):
        pass
    left = sorted(path.name for path in folder.parent.iterdir())
    assert left == [f"incomplete.{os.getppid()}_predictions", "predictions"]
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(DataError, match="predictions: cannot be written"),
        replaced_folder(tmp_path / "file" / "predictions"),
    ):
        pass
