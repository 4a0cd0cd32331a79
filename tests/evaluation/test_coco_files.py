import json
from pathlib import Path

import pytest

from jaxpose.errors import DataError
from jaxpose.evaluation.coco_files import evaluate

GOLDEN = Path(__file__).parent.parent / "golden" / "k_coco_oks"
GROUND_TRUTH = GOLDEN / "gt.json"


def load(name):
    return json.loads((GOLDEN / f"{name}.json").read_text())


def saved(tmp_path, content, name="results.json"):
    path = tmp_path / name
    path.write_text(json.dumps(content))
    return path


def test_keypoints_and_boxes_are_told_apart():
    poses, boxes = (evaluate(GROUND_TRUTH, GOLDEN / f"{n}.json") for n in ("det", "det_bbox"))
    assert (poses.pop("kind"), boxes.pop("kind")) == ("keypoints", "boxes")
    for found in (poses, boxes):
        assert (found.pop("images"), found.pop("results")) == (15, 39)
    assert poses == pytest.approx(load("result")["stats"], abs=1e-9)
    assert boxes == pytest.approx(load("result_bbox"), abs=1e-9)


def test_boxes_beside_keypoints_leave_them_poses(tmp_path):
    results = [{**entry, "bbox": [0, 0, 1, 1]} for entry in load("det")]
    found = evaluate(GROUND_TRUTH, saved(tmp_path, results))
    assert found["kind"] == "keypoints" and found["AP"] == pytest.approx(
        load("result")["stats"]["AP"]
    )


def test_without_results_the_ground_truth_tells(tmp_path):
    empty = saved(tmp_path, [])
    assert evaluate(GROUND_TRUTH, empty)["kind"] == "keypoints"
    truth = load("gt")
    for annotation in truth["annotations"]:
        del annotation["keypoints"]
    found = evaluate(saved(tmp_path, truth, "gt.json"), empty)
    assert found["kind"] == "boxes" and found["AP"] == 0 and found["results"] == 0


def test_mixed_results_are_refused(tmp_path):
    results = load("det")[:3] + load("det_bbox")
    with pytest.raises(DataError, match="results.json: entry 3 is of another kind than entry 0"):
        evaluate(GROUND_TRUTH, saved(tmp_path, results))


@pytest.mark.parametrize("content", [{"annotations": []}, [1], "x"])
def test_results_of_another_layout_are_refused(tmp_path, content):
    with pytest.raises(DataError, match="results.json: "):
        evaluate(GROUND_TRUTH, saved(tmp_path, content))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"images": None}, "images is None, not a list"),
        ({"annotations": [3]}, r"annotations\[0\] is 3, not an object"),
        ({"images": [{"file_name": "a"}]}, r"images\[0\] has no field id"),
        ({"categories": [{"id": 1}]}, "0 categories name their keypoints"),
        ({"categories": [{"id": 1, "keypoints": [5]}]}, "1 categories name their keypoints"),
    ],
)
def test_ground_truth_of_another_layout_is_refused(tmp_path, change, reason):
    path = saved(tmp_path, load("gt") | change, "gt.json")
    with pytest.raises(DataError, match=f"gt.json: {reason}"):
        evaluate(path, GOLDEN / "det.json")
    truth = load("gt")
    del truth["annotations"]
    with pytest.raises(DataError, match="no field annotations"):
        evaluate(saved(tmp_path, truth, "gt.json"), GOLDEN / "det.json")
