from pathlib import Path

import jax
import jax.export
import jax.numpy as jnp
import numpy as np
import pytest

from jaxpose.ops.boxes import decode_offsets
from jaxpose.ops.default_boxes import default_boxes
from jaxpose.tasks import multibox

GOLDEN = Path(__file__).parent.parent / "golden"

detect = jax.jit(multibox.detect, static_argnames=("pre_nms_top_k", "max_outputs", "clip"))


def golden(file, case):
    with np.load(GOLDEN / file) as arrays:
        return {key.split("/")[1]: arrays[key] for key in arrays if key.startswith(f"{case}/")}


def random_outputs(seed, shape, classes, offset_scale):
    """The golden README's recipe."""
    rng = np.random.RandomState(seed)
    offsets = (rng.standard_normal((*shape, 4)) * offset_scale).astype(np.float32)
    return (rng.standard_normal((*shape, classes)) * 1.5).astype(np.float32), offsets


def detection_case(case):
    values = golden("d_nms_detection.npz", case)
    classes = {"det2": 2, "det21": 21}[case]
    class_logits, offsets = random_outputs(values["seed"], (1, 8732), classes, 0.5)
    class_logits[..., 0] += values["bg_bias"]
    np.testing.assert_allclose(offsets.sum(dtype=float), values["loc_checksum"], rtol=1e-9)
    return class_logits, offsets, default_boxes(300, "voc", clip="cxcywh"), values


def rows(found, image=0):
    """(class, score, box) of the valid detections of an image."""
    boxes, scores, classes, valid = (np.asarray(part)[image] for part in found)
    assert valid.dtype == bool and classes.dtype == np.int32
    assert not valid[valid.sum() :].any() and (np.diff(scores) <= 0).all()
    assert not (boxes[~valid].any() or scores[~valid].any() or classes[~valid].any())
    return np.concatenate([classes[:, None], scores[:, None], boxes], 1)[valid]


DETECTIONS = [
    ("det2", "caffe_like_label_score_xyxy_prior", {}),
    ("det21", "caffe_like_label_score_xyxy_prior", {}),
    # ssd.pytorch takes 200 into NMS and does not limit the sum over classes.
    ("det2", "ssdpytorch_label_score_xyxy", {"pre_nms_top_k": 200}),
    ("det21", "ssdpytorch_label_score_xyxy", {"pre_nms_top_k": 200, "max_outputs": 4000}),
    ("det2", "torchvision_label_score_xyxypx", {"clip": True}),
    ("det21", "torchvision_label_score_xyxypx", {"clip": True}),
]


@pytest.mark.parametrize(("case", "reference", "options"), DETECTIONS)
def test_detect_golden(case, reference, options):
    *inputs, values = detection_case(case)
    expected = values[reference][:, :6].astype(float)
    if reference.endswith("px"):
        expected[:, 2:] /= 300
    found = rows(detect(*inputs, **options))
    if reference.startswith("ssdpytorch"):  # class by class
        found = found[np.argsort(found[:, 0], kind="stable")]
    np.testing.assert_array_equal(found[:, 0], expected[:, 0])
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)


GRID = np.array([[0.25, 0.25, 0.2, 0.2], [0.25, 0.25, 0.2, 0.18], [0.75, 0.75, 0.2, 0.2]], "f4")


def logits_of(probabilities):
    return np.log(np.asarray(probabilities, np.float32))


def test_detect_by_hand():
    """Two boxes overlap by 0.9; class 1 keeps the better one, class 2 has the other way round."""
    probabilities = [[[0.2, 0.5, 0.3], [0.2, 0.2, 0.6], [0.1, 0.895, 0.005]]]
    found = rows(detect(logits_of(probabilities), np.zeros((1, 3, 4)), GRID, max_outputs=5))
    assert found[:, 0].tolist() == [1, 2, 1]
    np.testing.assert_allclose(found[:, 1], [0.895, 0.6, 0.5], rtol=1e-5)
    corners = [[0.65, 0.65, 0.85, 0.85], [0.15, 0.16, 0.35, 0.34], [0.15, 0.15, 0.35, 0.35]]
    np.testing.assert_allclose(found[:, 2:], corners, rtol=1e-5)


