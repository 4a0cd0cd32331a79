"""The choice of a detector's threshold against a twin that counts afresh for each threshold."""

import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest
from flax.traverse_util import flatten_dict

from jaxpose.config import to_json
from jaxpose.errors import DataError, UsageError
from jaxpose.evaluation.detection import DetectionEvaluator
from jaxpose.evaluation.operating_points import operating_points, points_table
from jaxpose.inference.restore import restore
from jaxpose.pipelines.choose_threshold import (
    THRESHOLDS,
    _trained_set,
    sweep_thresholds,
    with_crowds_ignored,
)
from jaxpose.pipelines.evaluate import opened_split
from jaxpose.pipelines.record_sets import drawn_folder
from jaxpose.tasks import make_task
from jaxpose.training.weight_file import write_weight_file
from jaxpose.training.weights import Weights

REPOSITORY = Path(__file__).parents[2]


def shared_area(a, b):
    width, height = (min(a[k + 2], b[k + 2]) - max(a[k], b[k]) for k in (0, 1))
    return max(width, 0) * max(height, 0)


def area(box):
    return (box[2] - box[0]) * (box[3] - box[1])


def iou(a, b):
    shared = shared_area(a, b)
    return shared / (area(a) + area(b) - shared)


def counted(people, ignored, regions, detections):
    """True and false positives of one image's detections [(score, box)], best first."""
    hits = misses = 0
    claimed = set()
    for _, box in sorted(detections, key=lambda one: -one[0]):
        overlaps = [iou(box, other) for other in [*people, *ignored]]
        best = int(np.argmax(overlaps)) if overlaps else -1
        if best >= 0 and overlaps[best] >= 0.5:
            if best >= len(people):
                continue
            hits, misses = hits + (best not in claimed), misses + (best in claimed)
            claimed.add(best)
        elif not any(shared_area(box, region) > area(box) / 2 for region in regions):
            misses += 1
    return hits, misses


def brute_force(images, threshold):
    """Precision, recall and F1 over images (people, ignored, regions, detections)."""
    hits = misses = positives = 0
    for people, ignored, regions, detections in images:
        above = [one for one in detections if one[0] > threshold]
        counts = counted(people, ignored, regions, above)
        hits, misses, positives = hits + counts[0], misses + counts[1], positives + len(people)
    precision = hits / (hits + misses) if hits + misses else float("nan")
    recall = hits / positives
    f1 = 2 * precision * recall / (precision + recall) if hits else 0
    return threshold, precision, recall, f1


def images_of(batch, found):
    """The twin's images of a batch and its predictions."""
    for row in np.flatnonzero(batch["mask"]):
        boxes, there = batch["boxes"][row], batch["labels"][row] > 0
        boxes = np.clip(boxes, 0, np.tile(batch["size"][row], 2)).astype(float)
        crowd, difficult = batch["crowd"][row], batch["difficult"][row]
        regions = [*batch["ignore"][row], *batch["boxes"][row][there & crowd]]
        kept = np.asarray(found["valid"][row])
        scores, places = (np.asarray(found[name][row])[kept] for name in ("scores", "boxes"))
        yield (
            boxes[there & ~crowd & ~difficult],
            boxes[there & (crowd | difficult)],
            np.asarray(regions, float).reshape(-1, 4),
            list(zip(scores.tolist(), places.astype(float), strict=True)),
        )


def drawn_boxes(rng, rows, count):
    """Small whole boxes: overlaps of a half, duplicates and boxes within others abound."""
    corner = rng.integers(0, 6, (rows, count, 2))
    sides = rng.integers(1, 6, (rows, count, 2))
    return np.concatenate([corner, corner + sides], -1).astype(np.float32)


