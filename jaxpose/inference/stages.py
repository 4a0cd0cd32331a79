"""The two networks at work on full batches: frames wait for a detector, people for a pose network.

Each stage fills the slots of its batch, starts the network when all are taken, and takes in the
results one batch later, so that the device has work while the host prepares the next.
"""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import groupby

import jax
import numpy as np

from jaxpose.inference.device_clock import DeviceClock
from jaxpose.inference.frames import Boxes, Frame
from jaxpose.inference.steps import DetectorFunctions, PoseFunctions, empty_batch


@dataclass(eq=False)
class Sheet:
    """Canvases on the device: images [R, side, side, 3], matrices [R, 2, 3], valid [R, 4]."""

    images: jax.Array
    matrices: np.ndarray
    valid: np.ndarray


@dataclass(eq=False)
class Pending:
    """A frame between its decoding and its result.

    Attributes:
      size: (width, height) of the source, px.
      sheet, row: canvas that it lies on; None once its people are cut out.
      boxes: once they are known.
      joints: float32 [N, K, 3], filled person by person.
      missing: people without joints so far; None while the boxes are not known.
    """

    frame: Frame
    size: tuple[int, int]
    sheet: Sheet | None = None
    row: int = -1
    boxes: Boxes | None = None
    joints: np.ndarray = field(default_factory=lambda: np.zeros((0, 0, 3), np.float32))
    missing: int | None = None


class DetectorStage:
    """Finds the boxes of frames; hands them to `found`, a batch at a time.

    Args:
      frames: D, frames a batch.
      found: called with frames whose `boxes` have been set.
    """

    def __init__(
        self,
        functions: DetectorFunctions,
        frames: int,
        clock: DeviceClock,
        found: Callable[[list[Pending]], None],
    ) -> None:
        self._functions, self._frames = functions, frames
        self._clock, self._found = clock, found
        self._inputs = empty_batch(frames, functions.input_shape)
        self._waiting: list[Pending] = []
        self._running: deque[tuple[list[Pending], jax.Array]] = deque()

    def add(self, sheet: Sheet, frames: Sequence[Pending]) -> None:
        """Take frames that lie on one sheet."""
        while frames:
            first = len(self._waiting)
            taken, frames = frames[: self._frames - first], frames[self._frames - first :]
            slots = np.full(len(sheet.images), self._frames, np.int32)
            slots[[frame.row for frame in taken]] = np.arange(first, first + len(taken))
            self._inputs = self._functions.show(self._inputs, sheet.images, sheet.valid, slots)
            self._waiting += taken
            if len(self._waiting) == self._frames:
                self._start()

    def advance(self) -> None:
        """Finish the oldest batch; one with free slots is run only where no other is running."""
        if not self._running:
            self._start()
        self._collect()

    def flush(self) -> None:
        """Finish all frames; a batch with free slots is run as it is."""
        if self._waiting:
            self._start()
        while self._running:
            self._collect()

    def _start(self) -> None:
        sizes = np.ones((self._frames, 2), np.float32)
        sizes[: len(self._waiting)] = [frame.size for frame in self._waiting]
        output = self._functions.detect(self._functions.variables, self._inputs, sizes)
        self._running.append((self._waiting, _on_its_way("detect", output, self._clock)))
        self._waiting = []
        if len(self._running) > 1:
            self._collect()

    def _collect(self) -> None:
        frames, output = self._running.popleft()
        for frame, rows in zip(frames, np.asarray(output), strict=False):
            rows = rows[rows[:, 4] > 0]
            frame.boxes = Boxes(rows[:, :4], rows[:, 4])
        self._found(frames)


class PoseStage:
    """Finds the joints of people, those of several frames in one batch.

    Args:
      people: P, people a batch.
    """

    def __init__(self, functions: PoseFunctions, people: int, clock: DeviceClock) -> None:
        self._functions, self._people, self._clock = functions, people, clock
        self._crops = empty_batch(people, functions.input_shape)
        self._boxes = np.tile(np.array([0, 0, 1, 1], np.float32), (people, 1))
        self._waiting: list[tuple[Pending, int]] = []
        self._running: deque[tuple[list[tuple[Pending, int]], jax.Array]] = deque()

    def add(self, frames: Sequence[Pending]) -> None:
        """Take frames whose `boxes` are set."""
        for frame in frames:
            assert frame.boxes is not None
            frame.missing = len(frame.boxes.scores)
        for _, of_one_sheet in groupby(frames, lambda frame: id(frame.sheet)):
            self._cut([(f, k) for f in of_one_sheet for k in range(f.missing or 0)])
        for frame in frames:
            frame.sheet = None

    def advance(self) -> None:
        """Finish the oldest batch; one with free slots is run only where no other is running."""
        if not self._running:
            self._start()
        self._collect()

    def flush(self) -> None:
        """Finish all people; a batch with free slots is run as it is."""
        if self._waiting:
            self._start()
        while self._running:
            self._collect()

    def _cut(self, people: Sequence[tuple[Pending, int]]) -> None:
        """Cut people of one sheet out of it, into the free slots."""
        while people:
            first = len(self._waiting)
            taken, people = people[: self._people - first], people[self._people - first :]
            sheet, count = taken[0][0].sheet, len(taken)
            assert sheet is not None
            rows, slots = np.zeros((2, self._people), np.int32)
            boxes = np.tile(np.array([0, 0, 1, 1], np.float32), (self._people, 1))
            rows[:count] = [frame.row for frame, _ in taken]
            boxes[:count] = [_box(frame, k) for frame, k in taken]
            slots[:] = self._people  # left out
            slots[:count] = np.arange(first, first + count)
            self._crops = self._functions.crop(
                self._crops, sheet.images, sheet.matrices, rows, boxes, slots
            )
            self._boxes[first : first + count] = boxes[:count]
            self._waiting += taken
            if len(self._waiting) == self._people:
                self._start()

    def _start(self) -> None:
        # A copy: the array may be read after the next people are in it.
        output = self._functions.estimate(
            self._functions.variables, self._crops, self._boxes.copy()
        )
        self._running.append((self._waiting, _on_its_way("pose", output, self._clock)))
        self._waiting = []
        if len(self._running) > 1:
            self._collect()

    def _collect(self) -> None:
        people, output = self._running.popleft()
        for (frame, k), joints in zip(people, np.asarray(output), strict=False):
            assert frame.boxes is not None and frame.missing is not None
            if not frame.joints.size:
                frame.joints = np.zeros((len(frame.boxes.scores), *joints.shape), np.float32)
            frame.joints[k] = joints
            frame.missing -= 1


def _box(frame: Pending, k: int) -> np.ndarray:
    assert frame.boxes is not None
    return frame.boxes.boxes_xyxy[k]


def _on_its_way(stage: str, output: jax.Array, clock: DeviceClock) -> jax.Array:
    """Start copying an output to the host as soon as it is there."""
    output.copy_to_host_async()
    clock.watch(stage, output)
    return output
