"""VOC AP: golden numbers of two public ports, a brute-force twin, hand-computed, broken cases."""

import json
from pathlib import Path

import numpy as np
import pytest

from jaxpose.errors import DataError
from jaxpose.evaluation.voc import (
    Detections,
    average_precision,
    mean_average_precision,
    overlaps,
    precision_recall,
)

GOLDEN = json.loads((Path(__file__).parent.parent / "golden" / "i_voc_ap.json").read_text())
SSD_PYTORCH = {"plus_one": False, "inclusive": False}
REFERENCES = {"ssdpytorch": SSD_PYTORCH, "chainer_plus1": {"plus_one": True, "inclusive": True}}
RULES = {"07": "11point", "area": "area"}
NONE = Detections([], [], np.zeros((0, 4)))


def golden_class(name):
    rows = [row for row in GOLDEN["detections"] if row[1] == name]
    detections = Detections([r[0] for r in rows], [r[2] for r in rows], [r[3:] for r in rows])
    truth = {}
    for image, objects in GOLDEN["gt"].items():
        own = [o for o in objects if o["name"] == name]
        truth[image] = [o["bbox"] for o in own], [o["difficult"] for o in own]
    return detections, truth


def of_one_image(boxes, scores, true_boxes, difficult=None):
    flags = difficult or [False] * len(true_boxes)
    detections = Detections(["a"] * len(boxes), scores, boxes)
    return detections, {"a": (true_boxes, flags)}


@pytest.mark.parametrize("suffix", RULES)
@pytest.mark.parametrize("reference", REFERENCES)
@pytest.mark.parametrize("name", GOLDEN["classes"])
def test_equals_the_public_ports(reference, name, suffix):
    found = average_precision(*golden_class(name), rule=RULES[suffix], **REFERENCES[reference])
    assert found == pytest.approx(GOLDEN["results"][f"{reference}_{name}_{suffix}"], abs=1e-9)


@pytest.mark.parametrize("suffix", RULES)
@pytest.mark.parametrize("reference", REFERENCES)
def test_mean_equals_the_public_ports(reference, suffix):
    both = {name: golden_class(name) for name in GOLDEN["classes"]}
    found = mean_average_precision(
        {name: detections for name, (detections, _) in both.items()},
        {name: truth for name, (_, truth) in both.items()},
        rule=RULES[suffix],
        **REFERENCES[reference],
    )
    assert found.value == pytest.approx(GOLDEN["results"][f"{reference}_mAP_{suffix}"], abs=1e-9)
    assert found.detected == len(GOLDEN["detections"])


@pytest.mark.parametrize("name", GOLDEN["classes"])
def test_the_curve_ends_where_voc_eval_ends(name):
    curve = precision_recall(*golden_class(name), **SSD_PYTORCH)
    recall, precision, count = GOLDEN["results"][f"ssdpytorch_{name}_rec_prec_last"]
    assert len(curve.scores) == count
    assert curve.recall[-1] == pytest.approx(recall, abs=1e-9)
    assert curve.precision[-1] == pytest.approx(precision, abs=1e-9)


def test_rules_by_hand():
    """Recall 0.5 at precision 1, recall 1 at precision 2/3."""
    square = [[0, 0, 9, 9], [50, 0, 59, 9]]
    boxes = [square[0], [200, 0, 209, 9], square[1]]
    case = of_one_image(boxes, [0.9, 0.8, 0.7], square)
    assert average_precision(*case, rule="area") == pytest.approx(0.5 * 1 + 0.5 * 2 / 3)
    assert average_precision(*case) == pytest.approx((6 * 1 + 5 * 2 / 3) / 11)


def test_pixel_convention_and_inclusive_threshold_by_hand():
    """10 x 10 px against 10 x 5: 50/100 with the +1, 4 * 9 / 81 without."""
    case = of_one_image([[0, 0, 9, 4]], [0.5], [[0, 0, 9, 9]])
    assert average_precision(*case) == 1
    assert average_precision(*case, inclusive=False) == 0
    assert average_precision(*case, plus_one=False) == 0
    assert average_precision(*case, plus_one=False, iou_threshold=0.44) == 1
    assert overlaps([[0, 0, 9, 4]], [[0, 0, 9, 9]], True)[0, 0] == 0.5