@pytest.mark.parametrize("seed", range(6))
def test_points_equal_a_brute_force_twin(seed):
    rng = np.random.default_rng(seed)
    rows = 30
    batch = {
        "boxes": drawn_boxes(rng, rows, 5),
        "labels": rng.integers(0, 2, (rows, 5)),
        "difficult": rng.random((rows, 5)) < 0.15,
        "crowd": rng.random((rows, 5)) < 0.2,
        "ignore": drawn_boxes(rng, rows, 2) * (rng.random((rows, 2, 1)) < 0.3),
        "size": np.full((rows, 2), 10, np.float32),
        "mask": (np.arange(rows) < rows - 3).astype(np.float32),
        "id": np.array([f"set/{n}" for n in range(rows)], object),
    }
    batch["boxes"] = np.where(batch["labels"][..., None] > 0, batch["boxes"], 0)
    batch["crowd"] &= batch["labels"] > 0
    found = {
        "boxes": drawn_boxes(rng, rows, 12),
        "scores": rng.permutation(rows * 12).reshape(rows, 12) / (rows * 12),
        "classes": np.ones((rows, 12), np.int32),
        "valid": rng.random((rows, 12)) < 0.8,
    }
    evaluator = DetectionEvaluator(("person",), plus_one=False)
    (shown,) = with_crowds_ignored([batch])
    evaluator.add(shown, found)
    images = list(images_of(batch, found))
    for point in operating_points(evaluator.curves()["person"], (0.0, *THRESHOLDS[::5])):
        assert point == pytest.approx(brute_force(images, point.threshold), nan_ok=True)
    # What is asked for matters: without the crowds as regions more detections are errors.
    plain = DetectionEvaluator(("person",), plus_one=False)
    plain.add(batch, found)
    assert plain.curves()["person"].misses.sum() > evaluator.curves()["person"].misses.sum()


@pytest.fixture
def drawn(data):
    """Options that name drawn people."""
    return {"dataset": "posetrack18", "data_dir": str(drawn_folder(str(data), Path()))}


@pytest.fixture
def detector(networks, tmp_path):
    """File of a detector that sees nothing: each default box is itself, with a score of its own."""
    network, rng = restore(networks["detection"]), np.random.default_rng(1)
    params = flatten_dict(network.variables["params"], sep="/")
    for name, value in params.items():
        if name.startswith(("conf_", "loc_")):
            params[name] = np.zeros_like(value)
        if name.startswith("conf_") and name.endswith("bias"):
            level = int(name[len("conf_")])  # large boxes score high, and are as large as people
            params[name][1::2] = 2 * level - 4 + rng.normal(0, 1, len(value) // 2)
    statistics = flatten_dict(network.variables["batch_stats"], sep="/")
    weights = Weights(1, params, statistics, False, {}, {}, "")
    write_weight_file(tmp_path / "blind.npz", weights, to_json(network.config))
    return str(tmp_path / "blind.npz")


def test_a_detector_s_points_on_its_training_split(detector, drawn):
    file = detector
    sweep, restored = sweep_thresholds(file, **drawn), restore(file)
    rules = {"plus_one": False, "classes": ("person",)}
    records = opened_split(file, restored, split="train", **drawn, **rules)
    predict = jax.jit(make_task(records.config).predict)
    images = []
    for batch in records.validation():
        numbers = {name: value for name, value in batch.items() if name != "id"}
        images += images_of(batch, predict(restored.variables, numbers))
    assert len(images) == 8 and [point.threshold for point in sweep.points] == list(THRESHOLDS)
    for point in sweep.points[::10]:
        assert point == pytest.approx(brute_force(images, point.threshold), nan_ok=True)
    assert sweep.best.f1 == max(point.f1 for point in sweep.points) > 0
    people = sum(len(boxes) for boxes, *_ in images)
    assert sweep.data == f"posetrack18 train, {people} people, step 1" and sweep.own == 0.15
    flags = [f"--{name}={value}" for name, value in drawn.items()]
    command = [sys.executable, "tools/choose_threshold.py", file, "--split=train", *flags]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=REPOSITORY)
    assert done.returncode == 0, done.stderr
    title, *table, last = done.stdout.splitlines()
    assert title == sweep.data and table == points_table(sweep.points[::5]) and len(table) == 20
    best = f"best F1 {100 * sweep.best.f1:.2f} at {sweep.best.threshold:g}"
    assert last == f"{best}; the config has detect.person_threshold=0.15"


def test_what_tells_no_threshold_is_refused(networks, drawn):
    with pytest.raises(UsageError, match="holds a network for pose; give a person detector's"):
        sweep_thresholds(str(networks["pose"]), **drawn)
    with pytest.raises(DataError, match="no split 'test'"):
        sweep_thresholds(str(networks["detection"]), split="test", **drawn)
    with pytest.raises(DataError, match="validation_unlabeled: nobody is annotated in it"):
        sweep_thresholds(str(networks["detection"]), split="validation_unlabeled", **drawn)


def test_the_data_set_is_one_that_the_run_was_trained_on(networks):
    config = restore(networks["detection"]).config.unlock()
    config.data.train, config.data.eval = ("mpii", "voc"), "voc"
    assert _trained_set(config) == "voc"
    config.data.eval = "coco"
    assert _trained_set(config) == "mpii"
