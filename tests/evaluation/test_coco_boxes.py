"""COCO box AP: golden numbers, values by hand, crowds, what is refused."""

import copy
import json
from pathlib import Path

import numpy as np
import pytest

from jaxpose.errors import DataError
from jaxpose.evaluation.coco_boxes import STATS, box_ap, box_entries

GOLDEN = Path(__file__).parent.parent / "golden" / "k_coco_oks"


def load(name):
    return json.loads((GOLDEN / f"{name}.json").read_text())


def truth_of(*boxes, **extra):
    """One image with these boxes (xywh), each with the fields of `extra`."""
    return {
        "images": [{"id": 0}],
        "categories": [{"id": 1, "name": "person"}],
        "annotations": [
            {"id": n, "image_id": 0, "category_id": 1, "bbox": list(box), **extra}
            for n, box in enumerate(boxes)
        ],
    }


def found(box, score=0.9, **extra):
    return {"image_id": 0, "category_id": 1, "bbox": list(box), "score": score, **extra}


def test_equals_pycocotools_on_the_golden_set():
    expected = load("result_bbox")
    stats = box_ap(load("gt"), load("det_bbox"))
    assert tuple(stats) == STATS and set(expected) == set(STATS)
    for name, value in expected.items():
        assert stats[name] == pytest.approx(value, abs=1e-9), name


def test_is_silent_and_changes_no_input(capsys):
    truth, results = load("gt"), load("det_bbox")
    before = copy.deepcopy((truth, results))
    box_ap(truth, results)
    assert (truth, results) == before
    assert capsys.readouterr() == ("", "")


def test_by_hand():
    """IoU 0.8 is a match at 0.50 .. 0.80, seven of ten thresholds; annotation id 0 counts."""
    stats = box_ap(truth_of([0, 0, 100, 100]), [found([0, 0, 100, 80])])
    assert stats["AP"] == pytest.approx(0.7)
    assert stats["AP50"] == stats["AP75"] == pytest.approx(1)
    assert stats["AP_L"] == pytest.approx(0.7)
    assert stats["AP_S"] == stats["AP_M"] == -1


def test_results_may_be_empty():
    stats = box_ap(truth_of([0, 0, 100, 100]), [])
    assert (stats["AP"], stats["AR100"], stats["AP_S"]) == (0, 0, -1)
    assert set(box_ap(truth_of(), []).values()) == {-1}


def test_detections_in_a_crowd_do_not_count():
    truth = truth_of([0, 0, 10, 10])
    truth["annotations"].append(
        {"id": 9, "image_id": 0, "category_id": 1, "bbox": [200, 0, 300, 200], "iscrowd": 1}
    )
    results = [found([200 + 50 * i, 20, 40, 40], 0.95) for i in range(5)]
    results.append(found([0, 0, 10, 10], 0.5))
    assert box_ap(truth, results)["AP"] == pytest.approx(1)
    truth["annotations"][1]["iscrowd"] = 0
    assert box_ap(truth, results)["AP"] < 0.2


def test_area_decides_the_size_and_defaults_to_the_box():
    box = [0, 0, 40, 40]
    stats = box_ap(truth_of(box), [found(box)])
    assert stats["AP_M"] == pytest.approx(1) and stats["AP_S"] == -1
    stats = box_ap(truth_of(box, area=500.0), [found(box)])
    assert stats["AP_S"] == pytest.approx(1) and stats["AP_M"] == -1


def test_entries_of_columns():
    boxes = np.array([[1, 2, 4, 8]], np.float32)
    entries = box_entries(np.array([3]), np.array([0]), boxes, score=np.array([0.5]))
    expected = {"image_id": 3, "category_id": 0, "bbox": [1.0, 2.0, 3.0, 6.0], "score": 0.5}
    assert entries == [expected]
    assert json.loads(json.dumps(entries)) == entries


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"bbox": [0, 0, np.nan, 1]}, r"results: entry 0 \(image 0\): bbox is not finite"),
        ({"score": np.inf}, "score is not finite"),
        ({"score": None}, "no score"),
        ({"bbox": [1, 2, 3]}, "bbox has 3 values"),
        ({"image_id": 77}, r"image 77\): image_id 77 is not in the ground truth"),
        ({"category_id": 5}, "category_id 5 is not in"),
    ],
)
def test_unusable_results_are_named(change, message):
    with pytest.raises(DataError, match=message):
        box_ap(truth_of([0, 0, 9, 9]), [{**found([0, 0, 9, 9]), **change}])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"bbox": [0, 0, np.inf, 1]}, r"ground truth: annotation 0 \(image 0\): bbox is not fin"),
        ({"area": np.nan}, "area is not finite"),
        ({"bbox": None}, "no bbox"),
        ({"image_id": 4}, "image_id 4 is not in"),
    ],
)
def test_unusable_ground_truth_is_named(change, message):
    truth = truth_of([0, 0, 9, 9])
    truth["annotations"][0].update(change)
    with pytest.raises(DataError, match=message):
        box_ap(truth, [])