def test_detect_leaves_out_what_is_not_finite_or_not_above_the_threshold():
    logits = logits_of([[[0.5, 0.5], [0.3, 0.7], [0.25, 0.75]]] * 4)
    offsets = np.zeros((4, 3, 4), np.float32)
    logits[0, 2], offsets[1, 2, 3], offsets[1, 1, 0] = np.nan, np.nan, np.inf
    logits[3] = [9, 0]
    found = detect(logits, offsets, GRID, max_outputs=5)
    assert [len(rows(found, i)) for i in range(4)] == [1, 1, 2, 0]
    np.testing.assert_allclose(rows(found, 0)[:, 1], [0.7], rtol=1e-6)
    np.testing.assert_allclose(rows(found, 1)[:, 1], [0.5], rtol=1e-6)
    half = detect(logits, offsets, GRID, max_outputs=5, score_threshold=0.5)
    assert [len(rows(half, i)) for i in range(4)] == [1, 0, 2, 0]


def small_batch():
    rng = np.random.default_rng(3)
    logits = (2 * rng.normal(size=(3, 60, 6))).astype(np.float32)
    offsets = rng.normal(size=(3, 60, 4)).astype(np.float32)
    low = rng.random((60, 2))
    defaults = np.concatenate([low, 0.05 + 0.3 * rng.random((60, 2))], 1)
    return logits, offsets, defaults.astype(np.float32)


def test_neither_the_batch_nor_the_parts_of_the_classes_matter(monkeypatch):
    logits, offsets, defaults = small_batch()
    whole = detect(logits, offsets, defaults, max_outputs=300)
    monkeypatch.setattr(multibox, "_PAIRS_AT_ONCE", 6)  # two classes of the five at a time
    parts = jax.jit(lambda *inputs: multibox.detect(*inputs, max_outputs=300))
    for one, other in zip(whole, parts(logits, offsets, defaults), strict=True):
        np.testing.assert_array_equal(one, other)
    assert len(rows(whole, 1)) > 50
    # In another batch, among other images and in another place, an image gives the same.
    other = detect(logits[[1, 1, 0]], offsets[[1, 1, 0]], defaults, max_outputs=300)
    np.testing.assert_array_equal(rows(other, 1), rows(whole, 1))
    np.testing.assert_array_equal(rows(other, 2), rows(whole, 0))


def test_batch_size_may_be_open_in_an_export():
    (batch,) = jax.export.symbolic_shape("batch")
    logits, offsets, defaults = small_batch()
    shapes = [jax.ShapeDtypeStruct((batch, *x.shape[1:]), x.dtype) for x in (logits, offsets)]
    run = jax.jit(lambda *inputs: multibox.detect(*inputs, defaults, max_outputs=300))
    exported = jax.export.export(run, platforms=["cpu", "cuda", "tpu"])(*shapes)
    whole = detect(logits, offsets, defaults, max_outputs=300)
    for one, other in zip(exported.call(logits, offsets), whole, strict=True):
        np.testing.assert_array_equal(one, other)


def test_detections_of_a_class_do_not_overlap_and_are_the_best():
    """Against the sequential algorithm over all classes."""
    logits, offsets, defaults = small_batch()
    found = detect(logits, offsets, defaults, max_outputs=300)
    boxes = np.asarray(decode_offsets(offsets, defaults), float)
    scores = np.asarray(jax.nn.softmax(logits))
    for i in range(3):
        expected = []
        for c in range(1, 6):
            kept = []
            for p in np.argsort(-scores[i, :, c], kind="stable"):
                if scores[i, p, c] > 0.01 and all(
                    iou(boxes[i, p], boxes[i, k]) <= 0.45 for k in kept
                ):
                    kept.append(p)
            expected += [[c, scores[i, p, c], *boxes[i, p]] for p in kept]
        expected = sorted(expected, key=lambda row: -row[1])
        np.testing.assert_allclose(rows(found, i), expected, rtol=1e-4, atol=1e-6)


def iou(a, b):
    common = np.prod(np.maximum(np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]), 0))
    return common / (np.prod(a[2:] - a[:2]) + np.prod(b[2:] - b[:2]) - common)


def test_many_classes_of_a_large_batch_fit_into_memory():
    """81 classes, batch 32: the pairs of all classes at once would take 410 MB."""
    logits = jax.ShapeDtypeStruct((32, 8732, 81), jnp.float32)
    offsets = jax.ShapeDtypeStruct((32, 8732, 4), jnp.float32)
    compiled = detect.lower(logits, offsets, default_boxes(300, "coco")).compile()
    assert compiled.memory_analysis().temp_size_in_bytes < 400e6


def test_no_more_detections_than_nms_lets_through():
    logits = logits_of([[[0.2, 0.7, 0.1], [0.3, 0.6, 0.1], [0.4, 0.1, 0.5]]])
    found = detect(logits, np.zeros((1, 3, 4), np.float32), GRID, pre_nms_top_k=2, max_outputs=50)
    assert found[0].shape == (1, 2 * 2, 4)  # two of each class, of which one may fall to NMS
    assert [row[0] for row in rows(found)] == [1, 2, 2]
