"""Scores of a weight file measured into its model card."""

import json
import subprocess
import sys

import pytest

from jaxpose.errors import UsageError
from jaxpose.pipelines.evaluate import evaluate
from jaxpose.pipelines.model_card import measure_card
from jaxpose.zoo.cards import SECTIONS, card_text, read_card
from jaxpose.zoo.shipped import file_digest

WANTED = {"posetrack18": ["pck", "pck_*"]}


@pytest.fixture
def file(system_networks, tmp_path):
    copy = tmp_path / "small.npz"
    with open(system_networks["pose"], "rb") as original:
        copy.write_bytes(original.read())
    return copy


def test_scores_go_into_the_card_and_leave_the_rest(file, data, system_networks, tmp_path):
    options = {"data_dir": str(data / "drawn_people"), "batch_size": 8}
    out = tmp_path / "out"
    path = measure_card(file, WANTED, out, full=system_networks["other_pose"], **options)
    card = read_card(path)
    assert path == tmp_path / "small.md" and card.title == "small"
    assert tuple(card.sections) == SECTIONS and card.sections["Recipe"] == ""
    assert card.sha256 == file_digest(file)
    report = json.loads((out / "posetrack18/scores.json").read_text())
    other = json.loads((out / "posetrack18_full/scores.json").read_text())
    expected = {n: round(v, 2) for n, v in report.items() if n == "pck" or n.startswith("pck_")}
    assert card.scores == {"posetrack18/validation": expected} and len(expected) > 10
    row = f"| pck | {report['pck']:.2f} | {other['pck']:.2f} |"
    assert row in card.sections["Scores"] and report["pck"] != other["pck"]
    assert f"- people: {report['people']}\n- boxes: ground truth" in card.sections["Scores"]
    assert "- oks:" not in card.sections["Scores"]

    written = card._replace(
        licence="free", sections={**card.sections, "Recipe": "Slowly.", "More": "And more."}
    )
    path.write_text(card_text(written))
    again = read_card(measure_card(file, WANTED, out, **options))
    assert (again.licence, again.sections["Recipe"]) == ("free", "Slowly.")
    assert again.sections["More"] == "And more." and again.scores == card.scores
    assert f"| pck | {report['pck']:.2f} |\n" in again.sections["Scores"]


def test_a_score_that_is_not_there_and_a_missing_file_are_refused(file, data, tmp_path):
    options = {"data_dir": str(data / "drawn_people"), "batch_size": 8}
    with pytest.raises(UsageError, match="posetrack18: no score coco_ap; there are .*pck"):
        measure_card(file, {"posetrack18": ["coco_ap"]}, tmp_path / "out", **options)
    assert not (tmp_path / "small.md").exists()
    with pytest.raises(UsageError, match=r"none.npz: no such file"):
        measure_card(tmp_path / "none.npz", WANTED, tmp_path / "out")


def test_a_single_file_is_scored_where_a_folder_is_named(file, data, tmp_path):
    with pytest.raises(UsageError, match="--output_dir is needed beside .*small.npz"):
        evaluate(str(file), dataset="posetrack18")
    run = {"dataset": "posetrack18", "data_dir": str(data / "drawn_people"), "batch_size": 8}
    report = evaluate(str(file), output_dir=str(tmp_path / "a/b"), **run)
    assert report["protocol"]["run"] == "small"
    assert json.loads((tmp_path / "a/b/scores.json").read_text()) == report


def test_the_command_says_what_it_needs(tmp_path):
    for arguments, words in (
        (["a.npz"], "usage: model_card.py FILE.npz"),
        (["a.npz", "--score=set"], "--score=set: give DATA_SET:SCORE"),
    ):
        command = [sys.executable, "tools/model_card.py", *arguments]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 2 and words in done.stderr, done.stderr
