"""Time the grouping of a bottom-up network's maps into people: python tools/benchmark_grouping.py

Drawn people stand side by side in a frame; the maps and fields that a perfect network would say of
them are enlarged and grouped, on the device (peaks, limbs) and on the host (people). Numbers of
people alternate; median times of a frame are printed. The network itself is not run.
"""

import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from absl import flags

from jaxpose.annotations.synthetic_motion import draw_body, pose_body
from jaxpose.annotations.synthetic_poses import draw_angles, draw_facing
from jaxpose.defaults import DEFAULTS
from jaxpose.errors import UsageError, run_main
from jaxpose.limbs import LimbSet, limbs_of
from jaxpose.models.openpose import STRIDE
from jaxpose.ops import heatmaps, part_maps
from jaxpose.ops.assembly import assemble
from jaxpose.ops.grouping import Candidates, Scale, find_candidates
from jaxpose.skeletons import POSETRACK17
from jaxpose.tasks.bottom_up_prediction import ASSEMBLY

_PEOPLE = flags.DEFINE_list("people", ["1", "2", "5", "10", "20", "50"], "People of a frame.")
_HEIGHT = flags.DEFINE_integer("height", 368, "Of the frame, px.", lower_bound=STRIDE)
_WIDTH = flags.DEFINE_integer("width", 656, "Of the frame, px.", lower_bound=STRIDE)
_MAX_PEAKS = flags.DEFINE_integer("max_peaks", 64, "Room for peaks of a part.", lower_bound=1)
_BATCH = flags.DEFINE_integer("batch", 1, "Frames of a call.", lower_bound=1)
_ROUNDS = flags.DEFINE_integer("rounds", 20, "Calls for each number of people.", lower_bound=1)
# MPII's joint names for PoseTrack's; the neck is where MPII has its upper neck.
_JOINTS = tuple("upper_neck" if name == "head_bottom" else name for name in POSETRACK17.joints)
# Of the room that a person has.
_FILLED = 0.85
Maps = tuple[jax.Array, jax.Array]


def main(argv: list[str]) -> None:
    """Render, group in alternation, print a table."""
    if len(argv) > 1:
        raise UsageError(f"unexpected {argv[1:]} (see --help)")
    numbers, size = _numbers(), (_HEIGHT.value, _WIDTH.value)
    if size[0] % STRIDE or size[1] % STRIDE:
        raise UsageError(f"--height and --width must be divisible by {STRIDE}")
    limbs, config = limbs_of(POSETRACK17), DEFAULTS["bottom_up"]()
    grouping = config.grouping.to_dict() | {"max_peaks": _MAX_PEAKS.value}
    thresholds = {name: grouping.pop(name) for name in ASSEMBLY}
    frames = {n: jax.device_put(rendered(n, size, limbs, config.targets.sigma)) for n in numbers}

    def find(maps: jax.Array, fields: jax.Array) -> Candidates:
        return find_candidates(
            [Scale(maps, fields)], limbs.indices, size, stride=STRIDE, **grouping
        )

    times, found = alternating(frames, jax.jit(find), lambda c: people(c, limbs, thresholds))
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


def standing(count: int, size: tuple[int, int]) -> np.ndarray:
    """Joints [1, count, K, 2] in px of drawn people in rows and columns of a frame (h, w)."""
    rng = np.random.default_rng(count)
    columns = min(count, max(1, round((count * size[1] / size[0]) ** 0.5 + 0.49)))
    rows = -(-count // columns)
    room = np.array([size[1] / columns, size[0] / rows])
    people = []
    for place in range(count):
        yaw = np.array([draw_facing(rng, walking=False)])
        points = pose_body(draw_body(rng), draw_angles(rng, 1, walking=False), yaw).points
        joints = np.array([points[name][0, :2] for name in _JOINTS]) * [1, -1]
        low, extent = joints.min(0), np.ptp(joints, axis=0)
        shown = (joints - low - extent / 2) * _FILLED * (room / extent).min()
        people.append(shown + (np.array([place % columns, place // columns]) + 0.5) * room)
    return np.array(people, np.float32)[None]


def rendered(count: int, size: tuple[int, int], limbs: LimbSet, sigma: float) -> Maps:
    """Maps and fields that a perfect network says of a batch of frames with so many people."""
    points = heatmaps.input_to_heatmap(standing(count, size), STRIDE)
    cells = (size[0] // STRIDE, size[1] // STRIDE)
    valid = jnp.ones(points.shape[:3])
    maps = part_maps.confidence_maps(points, valid, cells, sigma / STRIDE)
    fields, _ = part_maps.affinity_fields(points, valid, limbs.indices, cells)
    return jnp.repeat(maps, _BATCH.value, 0), jnp.repeat(fields, _BATCH.value, 0)


def people(candidates: Candidates, limbs: LimbSet, thresholds: dict[str, Any]) -> int:
    """Put the people of every frame together on the host; how many the first one has."""
    arrays = [np.asarray(each) for each in candidates]
    made = [
        assemble(scores, pairs, limbs.indices, **thresholds)
        for _, scores, pairs in zip(*arrays, strict=True)
    ]
    return len(made[0].scores)


def alternating(
    frames: dict[int, Maps],
    find: Callable[..., Candidates],
    group: Callable[[Candidates], int],
) -> tuple[dict[int, np.ndarray], dict[int, int]]:
    """Median ms of a frame on the device and on the host, and people found, by their number."""
    seconds: dict[int, list[list[float]]] = {number: [] for number in frames}
    found = {}
    for number, maps in frames.items():
        found[number] = group(find(*maps))  # compiles
    for _ in range(_ROUNDS.value):
        for number, maps in frames.items():
            start = time.perf_counter()
            candidates = jax.block_until_ready(find(*maps))
            between = time.perf_counter()
            group(candidates)
            seconds[number].append([between - start, time.perf_counter() - between])
    scaled = 1e3 / _BATCH.value
    return {n: scaled * np.median(each, axis=0) for n, each in seconds.items()}, found


if __name__ == "__main__":
    run_main(main)
