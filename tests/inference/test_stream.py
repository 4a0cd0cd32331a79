"""Many frames: how much is compiled, how far the estimator reads ahead, and in which order."""

import copy
import gc
import threading
import weakref

import jax
import numpy as np
import pytest

from jaxpose.inference.canvases import SIDES, CanvasBatch, canvas_side, canvases_a_batch
from jaxpose.inference.estimator import PoseEstimator
from jaxpose.inference.frames import Frame
from jaxpose.inference.own_boxes import person_boxes
from jaxpose.inference.restore import restore
from jaxpose.inference.steps import empty_batch, pose_functions

COMPILATIONS = []
jax.monitoring.register_event_duration_secs_listener(
    lambda event, seconds, **_: COMPILATIONS.append(event) if "backend_compile" in event else None
)


def frames_of(images, boxes=None):
    for index, image in enumerate(images):
        yield Frame(str(index), image, boxes=None if boxes is None else boxes[index])


def test_a_hundred_sizes_compile_eight_programs(networks, picture):
    estimator = PoseEstimator.restore(
        networks["detection"], networks["pose"], max_persons=2, batch_size=2, pose_batch_size=8
    )
    # Mostly small ones, for the sake of the test's time.
    sizes = (20 + 1980 * np.random.default_rng(0).random((100, 2)) ** 20).astype(int)
    images = (picture(*size) for size in sizes.tolist())
    COMPILATIONS.clear()
    results = list(estimator(images))
    assert [(result.width, result.height) for result in results] == [tuple(s) for s in sizes]
    assert len({canvas_side(*size) for size in sizes}) == 3
    # Two for each canvas side, and the two networks.
    assert 0 < len(COMPILATIONS) <= 8
    assert sum(len(result.people) for result in results) > 40


def test_warm_pictures_compile_nothing(networks, picture):
    estimator = PoseEstimator.restore(networks["detection"], networks["pose"])
    COMPILATIONS.clear()
    estimator.warm_up(500, 300)
    assert 0 < len(COMPILATIONS) <= 4
    COMPILATIONS.clear()
    estimator(picture(640, 480))
    estimator(picture(100, 100), [[0, 0, 50, 50]])
    assert not COMPILATIONS


@pytest.fixture(scope="module")
def pose_alone(networks):
    return PoseEstimator.restore(False, networks["pose"], batch_size=2, pose_batch_size=8)


class Alive:
    """Makes images and counts those that somebody still holds."""

    def __init__(self):
        self.made = self.alive = self.most = 0

    def images(self, count):
        for _ in range(count):
            image = np.zeros((40, 60, 3), np.uint8)
            self.made, self.alive = self.made + 1, self.alive + 1
            self.most = max(self.most, self.alive)
            weakref.finalize(image, self.gone)
            yield image
            del image

    def gone(self):
        self.alive -= 1


@pytest.mark.parametrize("keep_images", [False, True])
@pytest.mark.parametrize("everywhere", [False, True])
def test_a_video_is_never_held_whole(pose_alone, keep_images, everywhere):
    """Not where everybody waits for a full batch of people, nor where one person waits for it."""
    alive, count = Alive(), 150
    one, nobody = person_boxes([[5, 5, 40, 30]]), person_boxes([])
    boxes = [one if everywhere or index == 3 else nobody for index in range(count)]
    taken = 0
    frames = frames_of(alive.images(count), boxes)
    for frame, result in pose_alone.stream(frames, None, keep_images):
        assert result.name == str(taken) and len(result.people) == len(boxes[taken].scores)
        assert (frame.image is not None) == keep_images
        taken += 1
        assert alive.made - taken <= 4 * 2 + 8
        del frame
    gc.collect()
    assert taken == count and alive.alive == 0
    assert alive.most <= (4 * 2 + 8 + 1 if keep_images else 2)


