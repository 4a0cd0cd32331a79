import json
import os
from pathlib import Path

import numpy as np
import pytest

from jaxpose.annotations.posetrack import read_posetrack
from jaxpose.annotations.schema import Frame, Person
from jaxpose.errors import DataError
from jaxpose.evaluation.posetrack import PoseTrackEvaluator, evaluate
from jaxpose.evaluation.posetrack_table import (
    COLUMNS,
    columns,
    json_scores,
    latex_rows,
    text_table,
)
from jaxpose.skeletons import POSETRACK17, POSETRACK18

RESULTS = Path(__file__).parent.parent / "golden" / "j_poseval" / "results.json"
CASES = json.loads(RESULTS.read_text())["cases"]
HEAD = np.array([0.0, 0, 30, 40])  # head size 30 px


def person(points, scores=None, head=HEAD, **more):
    """Joints by index: (x, y)."""
    keypoints = np.zeros((15, 3))
    for joint, xy in points.items():
        keypoints[joint] = (*xy, 2)
    return Person(keypoints, head_box=head, scores=None if scores is None else np.array(scores),
                  **more)  # fmt: skip


def frame(*persons, **more):
    return Frame("a.jpg", "a", persons=persons, **more)


def scored(*pairs):
    evaluator = PoseTrackEvaluator()
    for truth, found in pairs:
        evaluator.add(truth, found)
    return evaluator


@pytest.mark.parametrize("name", CASES)
def test_equals_poseval(name, poseval_files):
    case = CASES[name]
    found = evaluate(poseval_files / case["gt"], poseval_files / case["pred"])
    for measure in ("ap", "precision", "recall"):
        assert found[measure] == pytest.approx(case[measure][:15], abs=1e-9), measure
    table = [found[column] for column in COLUMNS]
    assert table == pytest.approx(case["table_Head_Shou_Elb_Wri_Hip_Knee_Ankl_Total"], abs=1e-9)
    assert found["total_precision"] == pytest.approx(case["precision"][15], abs=1e-9)
    assert found["total_recall"] == pytest.approx(case["recall"][15], abs=1e-9)
    for count in ("n_gt_joints", "n_pred_joints", "n_tp"):
        assert found[count].tolist() == case[count], count
    for count in ("frames_evaluated", "gt_persons", "pred_persons"):
        assert found[count] == case[count], count


def test_all_thirteen_cases_are_there():
    assert len(CASES) == 13 and sum(case["gt"].startswith("pt18") for case in CASES.values()) == 1


@pytest.mark.parametrize("folder", ["gt", "gt_ignore", "pt18_gt_ignore"])
def test_the_ground_truth_as_predictions_scores_100(folder, poseval_files):
    """It predicts annotated joints and no others (a joint that nobody annotated is false)."""
    found = evaluate(poseval_files / folder, poseval_files / folder)
    assert [found[column] for column in COLUMNS] == [100.0] * 8
    assert (found["precision"] == 100).all() and (found["recall"] == 100).all()
    assert found["unscored_joints"] == found["n_pred_joints"].sum() > 500


def test_one_joint_too_many_costs():
    truth = frame(person({0: (10, 10), 1: (50, 50)}))
    found = person({0: (10, 10), 1: (50, 50), 2: (90, 90)}, np.full(15, 0.5))
    result = scored((truth, frame(found))).result()
    assert result["n_tp"][:3].tolist() == [1, 1, 0] and result["n_pred_joints"][2] == 1
    assert result["ap"][:2].tolist() == [100, 100] and np.isnan(result["ap"][2])


@pytest.mark.parametrize(("year", "skeleton"), [("", POSETRACK17), ("pt18_", POSETRACK18)])
def test_frames_in_memory_score_as_files(year, skeleton, poseval_files):
    folders = [poseval_files / f"{year}{name}" for name in ("gt_ignore", "pred_noisy")]
    evaluator = PoseTrackEvaluator(skeleton, skeleton)
    for file in sorted(folders[0].iterdir()):
        pair = (read_posetrack(folder / file.name).frames for folder in folders)
        for truth, found in zip(*pair, strict=True):
            evaluator.add(truth, found)
    in_memory, from_files = json_scores(evaluator.result()), json_scores(evaluate(*folders))
    assert in_memory == from_files
    for name, ap in zip(in_memory["joints"], in_memory["ap"], strict=True):
        curve = evaluator.curves()[name]
        assert (np.diff(curve.scores) <= 0).all() and (np.diff(curve.recall) >= 0).all()
        assert 100 * curve.average_precision("area") == pytest.approx(ap)


