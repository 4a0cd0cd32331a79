"""The batched path on the device against one that does one thing after the other in NumPy.

The reference compiles the networks and the choice of boxes by themselves, to save time.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxpose.config import skeleton_of
from jaxpose.inference.estimator import PoseEstimator
from jaxpose.inference.restore import restore
from jaxpose.ops.default_boxes import default_boxes
from jaxpose.tasks import multibox
from jaxpose.tasks.detection_prediction import detect_options

THRESHOLD = 0.7
detect = jax.jit(multibox.detect, static_argnames=("pre_nms_top_k", "max_outputs", "clip"))


@functools.cache
def network(model):
    return jax.jit(model.apply)


def reference_boxes(detector, image, threshold):
    """Boxes [N, 4] in px and scores [N], best first."""
    (height, width), config = image.shape[:2], detector.config
    side = config.input_size[0]
    steps = np.array([width, height]) / side
    colors, covered = (
        reference_crop(part, steps, 0.5 * steps - 0.5, (side, side))
        for part in (image, np.full_like(image, 1 << 20, int))
    )
    inputs = (colors / covered * (1 << 20) - config.mean)[None].astype(np.float32)
    logits, offsets = network(detector.task.model)(detector.variables, inputs)
    anchors = jnp.asarray(default_boxes(side, **config.default_boxes.to_dict()))
    options = detect_options(config) | {"score_threshold": threshold}
    boxes, scores, _, found = (
        np.asarray(x)[0] for x in detect(logits, offsets, anchors, **options)
    )
    return np.clip(boxes[found], 0, 1) * [width, height, width, height], scores[found]


def reference_joints(pose, image, box, flip_test):
    """Joints [K, 2] in px, their peaks [K], and whether no rounding can move them [K]."""
    height, width = pose.config.input_size
    side = 1.1 * max(box[2] - box[0], box[3] - box[1])
    center = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2 + 0.035 * side
    zoom = min(height, width) / side  # crop px per px of the picture
    corner = center[0] - width / 2 / zoom, center[1] - height / 2 / zoom
    inputs = reference_crop(image, [1 / zoom] * 2, corner, (height, width)) / 255
    inputs = jnp.asarray(inputs[None], jnp.float32) - jnp.asarray(pose.config.mean, jnp.float32)
    maps = np.asarray(network(pose.task.model)(pose.variables, inputs)[-1, 0])
    if flip_test:
        mirrored = network(pose.task.model)(pose.variables, inputs[:, :, ::-1])[-1, 0]
        order = skeleton_of(pose.config).flip_order
        maps = (maps + np.asarray(mirrored)[:, ::-1][..., order]) / 2
    decoded = [reference_decode(maps[..., k]) for k in range(maps.shape[-1])]
    points, peaks, sure = (np.array(column) for column in zip(*decoded, strict=True))
    return ((points + 0.5) * 4 - 0.5) / zoom + corner, peaks, sure


def reference_crop(image, steps, corner, size):
    """Bilinear samples, steps (x, y) px apart, from 2x2 means until they are at most 2 px apart."""
    level = max(0, int(np.ceil(np.log2(max(steps)) - 1 - 1e-3)))
    whole = 2**level
    padding = [(0, -side % whole) for side in image.shape[:2]]
    image = np.pad(image, (*padding, (0, 0))).astype(int)
    for _ in range(level):
        rows = image[::2] + image[1::2]
        image = (rows[:, ::2] + rows[:, 1::2] + 2) // 4
    columns, rows = (
        (np.arange(n) * step + first + 0.5) / whole - 0.5
        for n, step, first in zip(size[::-1], steps, corner, strict=True)
    )
    y, x = np.floor(rows).astype(int), np.floor(columns).astype(int)
    down, right = (rows - y)[:, None, None], (columns - x)[:, None]

    def tap(y, x):
        inside = ((y >= 0) & (y < len(image)))[:, None] & (x >= 0) & (x < image.shape[1])
        taken = image[np.clip(y, 0, len(image) - 1)][:, np.clip(x, 0, image.shape[1] - 1)]
        return taken * inside[..., None]

    upper = (1 - right) * tap(y, x) + right * tap(y, x + 1)
    lower = (1 - right) * tap(y + 1, x) + right * tap(y + 1, x + 1)
    return (1 - down) * upper + down * lower


def reference_decode(heat, margin=1e-5):
    """The largest value's place, a quarter towards the better neighbours; and if that is sure."""
    y, x = np.unravel_index(heat.argmax(), heat.shape)
    second, peak = np.sort(heat, None)[-2:]
    sure, point = min(peak - second, abs(peak)) > margin, np.array([x, y], float)
    if 0 < x < heat.shape[1] - 1 and 0 < y < heat.shape[0] - 1:
        slopes = [heat[y, x + 1] - heat[y, x - 1], heat[y + 1, x] - heat[y - 1, x]]
        point += 0.25 * np.sign(slopes)
        sure &= np.abs(slopes).min() > margin
    return point if peak > 0 else np.array([-1.0, -1.0]), peak, sure