def test_few_people_a_frame_still_make_full_batches(pose_alone):
    """Held-up frames get what they wait for, and no half-empty batch is run besides."""
    estimator, batches = copy.copy(pose_alone), []

    def estimate(*inputs):
        batches.append(inputs)
        return pose_alone._pose.estimate(*inputs)

    estimator._pose = pose_alone._pose._replace(estimate=estimate)
    boxes = [person_boxes([[5, 5, 40, 30]] * (index % 5 < 3)) for index in range(150)]
    images = [np.zeros((40, 60, 3), np.uint8)] * len(boxes)
    results = [result for _, result in estimator.stream(frames_of(images, boxes))]
    assert [len(result.people) for result in results] == [len(b.scores) for b in boxes]
    assert len(batches) == 12  # 90 people, 8 a batch


def test_leaving_in_the_middle_stops_all_threads(pose_alone, tmp_path, picture, jpeg):
    for index in range(30):
        (tmp_path / f"{index:02d}.jpg").write_bytes(jpeg(picture(60, 40)))
    before = threading.active_count()
    results = pose_alone(tmp_path, {"00.jpg": [[0, 0, 30, 30]]})
    assert next(results).name == "00.jpg" and threading.active_count() > before
    results.close()
    assert threading.active_count() == before


def test_a_rare_size_does_not_hold_up_the_others(pose_alone):
    """One large picture among many small ones: its result comes before the run is over."""
    images = [np.zeros((700, 40, 3) if i == 1 else (40, 40, 3), np.uint8) for i in range(40)]
    read = []

    def frames():
        for frame in frames_of(images, [person_boxes([[0, 0, 9, 9]] * 4)] * len(images)):
            read.append(frame.name)
            yield frame

    when = {result.name: len(read) for _, result in pose_alone.stream(frames())}
    assert list(when) == [str(i) for i in range(40)]
    assert when["1"] <= 10


def test_pictures_beyond_the_largest_canvas_are_reduced(networks, picture, monkeypatch):
    """And it is said; boxes and joints are still in px of the picture, and the crops the same."""
    estimator = PoseEstimator.restore(False, networks["pose"])
    image, boxes = picture(900, 620), np.float32([[100, 50, 700, 600], [300, 200, 800, 620]])
    monkeypatch.setattr("jaxpose.inference.flow.canvas_side", lambda *size: 640)
    frame = Frame("large", image, boxes=person_boxes(boxes))
    ((noted, result),) = estimator.stream([frame], 1)
    assert noted.note == "reduced to 640 px" and (result.width, result.height) == (900, 620)
    np.testing.assert_array_equal([person.box_xyxy for person in result.people], boxes)

    functions = pose_functions(restore(networks["pose"]), flip_test=False)
    crops = []
    for side in (1280, 640):
        canvas = CanvasBatch(side, 1)
        canvas.add(image)
        empty = empty_batch(2, functions.input_shape)
        rows, slots = np.zeros(2, np.int32), np.arange(2)
        crops.append(functions.crop(empty, canvas.images, canvas.matrices, rows, boxes, slots))
    assert np.abs(crops[0] - crops[1]).mean() < 0.03
    assert np.abs(crops[0][0] - crops[0][1]).mean() > 0.1


def test_canvases():
    assert [canvas_side(*size) for size in [(1, 640), (641, 1), (1920, 1080), (9000, 9)]] == [
        640, 1280, 2048, SIDES[-1],
    ]  # fmt: skip
    assert canvases_a_batch(640, 8) == 8 and canvases_a_batch(4096, 8) == 1
    batch = CanvasBatch(8, 2)
    image = np.full((4, 6, 3), 7, np.uint8)
    assert (batch.add(image), batch.full, batch.add(np.full((16, 4, 3), 9, np.uint8))) == (
        0, False, 1,
    )  # fmt: skip
    assert batch.full and batch.valid.tolist() == [[0, 0, 6, 4], [0, 0, 2, 8]]
    assert (batch.images[0, :4, :6] == 7).all() and batch.images[0].sum() == 7 * 72
    assert (batch.images[1, :, :2] == 9).all() and batch.images[1].sum() == 9 * 48
    np.testing.assert_allclose(batch.matrices[1] @ [1.5, 7.5, 1], [0.5, 3.5])