def test_curve_by_hand():
    """Right at 0.9 and 0.5, wrong at 0.7 and 0.2; three people are annotated."""
    truth = frame(*(person({3: (100 * n, 0)}) for n in range(3)))
    places = {0.9: (0, 0), 0.7: (500, 0), 0.5: (200, 15), 0.2: (100, 15.01)}
    found = frame(*(person({3: xy}, np.full(15, score)) for score, xy in places.items()))
    evaluator = scored((truth, found))
    curve = evaluator.curves()["left_hip"]
    assert curve.scores.tolist() == [0.9, 0.7, 0.5, 0.2]
    assert curve.recall == pytest.approx([1 / 3, 1 / 3, 2 / 3, 2 / 3])
    assert curve.precision == pytest.approx([1, 1 / 2, 2 / 3, 1 / 2])
    result = evaluator.result()
    assert result["ap"][3] == pytest.approx(100 * (1 / 3 + 1 / 3 * 2 / 3))
    assert (result["precision"][3], result["recall"][3]) == pytest.approx((50, 200 / 3))


def test_unlabelled_frames_cost_nothing_and_empty_people_do():
    good = frame(person({0: (0, 0)})), frame(person({0: (0, 0)}, np.full(15, 0.5)))
    wrong = frame(person({0: (9, 9)}, np.full(15, 0.9)))
    evaluator = scored(good)
    assert evaluator.add(frame(), wrong) is None
    assert evaluator.result()["ap"][0] == 100 and evaluator.result()["frames_evaluated"] == 1
    # As in poseval the flag says nothing: people do, even one without joints.
    match = evaluator.add(frame(person({}), is_labeled=False), wrong)
    assert match.predicted[0, 0] and not match.correct.any() and match.assigned.tolist() == [-1]
    result = evaluator.result()
    assert result["ap"][0] == 50 and result["frames_evaluated"] == 2 and result["gt_persons"] == 1


def test_joints_without_truth_or_predictions():
    """As poseval: 0 where nothing was predicted, else nan where nothing is annotated."""
    truth = frame(person({0: (0, 0), 1: (0, 0)}))
    result = scored((truth, frame(person({0: (0, 0), 14: (0, 0)}, np.ones(15))))).result()
    assert result["ap"][:3].tolist() == [100, 0, 0]
    assert np.isnan(result["ap"][14]) and np.isnan(result["recall"][14])
    assert result["precision"][14] == 0
    assert np.isnan(result["Head"]) and result["Ankl"] == 50
    assert result["Total"] == pytest.approx(100 / 14)
    assert json_scores(result)["Head"] is None and json_scores(result)["ap"][14] is None
    json.dumps(json_scores(result), allow_nan=False)


def test_nothing_to_score_and_nobody_with_a_head_are_errors():
    with pytest.raises(DataError, match="no frame of the ground truth has annotated people"):
        scored((frame(), frame())).result()
    headless = frame(person({0: (0, 0)}, head=None))
    with pytest.raises(DataError, match="none of 1 annotated people has a head box .* first"):
        scored((headless, headless)).result()
    result = scored((headless, headless), (frame(person({0: (0, 0)})), frame())).result()
    assert result["gt_persons_without_head"] == 1 and result["recall"][0] == 0


def test_curves_before_the_first_frame_are_empty():
    curves = PoseTrackEvaluator().curves()
    assert len(curves) == 15 and all(not len(curve.recall) for curve in curves.values())


def test_columns_average_joints():
    assert columns(np.arange(15.0)) == {
        "Head": 13, "Shou": 8.5, "Elb": 8.5, "Wri": 8.5, "Hip": 2.5, "Knee": 2.5, "Ankl": 2.5,
        "Total": 7,
    }  # fmt: skip


def test_tables(poseval_files):
    scores = evaluate(poseval_files / "gt", poseval_files / "pred_noisy")
    header, row = latex_rows(scores)
    # The rows that poseval printed.
    assert header == r"& Head & Shou & Elb  & Wri  & Hip  & Knee & Ankl & Total\\"
    values = CASES["noisy"]["table_Head_Shou_Elb_Wri_Hip_Knee_Ankl_Total"]
    assert row == "&" + " &".join(f"{value:5.1f}" for value in values) + r" \\"
    assert latex_rows(scores | {"Head": 100.0, "Shou": 5.04})[1].startswith("&100.0 &  5.0 &")
    lines = text_table(scores)
    assert lines[0].split() == list(COLUMNS)
    assert lines[1].split() == ["AP"] + [f"{value:.1f}" for value in values]
    assert [line.split()[0] for line in lines[2:4]] == ["precision", "recall"]
    assert lines[4] == "46 annotated and 48 predicted people in 19 labelled frames"


@pytest.mark.skipif("JAXPOSE_SAMPLES" not in os.environ, reason="needs the sample data")
def test_real_ground_truth_as_predictions():
    """Three frames of PoseTrack18's validation set with their hand-drawn ignore regions."""
    folder = Path(os.environ["JAXPOSE_SAMPLES"]) / "posetrack18" / "annotations" / "val"
    found = evaluate(folder, folder)
    assert [found[column] for column in COLUMNS] == [100.0] * 8
    assert found["frames_evaluated"] == 3 and 10 <= found["gt_persons"] <= 14
