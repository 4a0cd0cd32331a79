"""Frames a second of a top-down and a bottom-up system as the number of people grows, in one run.

People of the drawn data set stand side by side in a frame. The top-down system is given their
boxes, so that it estimates exactly so many poses, and the time of its detector is added. The
bottom-up system groups whom its network finds; a perfect network's maps are grouped beside it.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, NamedTuple

import cv2
import jax
import numpy as np
from ml_collections import ConfigDict

from jaxpose.annotations.synthetic import draw_dataset
from jaxpose.inference.bottom_up import best_view, views_of
from jaxpose.inference.device_clock import DeviceClock
from jaxpose.inference.estimator import PoseEstimator
from jaxpose.inference.flow import Flow
from jaxpose.inference.frames import Frame
from jaxpose.inference.options import Options, batch_sizes, person_threshold
from jaxpose.inference.own_boxes import person_boxes
from jaxpose.inference.restore import Restored
from jaxpose.inference.steps import DetectorFunctions, detector_functions
from jaxpose.pipelines.grouping_speed import Grouping, Maps, make_grouping, rendered

NUMBERS = (1, 2, 5, 10, 20, 50)
# People that are drawn; beyond them they come again.
_CAST = 12


class CrowdSpeed(NamedTuple):
    """Seconds a frame with so many people; medians over rounds.

    Attributes:
      people: of a frame.
      detection, poses: of the two halves of the top-down system.
      bottom_up: of the other.
      grouping: of grouping alone, the maps of a perfect network of PoseTrack's joints.
      found: people a frame that the bottom-up network found.
      grouped: people that grouping alone found.
    """

    people: int
    detection: float
    poses: float
    bottom_up: float
    grouping: float
    found: float
    grouped: int

    @property
    def top_down(self) -> float:
        """Of detector and pose network together."""
        return self.detection + self.poses


def crowd_speeds(
    detector: Restored,
    poses: PoseEstimator,
    bottom_up: PoseEstimator,
    config: ConfigDict,
    numbers: Sequence[int] = NUMBERS,
    *,
    size: tuple[int, int] = (1280, 720),
    frames: int = 8,
    rounds: int = 5,
) -> list[CrowdSpeed]:
    """Time both systems, in alternation, after a round that compiles.

    Args:
      detector: of the top-down system; poses: an estimator of its pose network alone.
      bottom_up: an estimator of a bottom-up network, and its config.
      size: width and height of the frames, px.
      frames: of one pass.
    """
    cast, rows = _cast(), []
    view = best_view(*size, views_of(tuple(config.eval.input_size)))
    grouping = make_grouping(view, config.grouping.to_dict())
    threshold = person_threshold(Options(), detector.config)
    finder = detector_functions(detector, threshold, poses.options.nms_iou)
    for number in numbers:
        image, boxes = crowd(number, size, cast)
        plain = [Frame(f"{n}", image) for n in range(frames)]
        boxed = [frame._replace(boxes=person_boxes(boxes)) for frame in plain]
        maps = jax.device_put(rendered(number, view))
        passes: tuple[Callable[[], Iterable[Any]], ...] = (
            partial(_detected, finder, plain),
            partial(poses.stream, boxed, frames),
            partial(bottom_up.stream, plain, frames),
            partial(_grouped, grouping, maps, frames),
        )
        seconds = [[_seconds(each) / frames for each in passes] for _ in range(rounds + 1)]
        found = np.mean([len(result.people) for _, result in bottom_up.stream(plain, frames)])
        grouped = grouping.people(grouping.find(*maps))
        detection, pose, whole, alone = np.median(seconds[1:], axis=0).tolist()
        rows.append(CrowdSpeed(number, detection, pose, whole, alone, float(found), grouped))
    return rows


def crowd(
    count: int, size: tuple[int, int], cast: Sequence[np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """A frame uint8 [h, w, 3] of people in rows and columns, and their boxes [N, 4] xyxy px.

    Args:
      size: width and height, px.
      cast: pictures of one person each, taken in turn.
    """
    columns = min(count, max(1, round((count * size[0] / size[1]) ** 0.5 + 0.49)))
    width, height = size[0] // columns, size[1] // -(-count // columns)
    image = np.full((size[1], size[0], 3), 128, np.uint8)
    boxes = []
    for place in range(count):
        person = cast[place % len(cast)]
        zoom = min(width / person.shape[1], height / person.shape[0])
        shown = max(1, int(person.shape[1] * zoom)), max(1, int(person.shape[0] * zoom))
        x, y = place % columns * width, place // columns * height
        image[y : y + shown[1], x : x + shown[0]] = cv2.resize(person, shown)
        boxes.append([x, y, x + shown[0], y + shown[1]])
    return image, np.array(boxes, np.float32)


def _cast() -> list[np.ndarray]:
    """Pictures of drawn people, each cut out at its box."""
    found: list[np.ndarray] = []
    for seed in range(4 * _CAST):
        ((image, frame),) = draw_dataset(seed, 1, 0, 1, (320, 240))[0].frames
        for person in frame.persons:
            assert person.box_xyxy is not None  # drawn people have one
            x1, y1, x2, y2 = np.clip(person.box_xyxy, 0, [320, 240] * 2).astype(int).tolist()
            if x2 - x1 >= 16 and y2 - y1 >= 64:
                found.append(image[y1:y2, x1:x2])
        if len(found) >= _CAST:
            break
    return found[:_CAST]


def _detected(finder: DetectorFunctions, frames: Sequence[Frame]) -> Iterable[Any]:
    sizes = batch_sizes(Options(), len(frames))
    with DeviceClock() as clock:
        yield from Flow(finder, None, sizes, lambda boxes: boxes, clock).run(frames)


def _grouped(grouping: Grouping, maps: Maps, frames: int) -> Iterable[int]:
    for _ in range(frames):
        yield grouping.people(grouping.find(*maps))


def _seconds(run: Callable[[], Iterable[Any]]) -> float:
    began = time.perf_counter()
    for _ in run():
        pass
    return time.perf_counter() - began
