"""How fast frames went through a stage of the evaluation."""

import time

from jaxpose.inference.device_clock import DeviceClock
from jaxpose.inference.frames import Frame


class Speed:
    """Counts frames and the time of each stage.

    Attributes:
      frames: so far.
      seconds: `total` on the clock, `decode` summed over its threads, and the device's stages.
    """

    def __init__(self) -> None:
        self.frames = 0
        self.seconds: dict[str, float] = {"decode": 0.0}
        self._began = time.perf_counter()

    def add(self, frame: Frame) -> None:
        """Count a frame."""
        self.frames += 1
        self.seconds["decode"] += frame.decode_seconds

    def close(self, clock: DeviceClock) -> None:
        """Take in the device's time; the clock has stopped."""
        self.seconds |= clock.seconds | {"total": time.perf_counter() - self._began}

    def rounded(self) -> dict[str, float]:
        """The seconds for JSON."""
        return {stage: round(value, 3) for stage, value in self.seconds.items()}

    def line(self, what: str) -> str:
        """Frames a second, of the whole and of each stage as if it ran alone."""
        alone = [
            f"{stage} {self.frames / value:.3g}"
            for stage, value in self.seconds.items()
            if stage != "total" and value > 0
        ]
        total = self.seconds["total"]
        return (
            f"{what}: {self.frames} frames in {total:.1f} s, {self.frames / total:.3g} frames/s "
            f"(each stage alone: {', '.join(alone) or 'none'})"
        )
