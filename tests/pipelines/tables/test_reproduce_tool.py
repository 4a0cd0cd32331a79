"""The command tools/reproduce_tables.py, in processes of its own, and what it prints."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from jaxpose.evaluation.posetrack_table import COLUMNS
from jaxpose.pipelines.report_tables import POSE_BOTH, SSD_COCO, SSD_VOC
from jaxpose.pipelines.reproduce_tables import OpenPose, reproduce
from jaxpose.pipelines.table_commands import real_places

ROOT = Path(__file__).parents[3]
FIGURES = dict(zip(COLUMNS, [66.0, 65.0, 64.0, 55.0, 54.0, 53.0, 46.0, 58.4], strict=True))


def tool(*arguments, folder):
    command = [sys.executable, str(ROOT / "tools/reproduce_tables.py"), *arguments]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "JAXPOSE_DATA": str(folder / "data")}
    return subprocess.run(
        command, capture_output=True, text=True, env=environment, cwd=folder, check=False
    )


@pytest.fixture
def scored(tmp_path, make_run, write_system_scores, write_detection_scores):
    """A folder where Tables 3 (in part) and 13 are scored."""
    detector, pose = make_run(SSD_COCO), make_run(POSE_BOTH, step=9000, value=2.0)
    write_detection_scores(detector, {0.15: 44.4, 0.3: 53.0})
    write_system_scores(detector, pose, FIGURES)
    return tmp_path


def test_one_table_as_text_and_json(scored):
    done = tool("--table=13", "--json=out/tables.json", folder=scored)
    assert done.returncode == 0, done.stderr
    title, heads, report, ours, difference, note = done.stdout.splitlines()[:6]
    assert title.startswith("Table 13: pose estimation, SSD300 (COCO) + Hourglass (MPII and Pose")
    assert heads.split() == list(COLUMNS)
    assert " ".join(report.split()) == "report 67.0 66.8 63.6 56.5 55.6 54.6 47.7 59.4"
    assert " ".join(ours.split()) == "jaxpose 66.0 65.0 64.0 55.0 54.0 53.0 46.0 58.4"
    assert " ".join(difference.split()) == "difference -1.0 -1.8 +0.4 -1.5 -1.6 -1.6 -1.7 -1.0"
    assert note.startswith("  runs/tables/table13/scores.json: ssd300_coco step 15000 + hourglass")
    assert "python" not in done.stdout
    document = json.loads((scored / "out/tables.json").read_text())
    (row,) = document["tables"][0]["rows"]
    assert row["ours"] == FIGURES and row["report"]["Head"] == 67.0
    assert row["difference"]["Elb"] == pytest.approx(0.4) and document["commands"] == []
    assert set(row["checkpoints"]) == {"ssd300_coco", "hourglass_mpii_posetrack"}


def test_markdown(scored):
    done = tool("--table=3,2", "--markdown", folder=scored)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    at = lines.index("| confidence threshold | mAP, report | mAP, jaxpose | mAP, difference |", 5)
    assert lines[at + 1 : at + 5] == [
        "|---|---:|---:|---:|",
        "| 0.15 | 0.46 | 0.44 | -0.02 |",
        "| 0.3 | 0.52 | 0.53 | +0.01 |",
        "| 0.5 | 0.40 | N/A | N/A |",
    ]
    assert any("jaxpose.train --config=" in line and "ssd300_voc.py" in line for line in lines)
    assert lines.count("```") == 2


def places(folder, **given):
    return real_places(folder / "runs", ROOT, **given)


def test_runs_that_do_not_follow_their_config_are_said(tmp_path, make_run, write_detection_scores):
    run = make_run(SSD_VOC, steps=2000, step=2000, optimizer__learning_rate=1e-4)
    write_detection_scores(run, {0.15: 40.0, 0.3: 40.0, 0.5: 40.0})
    text = "\n".join(reproduce([2], places(tmp_path), OpenPose()).lines())
    assert (
        "ssd300_voc is not as configs/ssd300_voc.py says: "
        "optimizer.learning_rate = 0.0001 (0.001), steps = 2000 (15000)" in text
    )
    write_detection_scores(make_run(SSD_VOC), {0.15: 40.0, 0.3: 40.0, 0.5: 40.0})
    text = "\n".join(reproduce([2], places(tmp_path), OpenPose()).lines())
    assert "0.40" in text and "is not as" not in text


def test_tables_of_different_data_are_said(tmp_path, make_run, write_detection_scores):
    figures = {0.15: 40.0, 0.3: 40.0, 0.5: 40.0}
    for network, digest in ((SSD_VOC, "a" * 64), (SSD_COCO, "b" * 64)):
        run = make_run(network, value=float(ord(digest[0])))
        write_detection_scores(run, figures, data_digest=digest)
    warning = reproduce([2, 3], places(tmp_path), OpenPose()).lines()[-1]
    assert warning.endswith("the same data: Tables 2 on aaaaaaaa; Tables 3 on bbbbbbbb")
    assert "ATTENTION" not in "".join(reproduce([2], places(tmp_path), OpenPose()).lines())


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["13"], 2, "unexpected argument '13'"),
        (["--table=x"], 2, "--table=x: give numbers from 1 to 15"),
        (["--smoke"], 2, "add --data=synthetic"),
        (["--data=synthetic", "--mpii=a"], 2, "--mpii has no meaning beside --data=synthetic"),
        (["--table=6", "--openpose_mpii=a", "--posetrack17=b"], 1, "a: no such folder"),
    ],
)
def test_errors_are_one_line_with_a_code(arguments, code, message, tmp_path):
    done = tool(*arguments, folder=tmp_path)
    assert done.returncode == code and done.stderr.count("\n") == 1
    assert done.stderr.startswith("error: ") and message in done.stderr


def test_one_bad_folder_stops_no_other_table(scored):
    """A damaged run that is of no table, and files that are no OpenPose results."""
    old = scored / "runs" / "old"
    shutil.copytree(scored / "runs" / SSD_COCO.run, old)
    (old / "config.json").write_text("{")
    (scored / "empty").mkdir()
    done = tool("--table=6,13", "--openpose_mpii=empty", "--posetrack17=p", folder=scored)
    assert done.returncode == 1 and "Total" in done.stdout
    assert "66.0" in done.stdout and "  p/annotations/val: no such" in done.stdout
    skipped, error = done.stderr.splitlines()
    assert skipped.startswith("run left out: runs/old/config.json is damaged")
    assert error.startswith("error: p/annotations/val: ")
