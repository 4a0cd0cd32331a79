"""A row takes the scores of its own protocol and checkpoints, and no others."""

import os

import pytest

from jaxpose.evaluation.posetrack_table import COLUMNS
from jaxpose.pipelines.report_tables import (
    MAP,
    OPENPOSE_MPII,
    OPENPOSE_POSETRACK,
    POSE_BOTH,
    POSE_MPII,
    SSD512_COCO,
    SSD_COCO,
    SSD_POSETRACK,
    TABLES,
)
from jaxpose.pipelines.table_runs import find_runs, runs_of
from jaxpose.pipelines.table_scores import cell_of, find_scores

FIGURES = dict(zip(COLUMNS, [66.0, 65.0, 64.0, 55.0, 54.0, 53.0, 46.0, 58.4], strict=True))


def cells(root, number):
    """Cells of a table from what lies in the runs' folder."""
    (table,) = (table for table in TABLES if table.number == number)
    folder = root / "runs"
    scores, runs = find_scores(folder), find_runs(folder)
    return [cell_of(table, row, scores, runs) for row in table.rows]


def test_nothing_there(tmp_path):
    assert [cell.reason for cell in cells(tmp_path, 1)] == ["not trained yet: ssd300_posetrack"] * 3
    (cell,) = cells(tmp_path, 13)
    assert cell.reason == "not trained yet: ssd300_coco, hourglass_mpii_posetrack"
    assert not cell.figures and cell.source is None


def test_a_sweep_fills_its_rows_in_fractions(tmp_path, make_run, write_detection_scores):
    run = make_run(SSD_COCO)
    assert {cell.reason for cell in cells(tmp_path, 3)} == {"not scored yet"}
    path = write_detection_scores(run, {0.15: 44.0, 0.3: 51.0})
    filled = cells(tmp_path, 3)
    assert [cell.figures for cell in filled] == [{MAP: 0.44}, {MAP: 0.51}, {MAP: None}]
    assert {cell.source for cell in filled} == {path}
    assert (
        "ssd300_coco step 15000; step chosen: given; 50 images and 120 boxes; AP rule 11point"
        in filled[0].notes
    )
    assert {cell.reason for cell in cells(tmp_path, 1)} == {"not trained yet: ssd300_posetrack"}


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"classes": ["cat"]}, "classes ['cat'] where the table has ['person']"),
        ({"iou_threshold": 0.7}, "iou_threshold 0.7 where the table has 0.5"),
        ({"score_thresholds": [0.2]}, "no score threshold 0.15"),
    ],
)
def test_a_sweep_of_another_protocol(tmp_path, make_run, write_detection_scores, wrong, reason):
    path = write_detection_scores(make_run(SSD_COCO), {0.15: 44.0}, **wrong)
    cell = cells(tmp_path, 3)[0]
    assert not cell.figures and cell.reason == f"{path} has {reason}"


@pytest.mark.parametrize("other", [{"data_set": "coco_detection"}, {"split": "train"}])
def test_scores_of_other_data_are_no_scores_of_the_table(
    tmp_path, make_run, write_detection_scores, write_system_scores, other
):
    detector, pose = make_run(SSD_COCO), make_run(POSE_BOTH, value=2.0)
    write_detection_scores(detector, {0.15: 44.0}, **other)
    write_system_scores(detector, pose, FIGURES, **other)
    found = [*cells(tmp_path, 3), *cells(tmp_path, 13)]
    assert {cell.reason for cell in found} == {"not scored yet"}
    assert not any(cell.figures for cell in found)


def test_scores_of_a_checkpoint_that_is_no_longer_there_are_stale(
    tmp_path, make_run, write_detection_scores
):
    old = make_run(SSD_COCO, step=14000)
    path = write_detection_scores(old, {0.15: 44.0})
    new = make_run(SSD_COCO, step=15000, value=1.0)
    cell = cells(tmp_path, 3)[0]
    assert not cell.figures and cell.source is None
    assert cell.reason == (
        f"stale: {path} is of ssd300_coco step 14000 ({old.digest[:8]}), where {new.folder} now "
        f"gives step 15000 ({new.digest[:8]})"
    )
    write_detection_scores(new, {0.15: 45.0})
    assert cells(tmp_path, 3)[0].figures == {MAP: 0.45}


def test_another_network_under_the_right_name_fills_nothing(
    tmp_path, make_run, write_detection_scores
):
    run = make_run(SSD_COCO, model__width=0.25)
    write_detection_scores(run, {0.15: 44.0})
    assert not runs_of(SSD_COCO, [run])
    assert "which is not among the runs" in cells(tmp_path, 3)[0].reason
    drawn = make_run(SSD_POSETRACK, data__synthetic__train_videos=6)
    assert not runs_of(SSD_POSETRACK, [drawn])


