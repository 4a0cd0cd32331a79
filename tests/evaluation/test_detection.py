"""The detection evaluator: padding, crowds, ignore regions, classes kept."""

import numpy as np
import pytest

from jaxpose.errors import DataError, UsageError
from jaxpose.evaluation.detection import DetectionEvaluator, in_ignored

VOC = ("cat", "dog", "person")


def batch_of(boxes, labels=None, ignore=(), name="set/0", **flags):
    """One image with these boxes, padded to six."""
    batch = {
        "size": np.array([[640, 480]], np.float32),
        "boxes": np.zeros((1, 6, 4), np.float32),
        "labels": np.zeros((1, 6), np.int32),
        "difficult": np.zeros((1, 6), bool),
        "crowd": np.zeros((1, 6), bool),
        "ignore": np.zeros((1, 2, 4), np.float32),
        "mask": np.ones(1, np.float32),
        "id": np.array([name], object),
    }
    for n, box in enumerate(boxes):
        batch["boxes"][0, n] = box
        batch["labels"][0, n] = 1 if labels is None else labels[n]
    for n, box in enumerate(ignore):
        batch["ignore"][0, n] = box
    for key, positions in flags.items():
        batch[key][0, positions] = True
    return batch


def found(boxes, scores, classes=None):
    """Detections of one image, padded to 200 with boxes that must not count."""
    predictions = {
        "boxes": np.tile(np.array([0, 0, 20, 20], np.float32), (1, 200, 1)),
        "scores": np.full((1, 200), 0.99, np.float32),
        "classes": np.ones((1, 200), np.int32),
        "valid": np.zeros((1, 200), bool),
    }
    for n, (box, score) in enumerate(zip(boxes, scores, strict=True)):
        predictions["boxes"][0, n] = box
        predictions["scores"][0, n] = score
        predictions["classes"][0, n] = 1 if classes is None else classes[n]
        predictions["valid"][0, n] = True
    return predictions


def scored(batch, predictions, classes=("person",), **options):
    evaluator = DetectionEvaluator(classes, **options)
    evaluator.add(batch, predictions)
    return evaluator.result()


A, B, C = [0, 0, 50, 100], [100, 0, 180, 100], [300, 300, 340, 380]


def test_difficult_objects_may_count():
    batch = batch_of([A, B], difficult=[1])
    missed = found([A], [0.9])
    assert scored(batch, missed)["map"] == 100
    assert scored(batch, missed, difficult="count")["boxes"] == 2
    assert scored(batch, missed, difficult="count")["map"] < 60


def test_truth_beyond_the_image_is_clipped_to_it():
    batch = batch_of([[-100, 400, 80, 600]])  # 180 x 200, of which 80 x 80 are in the image
    assert scored(batch, found([[0, 400, 80, 480]], [0.9]))["map"] == 100
    assert scored(batch, found([[-100, 400, 80, 600]], [0.9]))["map"] == 0


def test_perfect_detections_score_100_and_padding_is_ignored():
    batch = batch_of([A, B])
    predictions = found([A, B], [0.9, 0.4])
    twice = {name: np.concatenate([value, value]) for name, value in batch.items()}
    twice["mask"][1] = 0
    twice["boxes"][1] += 500
    predictions = {name: np.concatenate([v, v]) for name, v in predictions.items()}
    result = scored(twice, predictions)
    assert (result["images"], result["boxes"], result["detections"]) == (1, 2, 2)
    for name in ("map", "ap_person", "map_11point", "map_area", "coco_ap", "coco_ar100"):
        assert result[name] == pytest.approx(100), name
    # Medium is up to 96^2 = 9216 px.
    assert result["coco_ap_medium"] == pytest.approx(100) and "coco_ap_small" not in result
    assert "coco_ap_large" not in result
    twice["area"] = np.array([[900, np.nan] + 4 * [1.0]] * 2, np.float32)  # A's segment is small
    result |= scored(twice, predictions)
    assert result["coco_ap_small"] == result["coco_ap_medium"] == pytest.approx(100)
    assert all(isinstance(value, (int, float)) for value in result.values())