def test_a_second_detection_of_an_object_is_a_false_positive_even_beside_a_free_one():
    """The kit compares a detection with the object of highest IoU only."""
    true_boxes = [[0, 0, 99, 99], [20, 0, 119, 99]]
    boxes = [[0, 0, 99, 99], [2, 0, 101, 99]]
    assert overlaps(boxes, true_boxes).min() > 0.5
    curve = precision_recall(*of_one_image(boxes, [0.9, 0.8], true_boxes))
    assert curve.hits.tolist() == [True, False] and curve.misses.tolist() == [False, True]


def test_difficult_objects_are_no_positives_and_their_detections_do_not_count():
    true_boxes = [[0, 0, 9, 9], [50, 0, 59, 9]]
    boxes = [[50, 0, 59, 9], [50, 0, 59, 9], [0, 0, 9, 9]]
    case = of_one_image(boxes, [0.9, 0.8, 0.7], true_boxes, [False, True])
    curve = precision_recall(*case)
    assert curve.positives == 1 and not curve.misses.any()
    assert curve.hits.tolist() == [False, False, True]
    assert curve.precision.tolist() == [0, 0, 1]
    assert average_precision(*case) == average_precision(*case, rule="area") == 1


def test_equal_scores_keep_the_given_order():
    right, wrong = [0, 0, 9, 9], [50, 0, 59, 9]
    first = of_one_image([right, wrong], [0.5, 0.5], [right])
    last = of_one_image([wrong, right], [0.5, 0.5], [right])
    assert average_precision(*first) == 1 and average_precision(*last) == pytest.approx(0.5)


def test_nothing_annotated_is_nan_and_nothing_detected_is_zero():
    truth = {"a": ([[0, 0, 9, 9]], [False])}
    assert average_precision(NONE, truth) == 0
    assert len(precision_recall(NONE, truth).scores) == 0
    hard = of_one_image([[0, 0, 9, 9]], [0.9], [[0, 0, 9, 9]], [True])
    for detections, empty in ((NONE, {}), (hard[0], {}), hard, (NONE, {"a": ([], [])})):
        assert np.isnan(average_precision(detections, empty))
        assert np.isnan(average_precision(detections, empty, rule="area"))


def test_mean_leaves_out_classes_without_objects():
    detections, truth = of_one_image([[0, 0, 9, 9]], [0.9], [[0, 0, 9, 9]])
    found = mean_average_precision({"a": detections}, {"a": truth, "b": truth, "c": {}})
    assert found.value == 0.5 and found.detected == 1
    assert found.per_class["a"] == 1 and found.per_class["b"] == 0
    assert np.isnan(found.per_class["c"])
    assert np.isnan(mean_average_precision({}, {}).value)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("rule", ["11point", "area"])
def test_broken_detections_are_false_positives(bad, rule):
    box = [0, 0, 9, 9]
    for corner in range(4):
        broken = [bad if i == corner else v for i, v in enumerate(box)]
        found = average_precision(*of_one_image([broken, box], [0.9, 0.8], [box]), rule=rule)
        assert found == pytest.approx(0.5)
    nan_score = of_one_image([box, box], [np.nan, 0.1], [box])
    curve = precision_recall(*nan_score)
    assert curve.scores[0] == 0.1 and np.isnan(curve.scores[1])
    assert curve.hits.tolist() == [True, False] and curve.misses.tolist() == [False, True]
    assert average_precision(*of_one_image([box], [np.nan], [box]), rule=rule) == 1