def test_a_run_counts_by_its_config_not_by_its_name(tmp_path, make_run, write_detection_scores):
    run = make_run(SSD_COCO, name="third_try")
    write_detection_scores(run, {0.15: 44.0, 0.3: 51.0, 0.5: 40.0})
    assert cells(tmp_path, 3)[2].figures == {MAP: 0.4}
    assert {cell.reason for cell in cells(tmp_path, 2)} == {"not trained yet: ssd300_voc"}


def test_a_system_fills_its_row(tmp_path, make_run, write_system_scores):
    detector, pose = make_run(SSD_COCO), make_run(POSE_BOTH, step=9000, value=2.0)
    assert cells(tmp_path, 13)[0].reason == "not scored yet"
    path = write_system_scores(detector, pose, FIGURES)
    (cell,) = cells(tmp_path, 13)
    assert cell.figures == FIGURES and cell.source == path and cell.runs == (detector, pose)
    assert "2607 labelled frames" in cell.notes[0] and "flip_test True" in cell.notes[0]
    assert "oks_nms" not in cell.notes[0] and cell.data == "e" * 64
    assert not cells(tmp_path, 10)[0].figures and not cells(tmp_path, 14)[0].figures


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"det_threshold": 0.3}, "det_threshold 0.3 where the table has 0.15"),
        ({"boxes": "ground_truth"}, "boxes ground_truth where the table has detector"),
    ],
)
def test_a_system_of_another_protocol(tmp_path, make_run, write_system_scores, wrong, reason):
    networks = make_run(SSD_COCO), make_run(POSE_BOTH, value=2.0)
    path = write_system_scores(*networks, FIGURES, **wrong)
    (cell,) = cells(tmp_path, 13)
    assert not cell.figures and cell.reason == f"{path} has {reason}"


def test_either_network_can_be_stale(tmp_path, make_run, write_system_scores):
    detector, pose = make_run(SSD_COCO), make_run(POSE_BOTH, value=2.0)
    write_system_scores(detector, pose, FIGURES)
    make_run(POSE_BOTH, step=16000, value=3.0)
    (cell,) = cells(tmp_path, 13)
    assert cell.reason.startswith("stale: ") and "hourglass_mpii_posetrack step" in cell.reason
    assert "ssd300_coco" not in cell.reason and not cell.figures


def test_the_newest_of_several_counts(tmp_path, make_run, write_system_scores):
    networks = make_run(SSD_COCO), make_run(POSE_BOTH, value=2.0)
    old = write_system_scores(*networks, FIGURES, name="old")
    new = write_system_scores(*networks, FIGURES | {"Total": 60.0}, name="new", oks_nms=0.9)
    os.utime(old, (1, 1))
    (cell,) = cells(tmp_path, 13)
    assert cell.source == new and cell.figures["Total"] == 60.0 and "oks_nms 0.9" in cell.notes[0]


def test_the_baseline_has_a_row_of_its_own(tmp_path, make_run, write_system_scores):
    baseline = make_run(OPENPOSE_MPII, step=600_000)
    assert cells(tmp_path, 6)[0].reason == "not scored yet"
    path = write_system_scores(None, baseline, FIGURES, name="table06")
    (cell,) = cells(tmp_path, 6)
    assert cell.figures == FIGURES and cell.source == path
    assert "openpose_mpii step 600000" in cell.notes[0] and " and None" not in cell.notes[0]
    assert cells(tmp_path, 7)[0].reason == f"not trained yet: {OPENPOSE_POSETRACK.run}"
    # Boxes are no part of it.
    write_system_scores(make_run(SSD_COCO), baseline, FIGURES, name="table06")
    assert "boxes detector where the table has bottom_up" in cells(tmp_path, 6)[0].reason


def test_the_test_split(tmp_path, make_run, write_system_scores):
    networks = make_run(SSD512_COCO), make_run(POSE_BOTH, value=2.0)
    path = write_system_scores(*networks, {}, name="table15", split="test")
    (cell,) = cells(tmp_path, 15)
    assert not cell.figures and cell.source == path
    assert cell.reason.startswith(f"result files to hand in are in {path.parent / 'predictions'}")
    write_system_scores(*networks, FIGURES, name="scored", split="test")
    assert cells(tmp_path, 15)[0].figures == FIGURES
    assert cells(tmp_path, 14)[0].source is None


def test_an_unfinished_run_is_said(tmp_path, make_run, write_detection_scores):
    write_detection_scores(make_run(SSD_COCO, step=2000), {0.15: 30.0})
    assert "training stands at 2000 of 15000" in cells(tmp_path, 3)[0].notes[0]


def test_files_that_are_no_scores_are_left_alone(tmp_path, make_run):
    run = make_run(POSE_MPII)
    for name, text in (
        ("a", "{"),
        ("b", "[]"),
        ("c", '{"protocol": 3}'),
        ("d", '{"protocol": {}}'),
    ):
        (run.folder / name).mkdir()
        (run.folder / name / "scores.json").write_text(text)
    assert [each.report for each in find_scores(tmp_path / "runs")] == [{"protocol": {}}]
    assert cells(tmp_path, 10)[0].reason == "not trained yet: ssd300_posetrack"