@pytest.fixture(scope="module")
def estimator(networks):
    """Both networks, with small batches, so that a few pictures fill several."""
    return PoseEstimator.restore(
        networks["detection"], networks["pose"],
        det_threshold=THRESHOLD, batch_size=2, pose_batch_size=8,
    )  # fmt: skip


@pytest.fixture(scope="module")
def by_flip_test(networks):
    return {
        flip_test: PoseEstimator.restore(
            False, networks["pose"], pose_batch_size=8, flip_test=flip_test
        )
        for flip_test in (True, False)
    }


@pytest.fixture(scope="module")
def restored(networks):
    return restore(networks["detection"]), restore(networks["pose"])


def assert_joints(people, pose, image, flip_test):
    certain = []
    for person in people:
        points, peaks, sure = reference_joints(pose, image, person.box_xyxy, flip_test)
        np.testing.assert_allclose(person.keypoints[sure], points[sure], atol=0.01)
        np.testing.assert_allclose(
            person.keypoint_scores, peaks * person.score, atol=1e-4 * np.abs(peaks).max()
        )
        certain.append(sure.mean())
    assert np.mean(certain or 1) > 0.8


@pytest.mark.parametrize(("count", "flip_test"), [(0, True), (1, True), (7, True), (40, False)])
def test_own_boxes_give_the_joints_of_the_reference(
    by_flip_test, restored, picture, count, flip_test
):
    image = picture(333, 250)
    rng = np.random.default_rng(count)
    low = rng.uniform(-20, 250, (count, 2))
    boxes = np.concatenate([low, low + rng.uniform(8, 240, (count, 2))], 1)
    scores = rng.uniform(0.2, 1, count)
    people = by_flip_test[flip_test](image, boxes, scores)
    assert len(people) == count
    for person, box, score in zip(people, boxes, scores, strict=True):
        np.testing.assert_allclose(person.box_xyxy, box, rtol=1e-6)
        assert person.score == pytest.approx(score) and len(person.joint_names) == 15
    assert_joints(people, restored[1], image, flip_test)


def test_pictures_of_mixed_sizes_give_the_people_of_the_reference(estimator, restored, picture):
    """Two canvas sides, three detector batches, frames without people among them."""
    sizes = [(320, 200), (700, 400), (90, 131), (1000, 60), (33, 47)]
    frames = [picture(*size, seed) for seed, size in enumerate(sizes)]
    results = list(estimator(frames))
    assert [r.name for r in results] == [f"{n:06d}" for n in range(len(sizes))]
    for image, result in zip(frames, results, strict=True):
        boxes, scores = reference_boxes(restored[0], image, THRESHOLD)
        assert (result.width, result.height) == image.shape[1::-1]
        assert len(result.people) == len(scores)
        if not len(scores):
            continue
        found = np.array([person.box_xyxy for person in result.people])
        np.testing.assert_allclose(found, boxes, atol=0.01)
        np.testing.assert_allclose([p.score for p in result.people], scores, atol=1e-4)
    assert_joints(results[0].people[:3], restored[1], frames[0], True)
    assert_joints(results[1].people[:2], restored[1], frames[1], True)
    assert sum(len(result.people) for result in results) > 10
