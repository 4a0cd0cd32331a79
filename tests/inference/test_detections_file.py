"""Kept detections: written and read back, damaged ones refused, taken as `--boxes` too."""

import json

import numpy as np
import pytest

from jaxpose.errors import CheckpointError, DataError
from jaxpose.inference.detection_boxes import read_boxes
from jaxpose.inference.detections_file import Detections, read_detections, write_detections
from jaxpose.inference.frames import Boxes

NOBODY = Boxes(np.zeros((0, 4), np.float32), np.zeros(0, np.float32))


@pytest.fixture
def kept():
    rng = np.random.default_rng(0)
    corners = np.sort(rng.uniform(0, 2000, (50, 2, 2)), 1).reshape(50, 4).astype(np.float32)
    scores = -np.sort(-rng.uniform(0.01, 1, 50).astype(np.float32))
    boxes = {"v/000000.jpg": Boxes(corners, scores), "v/ü 1.jpg": NOBODY}
    return Detections(boxes, {"kind": "detections", "score_floor": 0.01})


def test_boxes_come_back_to_a_thousandth_of_a_pixel_and_scores_as_they_were(kept, tmp_path):
    write_detections(tmp_path / "a.json", kept)
    again = read_detections(tmp_path / "a.json")
    assert again.protocol == kept.protocol and list(again.boxes) == list(kept.boxes)
    for one, other in zip(kept.boxes.values(), again.boxes.values(), strict=True):
        assert other.boxes_xyxy.dtype == other.scores.dtype == np.float32
        assert np.abs(one.boxes_xyxy - other.boxes_xyxy).max(initial=0) < 7e-4
        assert np.array_equal(one.scores, other.scores)
    write_detections(tmp_path / "b.json", again)
    assert (tmp_path / "b.json").read_bytes() == (tmp_path / "a.json").read_bytes()
    json.loads((tmp_path / "a.json").read_text())


def test_predict_takes_the_file_as_boxes(kept, tmp_path):
    thin = Boxes(np.array([[5, 5, 5, 9], [0, 0, 2, 2]], np.float32), np.ones(2, np.float32))
    kept.boxes["w/thin.jpg"] = thin
    write_detections(tmp_path / "a.json", kept)
    boxes = read_boxes(tmp_path / "a.json")
    assert len(boxes) == 3 and boxes.notes == ["1 boxes without area left out"]
    corners, scores = boxes.find("v/000000.jpg")
    assert (
        np.abs(corners - kept.boxes["v/000000.jpg"].boxes_xyxy).max() < 7e-4 and len(scores) == 50
    )
    assert boxes.find("images/v/ü 1.jpg")[0].shape == (0, 4) and boxes.find("x.jpg") is None
    assert boxes.find("thin")[0].tolist() == [[0, 0, 2, 2]]


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([{"file_name": "a.jpg", "boxes_xyxy": [[0, 0, 1]], "scores": [1]}], "a.jpg: .* numbers"),
        ([{"file_name": "a.jpg", "boxes_xyxy": [[0, 0, 1, 1]], "scores": []}], "a.jpg: 1 boxes"),
        ([{"file_name": "a.jpg", "boxes_xyxy": "x", "scores": []}], "a.jpg: .* numbers"),
        ([{"file_name": "a.jpg"}], "a.jpg: "),
        ([{"file_name": "a", "boxes_xyxy": [], "scores": []}] * 2, "occurs twice"),
        ([{"boxes_xyxy": [], "scores": []}], "no field file_name"),
        ([{"file_name": "../a", "boxes_xyxy": [], "scores": []}], "file_name"),
        ([3], "not an object"),
        (None, "detections is None, not a list"),
    ],
)
def test_damaged_files_are_refused(rows, words, tmp_path):
    path = tmp_path / "a.json"
    path.write_text(json.dumps({"protocol": {}, "detections": rows}))
    with pytest.raises(DataError, match=f"a.json: .*{words}"):
        read_detections(path)


def test_nothing_is_written_in_part(kept, tmp_path):
    write_detections(tmp_path / "a.json", kept)
    before = (tmp_path / "a.json").read_bytes()
    kept.boxes["v/nan.jpg"] = Boxes(np.full((1, 4), np.nan), np.ones(1))
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_detections(tmp_path / "a.json", kept)
    assert (tmp_path / "a.json").read_bytes() == before
    with pytest.raises(CheckpointError, match="cannot write"):
        write_detections(tmp_path / "nowhere" / "a.json", Detections({}, {}))
