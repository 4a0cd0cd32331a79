"""Frames in, people out, in the order of the frames; a few batches are on their way at once."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import jax
import numpy as np

from jaxpose.inference.bottom_up import BottomUpFunctions
from jaxpose.inference.bottom_up_stage import BottomUpStage
from jaxpose.inference.canvases import CanvasBatch, canvas_side, canvases_a_batch
from jaxpose.inference.device_clock import DeviceClock
from jaxpose.inference.frames import Boxes, Frame
from jaxpose.inference.stages import DetectorStage, Pending, PoseStage, Sheet
from jaxpose.inference.steps import DetectorFunctions, PoseFunctions


class BatchSizes(NamedTuple):
    """How many frames the detector and how many people the pose network takes at once."""

    frames: int
    people: int


@dataclass
class _Open:
    """A batch of canvases that is being filled, and which frame of the run it began with."""

    canvases: CanvasBatch
    since: int
    frames: list[Pending] = field(default_factory=list)


class Flow:
    """Takes frames and hands them out again with boxes and joints.

    Args:
      detector: or a bottom-up network, which finds joints as well.
      pose: None where boxes are all that is wanted, or a bottom-up network is there.
      select: boxes of a frame -> those that go on.
      keep_images: whether frames keep their pixels to the end, to be drawn on.
      live: whether each frame is finished before the next is taken.
    """

    def __init__(
        self,
        detector: DetectorFunctions | BottomUpFunctions | None,
        pose: PoseFunctions | None,
        sizes: BatchSizes,
        select: Callable[[Boxes], Boxes],
        clock: DeviceClock,
        keep_images: bool = False,
        live: bool = False,
    ) -> None:
        self._sizes, self._select, self._keep_images = sizes, select, keep_images
        self._pose = pose and PoseStage(pose, sizes.people, clock)
        self._detector: DetectorStage | BottomUpStage | None = None
        if isinstance(detector, BottomUpFunctions):
            self._detector = BottomUpStage(detector, sizes.frames, clock, self._found)
        elif detector is not None:
            self._detector = DetectorStage(detector, sizes.frames, clock, self._found)
        self._open: dict[int, _Open] = {}
        self._order: deque[Pending] = deque()
        self._taken = 0
        # As soon as so many frames are on their way, the oldest is finished.
        self._most_frames = 1 if live else 4 * sizes.frames + sizes.people

    def run(self, frames: Iterable[Frame]) -> Iterator[Pending]:
        """Every frame, finished, in order."""
        for frame in frames:
            self._take(frame)
            yield from self._finished()
        self._flush()
        yield from self._finished()

    def _finished(self) -> Iterator[Pending]:
        while self._order and self._order[0].missing == 0:
            yield self._order.popleft()

    def _take(self, frame: Frame) -> None:
        self._taken += 1
        if frame.image is None:
            self._order.append(Pending(frame, (0, 0), missing=0))
        else:
            self._place(frame, frame.image)
        for side, batch in list(self._open.items()):
            # A rare size must not hold up the frames behind it until its batch is full.
            if self._taken - batch.since >= 2 * self._sizes.frames:
                self._send(side)
        if len(self._order) >= self._most_frames:
            self._unblock(self._order[0])

    def _place(self, frame: Frame, image: np.ndarray) -> None:
        height, width = image.shape[:2]
        side = canvas_side(width, height)
        if side not in self._open:
            rows = canvases_a_batch(side, self._sizes.frames)
            self._open[side] = _Open(CanvasBatch(side, rows), self._taken)
        batch = self._open[side]
        row = batch.canvases.add(image)
        if max(width, height) > side:
            frame = frame._replace(note=_joined(frame.note, f"reduced to {side} px"))
        if not self._keep_images:
            frame = frame._replace(image=None)
        pending = Pending(frame, (width, height), row=row)
        batch.frames.append(pending)
        self._order.append(pending)
        if batch.canvases.full:
            self._send(side)

    def _send(self, side: int) -> None:
        """Put a batch of canvases on the device and its frames on their way."""
        batch = self._open.pop(side)
        canvases = batch.canvases
        sheet = Sheet(jax.device_put(canvases.images), canvases.matrices, canvases.valid)
        for frame in batch.frames:
            frame.sheet, frame.boxes = sheet, frame.frame.boxes
        unknown = [frame for frame in batch.frames if frame.boxes is None]
        known = [frame for frame in batch.frames if frame.boxes is not None]
        if unknown:
            assert self._detector is not None
            self._detector.add(sheet, unknown)
        if known:
            self._found(known)

    def _found(self, frames: list[Pending]) -> None:
        for frame in frames:
            assert frame.boxes is not None
            frame.boxes = self._select(frame.boxes)
        if self._pose is not None:
            self._pose.add(frames)
            return
        for frame in frames:
            frame.missing, frame.sheet = 0, None

    def _unblock(self, frame: Pending) -> None:
        """Run what a frame waits for; batches that others wait for go on being filled."""
        while frame.missing != 0:
            if frame.missing is not None:
                assert self._pose is not None
                self._pose.advance()
            elif frame.sheet is None:
                self._send(canvas_side(*frame.size))
            else:
                assert self._detector is not None
                self._detector.advance()

    def _flush(self) -> None:
        for side in sorted(self._open):
            self._send(side)
        if self._detector is not None:
            self._detector.flush()
        if self._pose is not None:
            self._pose.flush()


def _joined(*notes: str) -> str:
    return "; ".join(note for note in notes if note)
