"""A person detector alone: the boxes of many frames, without a pose network."""

from collections.abc import Iterable, Iterator

import numpy as np

from jaxpose.inference.device_clock import DeviceClock
from jaxpose.inference.flow import Flow
from jaxpose.inference.frames import Boxes, Frame
from jaxpose.inference.options import Options, batch_sizes
from jaxpose.inference.restore import Restored
from jaxpose.inference.steps import detector_functions


def detect_people(
    detector: Restored,
    frames: Iterable[Frame],
    clock: DeviceClock,
    *,
    score_threshold: float,
    nms_iou: float,
    batch_size: int | None = None,
    count: int | None = None,
) -> Iterator[tuple[Frame, Boxes]]:
    """Find the people of many frames, as `PoseEstimator` does before it estimates their poses.

    Args:
      detector: restored network that knows the class `person`.
      frames: with images and without boxes of their own.
      clock: takes the device's time; entered by the caller.
      score_threshold, nms_iou: boxes with lower scores are left out, and those that overlap a
        better one by more.
      batch_size: frames at once; see `Options`.
      count: number of frames, if it is known.

    Yields:
      the frames without their pixels, in order, each with its boxes by falling score.

    Raises:
      UsageError: another task's network, or one that knows no class `person`.
    """
    functions = detector_functions(detector, score_threshold, nms_iou)
    sizes = batch_sizes(Options(batch_size=batch_size), count)
    nobody = Boxes(np.zeros((0, 4), np.float32), np.zeros(0, np.float32))
    for pending in Flow(functions, None, sizes, lambda boxes: boxes, clock).run(frames):
        yield pending.frame, pending.boxes or nobody