def test_map_follows_the_rule_and_the_sweep_the_thresholds():
    batch = batch_of([A, B])
    predictions = found([A, C, B], [0.9, 0.4, 0.2])
    eleven, area = 100 * (6 + 5 * 2 / 3) / 11, 100 * (0.5 + 0.5 * 2 / 3)
    half = 100 * 6 / 11
    result = scored(batch, predictions)
    assert result["map"] == result["map_11point"] == pytest.approx(eleven)
    assert result["map_area"] == pytest.approx(area)
    assert result["map@0.15"] == pytest.approx(eleven)
    assert result["map@0.3"] == result["map@0.5"] == pytest.approx(half)
    assert scored(batch, predictions, rule="area")["map"] == pytest.approx(area)
    assert scored(batch, predictions, rule="area")["map@0.3"] == pytest.approx(50)


def test_options_of_voc_are_forwarded():
    """A third of the box: IoU 1/3, and 34 * 101 / (102 * 101) with the +1 of the pixels."""
    case = batch_of([[0, 0, 101, 100]]), found([[0, 0, 33, 100]], [0.9])
    assert scored(*case)["map"] == 0
    assert scored(*case, iou_threshold=1 / 3)["map"] == 100
    assert scored(*case, iou_threshold=1 / 3, plus_one=False)["map"] == 0
    assert scored(*case, iou_threshold=1 / 3, inclusive=False)["map"] == 0
    assert scored(*case, iou_threshold=0.33, plus_one=False, inclusive=False)["map"] == 0
    assert scored(*case, iou_threshold=0.32, plus_one=False, inclusive=False)["map"] == 100


@pytest.mark.parametrize("flag", ["crowd", "difficult"])
def test_crowds_and_difficult_objects_are_no_positives(flag):
    batch = batch_of([A, B], **{flag: [1]})
    result = scored(batch, found([B, B, A], [0.9, 0.8, 0.5]))
    assert result["boxes"] == 1
    assert result["map"] == 100 and result["coco_ap"] == pytest.approx(100)
    missed = scored(batch, found([A], [0.5]))
    assert missed["map"] == 100 and missed["coco_ap"] == pytest.approx(100)


def test_detections_in_ignore_regions_are_dropped_unless_they_match():
    region = [90, 0, 400, 400]
    batch = batch_of([A, B], ignore=[region])
    predictions = found([C, B, A], [0.9, 0.8, 0.7])
    result = scored(batch, predictions)
    assert result["detections"] == 2 and result["map"] == 100
    assert result["coco_ap"] == pytest.approx(100)
    counted = scored(batch, predictions, ignore_regions=False)
    assert counted["detections"] == 3 and counted["map"] < 80 and counted["coco_ap"] < 80


def test_a_match_of_another_class_does_not_save_a_detection_in_an_ignore_region():
    batch = batch_of([A, B], labels=[3, 1], ignore=[[90, 0, 400, 400]])
    for label, kept in ((3, 1), (2, 1), (1, 2)):
        predictions = found([B, A], [0.9, 0.7], classes=[label, 3])
        assert scored(batch, predictions, VOC)["detections"] == kept


def test_in_ignored_by_hand():
    """More than half of the detection's own area, in a single region."""
    regions = np.array([[0, 0, 10, 10], [10, 0, 16, 10], [0, 0, 0, 0]])
    boxes = [[0, 0, 20, 10], [0, 0, 19, 10], [4, 0, 14, 10], [6, 0, 14, 10], [30, 0, 40, 10]]
    assert in_ignored(np.array(boxes), regions).tolist() == [False, True, True, False, False]
    broken = np.array([[np.nan, 0, 5, 5], [5, 5, 5, 5], [9, 9, 1, 1], [0, 0, np.inf, 5]])
    assert not in_ignored(broken, regions).any()
    assert in_ignored(np.array(boxes), np.zeros((0, 4))).tolist() == [False] * 5


def test_only_the_kept_classes_count():
    batch = batch_of([A, B, C], labels=[3, 3, 1])
    predictions = found([A, B, C, C], [0.9, 0.8, 0.95, 0.99], classes=[3, 3, 2, 3])
    result = scored(batch, predictions, VOC, keep=("person",))
    assert result["boxes"] == 2 and result["detections"] == 3
    assert result["map"] == result["ap_person"] and "ap_cat" not in result
    assert result["map_area"] == pytest.approx(100 * 2 / 3)
    everything = scored(batch, predictions, VOC)
    assert everything["ap_cat"] == 0 and "ap_dog" not in everything  # no dog is annotated
    assert everything["map"] == pytest.approx(everything["ap_person"] / 2)


