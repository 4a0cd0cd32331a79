"""Top-down beside bottom-up: the page, the frames that are timed, and the tool's refusals."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from jaxpose.defaults import DEFAULTS
from jaxpose.errors import DataError
from jaxpose.evaluation.posetrack_matching import JOINTS
from jaxpose.evaluation.posetrack_table import COLUMNS
from jaxpose.inference.estimator import PoseEstimator
from jaxpose.inference.restore import restore
from jaxpose.pipelines.comparison_page import comparison_page
from jaxpose.pipelines.crowd_speed import CrowdSpeed, crowd, crowd_speeds

REPOSITORY = Path(__file__).parents[2]
SPEEDS = [
    CrowdSpeed(1, 0.02, 0.01, 0.05, 0.004, 1.5, 1),
    CrowdSpeed(50, 0.02, 0.48, 0.0625, 0.008, 31.0, 50),
]


def scores(task, total, **protocol):
    """What the scores.json of a system holds, as far as the page reads it."""
    block = {"run": f"my_{task}", "step": 7, "task": task}
    return {
        **dict.fromkeys(COLUMNS, total),
        "joints": list(JOINTS),
        "ap": [None, *[total] * 14],
        "frames_evaluated": 1234,
        "protocol": {
            "kind": "system",
            "data_set": "posetrack17",
            "split": "validation",
            "data_digest": "d",
            "detector": {"run": "my_ssd", "step": 9} if task == "pose" else None,
            "pose": block,
        }
        | protocol,
    }


def test_figures_of_both_and_their_differences():
    page = comparison_page(scores("pose", 50.25), scores("bottom_up", 41.0), SPEEDS)
    for words in ("posetrack17 validation, 1,234 labelled frames", "my_ssd step 9 + my_pose step 7",
                  "bottom-up: my_bottom_up step 7", "50.2", "41.0", "-9.2"):  # fmt: skip
        assert words in page, words
    assert page.count("<tr>") == 1 + 3 + 1 + len(JOINTS) + 1 + len(SPEEDS)
    row = re.search(r"<th scope=\"row\">right ankle</th>(.*?)</tr>", page)
    assert row and row[1] == "<td>–</td><td>–</td><td>–</td>"
    assert "<td>33.3</td><td>20</td>" in page and "<td>2</td><td>16</td>" in page
    assert "<td>8.0</td><td>31.0</td><td>50</td>" in page and page.count("<polyline") == 2


def test_scores_without_speeds_and_speeds_without_scores():
    assert "<polyline" not in comparison_page(scores("pose", 1.0), scores("bottom_up", 2.0))
    alone = comparison_page(None, None, SPEEDS[:1], {"device": "abacus"})
    assert "<polyline" in alone and "device abacus" in alone and "Head" not in alone


def test_what_cannot_be_compared():
    with pytest.raises(DataError, match="different data: data_digest"):
        comparison_page(scores("pose", 1.0), scores("bottom_up", 1.0, data_digest="e"))
    with pytest.raises(DataError, match="give the top-down system's first"):
        comparison_page(scores("bottom_up", 1.0), scores("pose", 1.0))


@pytest.mark.parametrize("count", [1, 2, 5, 10, 20, 50])
def test_crowds_stand_apart_inside_the_frame(count):
    cast = [np.full((60, 20, 3), 1, np.uint8), np.full((40, 30, 3), 2, np.uint8)]
    image, boxes = crowd(count, (320, 180), cast)
    assert image.shape == (180, 320, 3) and boxes.shape == (count, 4)
    assert (boxes[:, :2] >= 0).all() and (boxes[:, 2:] <= [320, 180]).all()
    covered = np.zeros(image.shape[:2], int)
    for place, (x1, y1, x2, y2) in enumerate(boxes.astype(int)):
        covered[y1:y2, x1:x2] += 1
        assert (image[y1:y2, x1:x2] == place % 2 + 1).all()
    assert covered.max() == 1


def test_both_systems_are_timed(networks):
    poses = PoseEstimator.restore(False, networks["pose"], flip_test=False)
    bottom_up = PoseEstimator.restore(pose=networks["bottom_up"], flip_test=False)
    detector = restore(networks["detection"])
    options = {"size": (96, 64), "frames": 1, "rounds": 1}
    config = restore(networks["bottom_up"]).config
    config.grouping.update(DEFAULTS["bottom_up"]().grouping.to_dict() | {"max_peaks": 8})
    config.eval.input_size = (96, 144)
    rows = crowd_speeds(detector, poses, bottom_up, config, [1, 5], **options)
    assert [row.people for row in rows] == [1, 5] == [row.grouped for row in rows]
    assert all(min(row[1:5]) > 0 and row.found >= 0 for row in rows)
    assert all(row.top_down == row.detection + row.poses for row in rows)


def test_the_tool(tmp_path):
    files = {}
    for name, task in (("top_down", "pose"), ("bottom_up", "bottom_up")):
        files[name] = tmp_path / f"{name}.json"
        files[name].write_text(json.dumps(scores(task, 12.5)))
    given = [f"--{name}={file}" for name, file in files.items()]
    output = tmp_path / "new" / "page.html"
    done = tool(*given, f"--output={output}")
    assert done.returncode == 0, done.stderr
    assert "12.5" in output.read_text() and json.loads(output.with_suffix(".json").read_text())
    done = tool(given[0])
    assert (done.returncode, done.stderr.strip()) == (
        2,
        "error: --bottom_up is missing beside --top_down",
    )


def tool(*flags):
    command = [sys.executable, str(REPOSITORY / "tools/compare_systems.py"), *flags]
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY)}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
