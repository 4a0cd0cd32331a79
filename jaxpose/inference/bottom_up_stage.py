"""A bottom-up network at work on full batches of frames, one batch for each of its views."""

from collections import deque
from collections.abc import Callable, Sequence

import jax
import numpy as np

from jaxpose.inference.bottom_up import BottomUpFunctions, View, best_view
from jaxpose.inference.device_clock import DeviceClock
from jaxpose.inference.stages import Pending, Sheet
from jaxpose.ops.grouping import Candidates


class BottomUpStage:
    """Finds the people of frames and their joints; takes the place of `stages.DetectorStage`.

    Args:
      frames: D, frames a batch.
      found: called with frames whose `boxes` and `joints` have been set.
    """

    def __init__(
        self,
        functions: BottomUpFunctions,
        frames: int,
        clock: DeviceClock,
        found: Callable[[list[Pending]], None],
    ) -> None:
        self._functions, self._frames = functions, frames
        self._clock, self._found = clock, found
        self._inputs: dict[View, tuple[jax.Array, ...]] = {}
        # Views in the order in which the frames came that wait longest.
        self._waiting: dict[View, list[Pending]] = {}
        self._running: deque[tuple[list[Pending], Candidates]] = deque()

    def add(self, sheet: Sheet, frames: Sequence[Pending]) -> None:
        """Take frames that lie on one sheet."""
        views = [best_view(*frame.size, self._functions.views) for frame in frames]
        for view in dict.fromkeys(views):
            own = [frame for frame, best in zip(frames, views, strict=True) if best == view]
            self._show(view, sheet, own)

    def advance(self) -> None:
        """Finish the oldest batch; one with free slots is run only where no other is running."""
        if not self._running:
            self._start(next(iter(self._waiting)))
        self._collect()

    def flush(self) -> None:
        """Finish all frames; batches with free slots are run as they are."""
        for view in list(self._waiting):
            self._start(view)
        while self._running:
            self._collect()

    def _show(self, view: View, sheet: Sheet, frames: Sequence[Pending]) -> None:
        if view not in self._inputs:
            self._inputs[view] = self._functions.empty(view, self._frames)
        while frames:
            waiting = self._waiting.setdefault(view, [])
            first, rows = len(waiting), len(sheet.images)
            taken, frames = frames[: self._frames - first], frames[self._frames - first :]
            slots, sizes = np.full(rows, self._frames, np.int32), np.ones((rows, 2), np.float32)
            slots[[frame.row for frame in taken]] = np.arange(first, first + len(taken))
            sizes[[frame.row for frame in taken]] = [frame.size for frame in taken]
            self._inputs[view] = self._functions.show(
                self._inputs[view], sheet.images, sheet.matrices, sheet.valid, sizes, slots,
                view=view,
            )  # fmt: skip
            waiting += taken
            if len(waiting) == self._frames:
                self._start(view)

    def _start(self, view: View) -> None:
        frames = self._waiting.pop(view)
        sizes = np.ones((self._frames, 2), np.float32)
        sizes[: len(frames)] = [frame.size for frame in frames]
        output = self._functions.find(
            self._functions.variables, self._inputs[view], sizes, view=view
        )
        for array in output:
            array.copy_to_host_async()
        self._clock.watch("pose", output.limb_scores)
        self._running.append((frames, output))
        if len(self._running) > 1:
            self._collect()

    def _collect(self) -> None:
        frames, output = self._running.popleft()
        candidates = jax.tree.map(np.asarray, output)
        for row, frame in enumerate(frames):
            one = Candidates(*(values[row] for values in candidates))
            frame.boxes, frame.joints = self._functions.people(one)
        self._found(frames)