def test_labels_of_a_person_only_set_meet_a_detector_of_more_classes():
    batch = batch_of([A, B])
    predictions = found([A, B, A], [0.9, 0.8, 0.95], classes=[3, 3, 1])
    options = {"keep": ("person",), "truth_classes": ("person",)}
    assert scored(batch, predictions, VOC, **options)["map"] == 100


def test_a_detector_without_the_class_is_refused_by_name():
    with pytest.raises(UsageError, match="no class person: its classes are cat, dog;"):
        DetectionEvaluator(("cat", "dog"), keep=("person",))
    with pytest.raises(UsageError, match="no class to score"):
        DetectionEvaluator(())


def test_each_image_counts_once():
    evaluator = DetectionEvaluator(("person",))
    evaluator.add(batch_of([A]), found([A], [0.9]))
    evaluator.add(batch_of([B], name="set/1"), found([A], [0.8]))
    with pytest.raises(DataError, match="set/0: scored twice"):
        evaluator.add(batch_of([A]), found([A], [0.9]))
    assert evaluator.result()["images"] == 2


def test_the_split_into_batches_does_not_matter():
    rng = np.random.default_rng(0)
    rows = []
    for n in range(12):
        corner = rng.uniform(0, 200, (4, 2))
        boxes = np.concatenate([corner, corner + rng.uniform(20, 100, (4, 2))], 1)
        labels = rng.integers(1, 4, 4)
        batch = batch_of(boxes, labels, name=f"set/{n}")
        near = boxes + rng.normal(0, 6, (4, 4))
        rows.append((batch, found(near, rng.random(4), labels)))
    single, whole = DetectionEvaluator(VOC), DetectionEvaluator(VOC)
    for batch, predictions in rows:
        single.add(batch, predictions)
    together = [
        {name: np.concatenate([row[i][name] for row in rows]) for name in rows[0][i]}
        for i in (0, 1)
    ]
    whole.add(*together)
    assert whole.result() == single.result()
    assert 10 < whole.result()["map"] < 95


def test_nothing_detected_and_nothing_annotated():
    result = scored(batch_of([A]), found([], []))
    assert result["map"] == 0 and result["coco_ap"] == 0 and result["detections"] == 0
    assert not [name for name in result if name.startswith("map@")]
    result = scored(batch_of([]), found([A], [0.9]))
    assert result == {"images": 1, "boxes": 0, "detections": 1}
    empty = DetectionEvaluator(("person",))
    assert empty.result() == {"images": 0, "boxes": 0, "detections": 0}
    assert empty.sweep([0.1]) == {}


@pytest.mark.parametrize("part", ["boxes", "scores"])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_diverged_network_scores_badly_instead_of_failing(part, bad):
    predictions = found([C, B], [0.9, 0.8])
    predictions[part][0, :2] = bad
    result = scored(batch_of([A]), predictions)
    assert result["map"] == 0 and result["coco_ap"] == 0
    assert all(np.isfinite(value) for value in result.values())


def test_unusable_annotations_are_named():
    with pytest.raises(DataError, match="set/0: an annotated box is not finite"):
        scored(batch_of([[0, 0, np.nan, 4]]), found([], []))
    with pytest.raises(DataError, match="set/0: labels go to 7, but there are 3 classes"):
        scored(batch_of([A], labels=[7]), found([], []), VOC)
    with pytest.raises(DataError, match="set/0: classes go to 2, but there are 1 classes"):
        scored(batch_of([A]), found([A], [0.5], [2]))


def test_the_sweep_keeps_what_scores_above_each_threshold():
    evaluator = DetectionEvaluator(("person",), score_thresholds=(0.1, 0.2, 0.4))
    evaluator.add(batch_of([A, B]), found([A, B], [0.35, 0.15]))
    result = evaluator.result()
    assert result["map@0.1"] == 100 and "map@0.4" not in result
    assert result["map@0.2"] == evaluator.sweep((0.3,))["map@0.3"] == pytest.approx(600 / 11)
