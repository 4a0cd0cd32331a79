"""The detection task: targets of default boxes, a finite loss on any ground truth, px of boxes."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxpose.defaults import detection_config
from jaxpose.errors import CheckpointError, UsageError
from jaxpose.ops.default_boxes import default_boxes
from jaxpose.tasks import make_task
from jaxpose.tasks.detection import loss
from jaxpose.tasks.detection_augment import augment
from jaxpose.tasks.detection_prediction import detect_options, merge_others, predict
from jaxpose.tasks.detection_targets import assign_targets

SIZE = 64
ANCHORS = default_boxes(SIZE, **detection_config().default_boxes.to_dict())
MATCHING = detection_config().matching.to_dict()
CANVAS, ROOM = 64, 4


def iou(a, b):
    low, high = np.maximum(a[:2], b[:2]), np.minimum(a[2:], b[2:])
    shared = np.prod(np.maximum(high - low, 0))
    return shared / (np.prod(a[2:] - a[:2]) + np.prod(b[2:] - b[:2]) - shared)


def corners(anchors):
    return np.concatenate(
        [anchors[:, :2] - anchors[:, 2:] / 2, anchors[:, :2] + anchors[:, 2:] / 2], 1
    )


def frames(count=2, boxes=(), labels=None, ignore=(), **fields):
    """Frames of 128 x 64 px on a canvas of 64, all with the same boxes."""
    rows = {
        "image": np.full((count, CANVAS, CANVAS, 3), 90, np.uint8),
        "matrix": np.tile(np.array([[0.5, 0, -0.25], [0, 0.5, -0.25]], np.float32), (count, 1, 1)),
        "valid": np.tile(np.array([0, 0, 64, 32], np.float32), (count, 1)),
        "size": np.tile(np.array([128, 64], np.float32), (count, 1)),
        "boxes": np.zeros((count, max(ROOM, len(boxes)), 4), np.float32),
        "labels": np.zeros((count, max(ROOM, len(boxes))), np.int32),
        "ignore": np.zeros((count, 2, 4), np.float32),
        "mask": np.ones(count, np.float32),
    }
    for name in ("difficult", "crowd"):
        rows[name] = np.zeros(rows["labels"].shape, bool)
    if len(boxes):
        rows["boxes"][:, : len(boxes)] = boxes
        rows["labels"][:, : len(boxes)] = 1 if labels is None else labels
    if len(ignore):
        rows["ignore"][:, : len(ignore)] = ignore
    return rows | fields


def test_targets_equal_their_definition():
    boxes = np.array([[0.1, 0.2, 0.5, 0.9], [0.6, 0.1, 0.8, 0.4], [0, 0, 0, 0]], np.float32)
    labels = np.array([3, 1, 0])
    ignore = np.array([[0.5, 0.5, 1.0, 1.0], [0, 0, 0, 0]], np.float32)
    targets = jax.tree.map(np.asarray, assign_targets(boxes, labels, ignore, ANCHORS))
    rng = np.random.default_rng(0)
    positives = np.flatnonzero(targets.labels)
    assert set(targets.labels[positives]) == {1, 3}
    chosen = [*positives, *rng.choice(len(ANCHORS), 400)]
    for place in chosen:
        anchor = corners(ANCHORS[place : place + 1])[0]
        overlaps = [iou(anchor, box) for box in boxes[:2]]
        low, high = np.maximum(anchor[:2], 0.5), np.minimum(anchor[2:], 1.0)
        ignored = np.prod(np.maximum(high - low, 0)) > 0.5 * np.prod(anchor[2:] - anchor[:2])
        if targets.labels[place]:
            best = int(np.argmax(overlaps))
            assert targets.labels[place] == labels[best] and not targets.candidates[place]
            center, side = ANCHORS[place, :2], ANCHORS[place, 2:]
            size = boxes[best, 2:] - boxes[best, :2]
            middle = (boxes[best, 2:] + boxes[best, :2]) / 2
            expected = [*((middle - center) / side / 0.1), *(np.log(size / side) / 0.2)]
            np.testing.assert_allclose(targets.offsets[place], expected, atol=1e-4)
        else:
            assert max(overlaps) < 0.5
            assert targets.candidates[place] == (not ignored), place


def test_a_higher_overlap_threshold_leaves_those_between_out_of_both():
    box, label = np.array([[0.2, 0.2, 0.7, 0.8]], np.float32), np.array([1])
    nothing, many = np.zeros((0, 4), np.float32), default_boxes(300)
    at_half = assign_targets(box, label, nothing, many)
    strict = assign_targets(box, label, nothing, many, overlap_threshold=0.7)
    between = np.asarray((at_half.labels > 0) & (strict.labels == 0))
    assert between.sum() > 5 and not np.asarray(strict.candidates)[between].any()


@jax.jit
def measured(outputs, inputs):
    """Loss, its parts, and its gradient by the outputs."""
    return jax.value_and_grad(loss, has_aux=True)(
        outputs, inputs, anchors=ANCHORS, options=MATCHING
    )


def outputs_for(count, classes=2, seed=0):
    rng = np.random.default_rng(seed)
    shape = (count, len(ANCHORS))
    return (
        jnp.asarray(rng.normal(size=(*shape, classes)), jnp.float32),
        jnp.asarray(rng.normal(size=(*shape, 4)), jnp.float32),
    )


FUZZED = {
    "none": [],
    "zero area": [[10, 10, 10, 40], [20, 20, 60, 20], [5, 5, 5, 5]],
    "outside": [[-500, -500, -400, -400], [900, 900, 1000, 1000]],
    "nan": [[np.nan] * 4, [10, 10, np.nan, 40], [30, 10, 70, 50]],
    "infinite": [[-np.inf, 0, np.inf, 60], [1e30, 1e30, 2e30, 2e30]],
    "inverted": [[60, 50, 20, 10]],
    "hair": [[10, 10, 10 + 1e-5, 50], [0, 0, 128, 1e-6]],
    "200 boxes": np.random.default_rng(1).uniform(0, 64, (200, 2)).repeat(2, 1)[:, [0, 2, 1, 3]]
    + [0, 0, 20, 20],
}


# It runs often enough that it pays to compile it better than conftest.py says.
@partial(jax.jit, compiler_options={"xla_backend_optimization_level": 1})
def drawn(key, batch):
    """The training view; compiled once for few boxes and once for 200."""
    options = detection_config().augment.to_dict()
    return augment(
        key, batch, options=options, size=SIZE, mean=(123.0, 117.0, 104.0), channels="rgb"
    )


@pytest.mark.parametrize("kind", FUZZED)
def test_no_ground_truth_makes_loss_or_gradient_infinite(kind):
    boxes = np.zeros((200 if kind == "200 boxes" else 4, 4), np.float32)
    boxes[: len(FUZZED[kind])] = np.reshape(FUZZED[kind], (-1, 4))
    labels = np.arange(len(boxes)) < len(FUZZED[kind])
    batch = frames(2, boxes, labels, ignore=[[np.nan, 0, 1, 1], [0, 0, 40, 30]])
    for seed in range(2):
        inputs = drawn(jax.random.key(seed), batch)
        assert np.isfinite(inputs["image"]).all() and np.isfinite(inputs["boxes"]).all()
        (value, _), gradients = measured(outputs_for(2, seed=seed), inputs)
        assert np.isfinite(value), (kind, value)
        assert all(np.isfinite(gradient).all() for gradient in gradients)


def test_frames_without_people_and_padding_rows_cost_nothing():
    empty = {"boxes": jnp.zeros((2, 1, 4)), "labels": jnp.zeros((2, 1), int)}
    empty |= {"ignore": jnp.zeros((2, 0, 4)), "mask": jnp.ones(2)}
    (value, parts), _ = measured(outputs_for(2), empty)
    assert value == 0 and parts["positives"] == 0


class Oracle:
    """Stands for a trained network: finds the boxes that it was made with, whatever it sees."""

    def __init__(self, boxes, classes):
        targets = assign_targets(boxes, classes, np.zeros((0, 4), np.float32), ANCHORS)
        self.logits = 20 * jax.nn.one_hot(targets.labels, 4)
        self.offsets = targets.offsets

    def apply(self, variables, images):
        assert images.shape[1:] == (SIZE, SIZE, 3)
        return tuple(jnp.stack([part] * len(images)) for part in (self.logits, self.offsets))


def test_boxes_come_back_in_source_px_clipped_to_the_image():
    boxes = np.array([[0.25, 0.25, 0.5, 0.75], [0.8, 0.5, 1.1, 1.0]], np.float32)
    config = detection_config()
    prediction = partial(
        predict,
        model=Oracle(boxes, np.array([1, 3])),
        anchors=ANCHORS,
        size=SIZE,
        mean=(0.0, 0.0, 0.0),
        channels="rgb",
        options=detect_options(config),
        kept=(1, 2, 3),
    )
    found = jax.jit(prediction)({}, frames(3))
    assert found["boxes"].shape == (3, 200, 4)
    for row in range(3):
        kept = np.asarray(found["valid"][row])
        assert kept.sum() == 2 and np.asarray(found["scores"][row])[kept].min() > 0.99
        by_class = dict(zip(np.asarray(found["classes"][row])[kept].tolist(),
                            np.asarray(found["boxes"][row])[kept], strict=True))  # fmt: skip
        np.testing.assert_allclose(by_class[1], [32, 16, 64, 48], atol=1e-3)
        np.testing.assert_allclose(by_class[3], [102.4, 32, 128, 64], atol=1e-3)


def test_other_classes_join_the_background_without_changing_probabilities():
    logits = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32) * 3
    merged = jax.nn.softmax(merge_others(logits, (3, 1)))
    plain = jax.nn.softmax(logits)
    np.testing.assert_allclose(merged[:, 1:], plain[:, jnp.array([3, 1])], rtol=1e-5)
    np.testing.assert_allclose(merged.sum(-1), 1, rtol=1e-5)


def test_prediction_keeps_people_and_refuses_a_detector_without_them():
    config = detection_config()
    config.model.width, config.model.batch_norm = 1 / 16, True
    config.input_size = (SIZE, SIZE)
    config.classes = ("cat", "person", "dog")
    task = make_task(config)
    boxes = np.array([[0.25, 0.25, 0.5, 0.75], [0.6, 0.5, 0.9, 1.0]], np.float32)
    prediction = partial(task.predict_images, model=Oracle(boxes, np.array([1, 2])))
    found = jax.jit(prediction)({}, np.zeros((1, 40, 80, 3), np.uint8))
    assert found["valid"].sum() == 1 and found["classes"][0, 0] == 2
    np.testing.assert_allclose(found["boxes"][0, 0], [48, 20, 72, 40], atol=1e-3)
    config.classes = ("cat", "dog")
    with pytest.raises(UsageError, match="finds cat, dog, no person"):
        make_task(config).predict_images({}, np.zeros((1, 40, 80, 3), np.uint8))


def test_a_config_makes_the_task_that_it_describes(tmp_path, capsys):
    config = detection_config()
    config.model.update(width=0.125)
    config.classes = ("cat", "person")
    config.max_boxes, config.max_ignored, config.canvas = 7, 3, 96
    task = make_task(config)
    assert task.model.num_classes == 3 and task.input_shape == (300, 300, 3)
    assert task.example["boxes"].shape == (7, 4) and task.example["ignore"].shape == (3, 4)
    assert task.example["image"].shape == (96, 96, 3)
    rng = np.random.default_rng(0)
    head = task.initial_value("conf_0/kernel", (3, 3, 64, 12), rng)
    assert head.std() == pytest.approx(0.01, rel=0.1)
    task.initial_value("conf_0/bias", (12,), rng)
    assert capsys.readouterr().out.count("WARNING: without batch_norm") == 1
    config.model.base_weights = str(tmp_path / "none.npz")
    task = make_task(config)  # the file is read by a run from scratch only
    with pytest.raises(CheckpointError, match="none.npz"):
        task.initial_value("conf_0/bias", (12,), rng)
    config.input_size = (300, 200)
    with pytest.raises(UsageError, match="300 x 200"):
        make_task(config)