def test_degenerate_boxes_never_divide_by_zero():
    point, flipped = [5, 5, 5, 5], [9, 9, 0, 0]
    with np.errstate(all="raise"):
        found = overlaps([point, flipped, [np.nan] * 4], [point, [0, 0, 9, 9]], plus_one=False)
    assert (found == 0).all()


def test_images_that_are_not_annotated_hold_no_object():
    detections = Detections(["a", "b"], [0.5, 0.9], [[0, 0, 9, 9]] * 2)
    assert average_precision(detections, {"a": ([[0, 0, 9, 9]], [0])}) == pytest.approx(0.5)


def test_above_is_scoring_only_the_detections_above():
    detections, truth = golden_class("person")
    scores = np.asarray(detections.scores)
    kept = scores > 0.4
    some = Detections(*(np.asarray(column)[kept] for column in detections))
    expected = precision_recall(some, truth)
    found = precision_recall(detections, truth).above(0.4)
    assert 0 < kept.sum() < len(scores)
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    ("detections", "truth", "message"),
    [
        (Detections(["a"], [0.5, 0.4], [[0, 0, 1, 1]]), {}, "1 image ids, 2 scores and 1 boxes"),
        (NONE, {"x7": ([[0, 0, 1, np.nan]], [0])}, "ground truth, image x7: .*finite"),
        (NONE, {"x7": ([[0, 0, 1, 1]], [])}, "image x7: 1 boxes with 0 difficult flags"),
    ],
)
def test_unusable_input_is_named(detections, truth, message):
    with pytest.raises(DataError, match=message):
        average_precision(detections, truth)


def test_unknown_rules_are_refused():
    with pytest.raises(ValueError, match="12point"):
        average_precision(*golden_class("dog"), rule="12point")


def brute_force(detections, truth, threshold, plus_one, inclusive):
    """`voc_eval`'s loop, one detection at a time; true and false positives by rank."""
    one, claimed = int(plus_one), set()
    order = sorted(range(len(detections.scores)), key=lambda i: -detections.scores[i])
    marks = []
    for i in order:
        x1, y1, x2, y2 = detections.boxes[i]
        best, at = -1.0, None
        image = detections.images[i]
        boxes, difficult = truth.get(image, ((), ()))
        for j, (a1, b1, a2, b2) in enumerate(boxes):
            width = min(x2, a2) - max(x1, a1) + one
            height = min(y2, b2) - max(y1, b1) + one
            if width <= 0 or height <= 0:
                continue
            union = (x2 - x1 + one) * (y2 - y1 + one) + (a2 - a1 + one) * (b2 - b1 + one)
            iou = width * height / (union - width * height)
            if iou > best:
                best, at = iou, j
        if at is None or not (best >= threshold if inclusive else best > threshold):
            marks.append("miss")
        elif difficult[at]:
            marks.append("ignored")
        elif (image, at) in claimed:
            marks.append("miss")
        else:
            marks.append("hit")
            claimed.add((image, at))
    return marks


@pytest.mark.parametrize("seed", range(20))
def test_equals_a_brute_force_twin(seed):
    """Small integer boxes: overlaps equal to the threshold, equal scores and duplicates abound."""
    rng = np.random.default_rng(seed)

    def boxes(n):
        corner = rng.integers(0, 4, (n, 2))
        return np.concatenate([corner, corner + rng.integers(2, 6, (n, 2))], 1).astype(float)

    truth = {}
    for image in range(8):
        n = int(rng.integers(0, 6))
        truth[image] = boxes(n), rng.random(n) < 0.4
    count = 150
    detections = Detections(
        rng.integers(0, 9, count), rng.integers(0, 20, count) / 20, boxes(count)
    )
    for plus_one in (True, False):
        for inclusive in (True, False):
            expected = brute_force(detections, truth, 0.5, plus_one, inclusive)
            curve = precision_recall(detections, truth, 0.5, plus_one, inclusive)
            names = np.where(curve.hits, "hit", np.where(curve.misses, "miss", "ignored"))
            assert names.tolist() == expected
            assert set(expected) == {"hit", "miss", "ignored"}
