"""Time the grouping of a bottom-up network's maps into people: python tools/benchmark_grouping.py

Drawn people stand side by side in a frame; the maps and fields that a perfect network would say of
them are enlarged and grouped, on the device (peaks, limbs) and on the host (people). Numbers of
people alternate; median times of a frame are printed. The network itself is not run.
"""

import time

import jax
import numpy as np
from absl import flags

from jaxpose.defaults import DEFAULTS
from jaxpose.errors import UsageError, run_main
from jaxpose.limbs import limbs_of
from jaxpose.models.openpose import STRIDE
from jaxpose.pipelines.grouping_speed import Grouping, Maps, make_grouping, rendered
from jaxpose.skeletons import POSETRACK17

_PEOPLE = flags.DEFINE_list("people", ["1", "2", "5", "10", "20", "50"], "People of a frame.")
_HEIGHT = flags.DEFINE_integer("height", 368, "Of the frame, px.", lower_bound=STRIDE)
_WIDTH = flags.DEFINE_integer("width", 656, "Of the frame, px.", lower_bound=STRIDE)
_MAX_PEAKS = flags.DEFINE_integer("max_peaks", 64, "Room for peaks of a part.", lower_bound=1)
_BATCH = flags.DEFINE_integer("batch", 1, "Frames of a call.", lower_bound=1)
_ROUNDS = flags.DEFINE_integer("rounds", 20, "Calls for each number of people.", lower_bound=1)


def main(argv: list[str]) -> None:
    """Render, group in alternation, print a table."""
    if len(argv) > 1:
        raise UsageError(f"unexpected {argv[1:]} (see --help)")
    numbers, size = _numbers(), (_HEIGHT.value, _WIDTH.value)
    if size[0] % STRIDE or size[1] % STRIDE:
        raise UsageError(f"--height and --width must be divisible by {STRIDE}")
    limbs = limbs_of(POSETRACK17)
    options = DEFAULTS["bottom_up"]().grouping.to_dict() | {"max_peaks": _MAX_PEAKS.value}
    frames = {n: jax.device_put(rendered(n, size, _BATCH.value)) for n in numbers}
    times, found = alternating(frames, make_grouping(size, options))
    device = jax.devices()[0]
    print(f"device: {device.platform} ({device.device_kind}), float32, jax {jax.__version__}")
    print(
        f"{size[1]} x {size[0]} px, {POSETRACK17.size} parts with room for {_MAX_PEAKS.value} "
        f"peaks, {limbs.size} limbs, batches of {_BATCH.value}, median of {_ROUNDS.value} calls"
    )
    print(f"{'people':>6} {'found':>6} {'device ms':>10} {'host ms':>8} {'frames/s':>9}")
    for number, (on_device, on_host) in times.items():
        rate = 1e3 / (on_device + on_host)
        print(f"{number:6} {found[number]:6} {on_device:10.2f} {on_host:8.2f} {rate:9.1f}")


def _numbers() -> list[int]:
    try:
        numbers = [int(text) for text in _PEOPLE.value]
    except ValueError:
        numbers = []
    if not numbers or min(numbers) < 1:
        raise UsageError(f"--people={','.join(_PEOPLE.value)}: give whole numbers above 0")
    return numbers


def alternating(
    frames: dict[int, Maps], grouping: Grouping
) -> tuple[dict[int, np.ndarray], dict[int, int]]:
    """Median ms of a frame on the device and on the host, and people found, by their number."""
    seconds: dict[int, list[list[float]]] = {number: [] for number in frames}
    found = {}
    for number, maps in frames.items():
        found[number] = grouping.people(grouping.find(*maps))  # compiles
    for _ in range(_ROUNDS.value):
        for number, maps in frames.items():
            start = time.perf_counter()
            candidates = jax.block_until_ready(grouping.find(*maps))
            between = time.perf_counter()
            grouping.people(candidates)
            seconds[number].append([between - start, time.perf_counter() - between])
    scaled = 1e3 / _BATCH.value
    return {n: scaled * np.median(each, axis=0) for n, each in seconds.items()}, found


if __name__ == "__main__":
    run_main(main)
