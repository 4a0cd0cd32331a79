"""The command tools/score.py, in processes of its own."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
GOLDEN = ROOT / "tests" / "golden"
OKS = GOLDEN / "k_coco_oks"


def score(*arguments):
    command = [sys.executable, str(ROOT / "tools/score.py"), *map(str, arguments)]
    environment = {"PYTHONPATH": str(ROOT), "PATH": ""}
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False)


@pytest.mark.parametrize("name", ["ignore/noisy", "pt18/noisy"])
def test_posetrack(name, poseval_files, poseval_cases, tmp_path):
    case = poseval_cases[name]
    folders = [poseval_files / case[side] for side in ("gt", "pred")]
    done = score("posetrack", *folders, f"--json={tmp_path / 'out' / 'scores.json'}")
    assert done.returncode == 0 and done.stderr == "", done.stderr
    table = case["table_Head_Shou_Elb_Wri_Hip_Knee_Ankl_Total"]
    lines = done.stdout.splitlines()
    assert lines[-2] == r"& Head & Shou & Elb  & Wri  & Hip  & Knee & Ankl & Total\\"
    assert lines[-1] == "&" + " &".join(f"{value:5.1f}" for value in table) + r" \\"
    scores = json.loads((tmp_path / "out" / "scores.json").read_text())
    assert [scores[c] for c in lines[0].split()] == pytest.approx(table, abs=1e-9)
    assert scores["ap"] == pytest.approx(case["ap"][:15], abs=1e-9)
    assert len(scores["joints"]) == 15 and scores["n_tp"] == case["n_tp"]
    assert scores["protocol"]["predictions"] == str(folders[1])


@pytest.mark.parametrize(
    ("results", "golden"), [("det", "result"), ("det_bbox", "result_bbox")], ids=["oks", "boxes"]
)
def test_coco(results, golden, tmp_path):
    file = tmp_path / "scores.json"
    done = score("coco", OKS / "gt.json", OKS / f"{results}.json", f"--json={file}")
    assert done.returncode == 0, done.stderr
    expected = json.loads((OKS / f"{golden}.json").read_text())
    expected = expected.get("stats", expected)
    scores = json.loads(file.read_text())
    assert {name: scores[name] for name in expected} == pytest.approx(expected, abs=1e-9)
    assert done.stdout.splitlines()[0].split() == ["AP", f"{expected['AP']:.3f}"]


def test_voc(tmp_path):
    arguments = ["voc", OKS / "gt.json", OKS / "det_bbox.json", f"--json={tmp_path / 's.json'}"]
    values = {}
    for options in [(), ("--rule=area",), ("--rule=area", "--iou_threshold=0.9")]:
        done = score(*arguments, *options)
        assert done.returncode == 0, done.stderr
        scores = json.loads((tmp_path / "s.json").read_text())
        values[options] = scores["map"]
        assert f"map{scores['map']:20.2f}" in done.stdout.splitlines()[0]
    assert scores["protocol"]["iou_threshold"] == 0.9 and scores["protocol"]["rule"] == "area"
    assert len(set(values.values())) == 3


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ([], 2, "usage: score.py posetrack|coco|voc"),
        (["mpii", "a", "b"], 2, "usage: score.py posetrack|coco|voc"),
        (["coco", "a"], 2, "usage: score.py"),
        (["posetrack", "none", "none"], 3, "none: no such folder"),
        (["coco", "none.json", "none.json"], 3, "none.json: cannot be read"),
        (["voc", "none", "none"], 3, "none: neither a detection file"),
        (["voc", "a", "b", "--rule=12point"], 2, "rule"),
    ],
)
def test_errors_are_one_line_with_a_code(arguments, code, message):
    done = score(*arguments)
    assert done.returncode == code and done.stderr.count("\n") == 1
    assert done.stderr.startswith("error: ") and message in done.stderr


def test_no_jax_and_no_tensorflow_are_loaded():
    code = (
        "import sys, runpy; runpy.run_path('tools/score.py', run_name='tool');"
        "print([m for m in ('jax', 'flax', 'tensorflow', 'orbax') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True
    )
    assert done.stdout.strip() == "[]"
