"""How long the device is busy with what, although nobody waits for it step by step."""

import threading
import time
from collections import defaultdict
from queue import SimpleQueue
from typing import Any

import jax


class DeviceClock:
    """Splits the device's time over stages; a context manager.

    A thread of its own waits for each output in the order in which they were asked for. An output's
    time is that from the end of the one before it, or from its own start where the device was idle.

    Attributes:
      seconds: stage -> busy time so far.
    """

    def __init__(self) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self._outputs: SimpleQueue[tuple[str, float, Any] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._follow, daemon=True)

    def watch(self, stage: str, output: jax.Array) -> None:
        """Say that `output`, of a stage, has just been asked for; it must never be donated."""
        self._outputs.put((stage, time.perf_counter(), output))

    def _follow(self) -> None:
        last = 0.0
        while (item := self._outputs.get()) is not None:
            stage, started, output = item
            jax.block_until_ready(output)
            now = time.perf_counter()
            self.seconds[stage] += now - max(started, last)
            last = now

    def __enter__(self) -> "DeviceClock":
        self._thread.start()
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        self._outputs.put(None)
        self._thread.join()
