import copy
import json
import math
from pathlib import Path

import numpy as np
import pytest

from jaxpose.errors import DataError
from jaxpose.evaluation.coco import STATS, oks_ap, shared_joints

GOLDEN = Path(__file__).parent.parent / "golden" / "k_coco_oks"


def load(name):
    return json.loads((GOLDEN / f"{name}.json").read_text())


@pytest.fixture
def golden():
    return load("gt"), load("det"), load("result")


def truth_of(keypoints, area=5000.0, count=1, **extra):
    """`count` images with one person each."""
    annotation = {"category_id": 1, "bbox": [0, 0, 100, 100], "area": area, **extra}
    return {
        "images": [{"id": n} for n in range(count)],
        "categories": [{"id": 1, "name": "person"}],
        "annotations": [
            {**annotation, "id": n, "image_id": n, "keypoints": list(keypoints)}
            for n in range(count)
        ],
    }


def detection(keypoints, image_id=0, score=0.9):
    return {
        "image_id": image_id,
        "category_id": 1,
        "keypoints": list(keypoints),
        "score": score,
    }


def test_equals_pycocotools_on_the_golden_set(golden):
    truth, results, expected = golden
    found = oks_ap(truth, results, expected["sigmas"])
    assert tuple(found) == STATS
    for name, value in expected["stats"].items():
        assert found[name] == pytest.approx(value, abs=1e-9), name


def test_is_silent_and_changes_no_input(golden, capsys):
    truth, results, expected = golden
    before = copy.deepcopy((truth, results))
    oks_ap(truth, results, expected["sigmas"], joints=range(5, 17))
    assert (truth, results) == before
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("joints", [1, 3, 20])
def test_oks_by_hand_for_any_number_of_joints(joints):
    """Every joint d px off: OKS = exp(-d^2 / (8 sigma^2 area)), AP = share of thresholds below."""
    distance, sigma, area = 10.0, 0.1, 5000.0
    oks = math.exp(-(distance**2) / (8 * sigma**2 * area))
    assert 0.75 < oks < 0.8
    found = oks_ap(
        truth_of([50, 50, 2] * joints, area),
        [detection([60, 50, 1] * joints)],
        np.full(joints, sigma),
    )
    assert found["AP"] == pytest.approx(0.6)  # 0.50 .. 0.75
    assert (found["AP75"], found["AP_M"]) == pytest.approx((1, 0.6))
    assert found["AP_L"] == -1  # nobody is large


def test_annotation_id_zero_is_matched():
    """pycocotools alone takes a match with id 0 for no match."""
    found = oks_ap(truth_of([50, 50, 2], count=1), [detection([50, 50, 1])], [0.1])
    assert found["AP"] == pytest.approx(1)


def test_results_may_be_empty():
    found = oks_ap(truth_of([50, 50, 2]), [], [0.1])
    assert (found["AP"], found["AR"], found["AP_L"]) == (0, 0, -1)


def test_a_box_in_some_results_changes_nothing(golden):
    truth, results, expected = golden
    for result in results[::2]:
        result["bbox"] = [0.0, 0.0, 5.0, 5.0]
    found = oks_ap(truth, results, expected["sigmas"])
    assert found == pytest.approx(expected["stats"], abs=1e-9)


def test_shared_joints_by_hand():
    truth = truth_of([1, 2, 2, 3, 4, 1, 5, 6, 0], num_keypoints=2)
    found = shared_joints(truth, [1, 2])
    assert found["annotations"][0]["keypoints"] == [0, 0, 0, 3, 4, 1, 5, 6, 0]
    assert found["annotations"][0]["num_keypoints"] == 1
    assert found["images"] == truth["images"]
    assert truth["annotations"][0]["num_keypoints"] == 2
    assert truth["annotations"][0]["keypoints"][:3] == [1, 2, 2]


def test_joints_that_are_not_shared_do_not_matter():
    truth, sigmas = truth_of([50, 50, 2, 70, 70, 2]), [0.1, 0.1]
    wrong_second = [detection([50, 50, 1, 20, 20, 1])]
    assert oks_ap(truth, wrong_second, sigmas)["AP"] < 0.2
    assert oks_ap(truth, wrong_second, sigmas, joints=[0])["AP"] == pytest.approx(1)
    assert oks_ap(truth, wrong_second, sigmas, joints=[1])["AP"] == 0


def test_joints_is_the_score_of_the_restricted_ground_truth(golden):
    truth, results, expected = golden
    limbs = list(range(5, 17))
    restricted = oks_ap(shared_joints(truth, limbs), results, expected["sigmas"])
    found = oks_ap(truth, results, expected["sigmas"], joints=limbs)
    assert found == restricted
    assert found != pytest.approx(expected["stats"], abs=1e-9)


def test_a_person_without_shared_joints_is_ignored():
    truth = truth_of([50, 50, 2, 0, 0, 0], count=2)
    truth["annotations"][1]["keypoints"] = [50, 50, 2, 70, 70, 2]
    found = oks_ap(truth, [detection([50, 50, 1, 70, 70, 1], 1)], [0.1, 0.1], joints=[1])
    assert found["AR"] == pytest.approx(1)


def test_absent_joints_do_not_enlarge_a_detection():
    """A false positive of medium size counts in AP_M although its absent joint reads (0, 0)."""
    person = [600, 600, 2, 660, 660, 2, 630, 630, 2]
    truth = truth_of(person, area=3600.0)
    right = detection(person, score=0.5)
    shifted = [300, 300, 1, 360, 360, 1]
    for third in ([330, 330, 1], [0, 0, 0]):
        wrong = detection(shifted + third, score=0.9)
        found = oks_ap(truth, [wrong, right], [0.1] * 3, joints=[0, 1])
        assert found["AP_M"] == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"keypoints": [1.0, 2.0]}, r"results: entry 0 \(image 0\): 2 keypoint values, expected 3"),
        ({"keypoints": [float("nan"), 1, 1]}, "results: entry 0 .*keypoints is not finite"),
        ({"score": float("nan")}, "score is not finite"),
        ({"score": None}, "no score"),
        ({"image_id": 77}, r"image 77\): the ground truth has no such image"),
    ],
)
def test_unusable_results_are_named(change, message):
    with pytest.raises(DataError, match=message):
        oks_ap(truth_of([50, 50, 2]), [{**detection([50, 50, 1]), **change}], [0.1])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"area": None}, r"ground truth: annotation 0 \(image 0\): no area"),
        ({"area": float("nan")}, "area is not finite"),
        ({"keypoints": [1, 2, 2, 4]}, "4 keypoint values, expected 3"),
        ({"bbox": None}, "no bbox"),
    ],
)
def test_unusable_ground_truth_is_named(change, message):
    truth = truth_of([50, 50, 2])
    truth["annotations"][0].update(change)
    with pytest.raises(DataError, match=message):
        oks_ap(truth, [], [0.1])
