"""Scores of another protocol fill no row; free choices and parts of the data are said."""

from pathlib import Path

import pytest

from jaxpose.evaluation.posetrack_table import COLUMNS
from jaxpose.inference.options import Options
from jaxpose.pipelines.detection_report import DIFFICULT
from jaxpose.pipelines.report_tables import POSE_BOTH, SSD_COCO
from jaxpose.pipelines.reproduce_tables import OpenPose, reproduce
from jaxpose.pipelines.table_commands import real_places
from jaxpose.pipelines.table_drawing import Amount, draw_sets
from jaxpose.pipelines.table_options import amount_note, free_choices
from jaxpose.pipelines.table_scores import find_scores

REPOSITORY = Path(__file__).parents[3]
FIGURES = dict.fromkeys(COLUMNS, 50.0)


@pytest.fixture
def cells(tmp_path):
    """Makes the cells of a table of what lies in the runs' folder."""

    def make(number):
        report = reproduce([number], real_places(tmp_path / "runs", REPOSITORY), OpenPose())
        return report.tables[0].cells

    return make


@pytest.mark.parametrize(
    ("name", "value", "meant"),
    [
        ("rule", "area", "11point"),
        ("plus_one", False, True),
        ("inclusive", False, True),
        ("difficult", DIFFICULT["count"], DIFFICULT["ignore"]),
    ],
)
def test_a_detector_scored_by_another_measure(
    cells, make_run, write_detection_scores, name, value, meant
):
    run = make_run(SSD_COCO)
    path = write_detection_scores(run, {0.15: 44.0}, **{name: value})
    for cell in cells(3):
        assert not cell.figures and cell.reason.startswith(f"{path} has {name} {value} where the")
        assert f"{name} {value} where the table has {meant}" in cell.reason
    write_detection_scores(run, {0.15: 44.0})
    assert cells(3)[0].figures == {"mAP": 0.44}


def test_free_choices_are_said_with_the_default_where_they_are_another():
    defaults = Options()._asdict()
    assert free_choices(defaults) == [
        "nms_iou 0.45",
        "joint_score peak_times_box",
        "keypoint_threshold 0.0",
        "flip_test True",
    ]
    changed = {"oks_nms": 0.9, "max_persons": 3, "joint_score": "box", "flip_test": False}
    assert free_choices(changed) == [
        "oks_nms 0.9 (default None)",
        "max_persons 3 (default None)",
        "joint_score box (default peak_times_box)",
        "flip_test False (default True)",
    ]
    assert free_choices({}) == free_choices({"nms_iou": None}) == []  # without a detector


def test_a_part_of_the_videos_is_said(cells, make_run, write_system_scores):
    networks = make_run(SSD_COCO), make_run(POSE_BOTH, value=2.0)
    write_system_scores(*networks, FIGURES)
    assert "videos" not in " ".join(cells(13)[0].notes)
    write_system_scores(*networks, FIGURES, videos=3, flip_test=False)
    (cell,) = cells(13)
    assert cell.figures == FIGURES
    assert any(note.endswith("(3 of 50 videos)") for note in cell.notes)
    assert "flip_test False (default True)" in cell.notes[0]
    assert amount_note(None, "validation") == amount_note(3, "test") == []


def test_scores_of_a_smoke_run_inside_are_none_of_the_tables(
    tmp_path, cells, make_run, write_system_scores
):
    networks = make_run(SSD_COCO), make_run(POSE_BOTH, value=2.0)
    write_system_scores(*networks, FIGURES)
    runs = tmp_path / "runs"
    inside = runs / "tables_smoke"
    (runs / "tables").rename(tmp_path / "tables")
    draw_sets(inside / "drawn", Amount(1, 1, 1, (64, 64)))
    (tmp_path / "tables").rename(inside / "tables")
    assert not find_scores(runs) and len(find_scores(inside)) == 1
    assert cells(13)[0].reason == "not scored yet"
