"""Rows of the mode `predict`: frames through detector and pose network, as `jaxpose.predict`."""

import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

from ml_collections import ConfigDict

from jaxpose.errors import UsageError
from jaxpose.inference.bottom_up import is_bottom_up
from jaxpose.inference.device_clock import DeviceClock
from jaxpose.inference.estimator import PoseEstimator
from jaxpose.inference.flow import Flow
from jaxpose.inference.folded import folded
from jaxpose.inference.frames import Frame
from jaxpose.inference.options import Options, batch_sizes, person_threshold
from jaxpose.inference.restore import Restored, restore
from jaxpose.inference.steps import detector_functions
from jaxpose.pipelines.benchmark_batches import completed
from jaxpose.pipelines.benchmark_bench import Bench, speed_figures
from jaxpose.pipelines.benchmark_compile import Compilations
from jaxpose.pipelines.benchmark_frames import Frames
from jaxpose.pipelines.benchmark_step import random_network
from jaxpose.pipelines.benchmark_timing import Budget, Timing
from jaxpose.pipelines.config_checks import check_config
from jaxpose.pipelines.system_speed import Speed
from jaxpose.tasks import make_task

_PEOPLE = 5
_BATCHES = 4  # of frames, in the shortest window
_MOST_PICTURES = 50
Finds = Callable[[Iterable[Frame], int | None, DeviceClock], Iterator[tuple[Frame, int]]]


class Networks(NamedTuple):
    """What is run.

    Attributes:
      detector, pose: one of them may be missing.
      people: boxes that frames come with, or most people that are taken of a frame; None: all.
      words: which networks, with which weights.
    """

    detector: Restored | None
    pose: Restored | None
    people: int | None
    words: str

    @property
    def finds_people(self) -> bool:
        """Whether the pose network is a bottom-up one, which takes no boxes."""
        return self.pose is not None and is_bottom_up(self.pose)

    @property
    def boxes(self) -> int | None:
        """How many boxes frames come with; None where a network finds the people."""
        return None if self.detector or self.finds_people else self.people


class Pass(NamedTuple):
    """One pass: `seconds` has `total` and the stages."""

    frames: int
    people: int
    seconds: dict[str, float]


def networks_of(
    config: ConfigDict | None,
    detector: str | None = None,
    pose: str | None = None,
    detector_config: ConfigDict | None = None,
    people: int | None = None,
) -> Networks:
    """Restore what checkpoints are named, and draw random weights for what configs describe.

    Raises:
      UsageError: none, or two for the same network. CheckpointError: nothing intact there.
    """
    configs: dict[str, ConfigDict | None] = {"detection": detector_config, "pose": None}
    if detector_config is not None and detector_config.task != "detection":
        raise UsageError(f"--detector_config is of a network for {detector_config.task}")
    if config is not None:
        role = "detection" if config.task == "detection" else "pose"
        if configs[role] is not None:
            raise UsageError("--config and --detector_config both give a detector; leave one out")
        configs[role] = config
    checkpoints = {"detection": detector, "pose": pose}
    for task, checkpoint in checkpoints.items():
        if checkpoint and configs[task] is not None:
            raise UsageError(f"{checkpoint} and a config both give the network for {task}")
    if not any([*configs.values(), *checkpoints.values()]):
        raise UsageError("--mode=predict needs --config=FILE, --pose or --detector=CHECKPOINT")
    made = {task: _network(checkpoints[task], configs[task]) for task in configs}
    said = [f"{t} {checkpoints[t] or 'with random weights'}" for t in made if made[t] is not None]
    networks = Networks(made["detection"], made["pose"], people, ", ".join(said))
    if people is None and not detector and not networks.finds_people:
        networks = networks._replace(people=_PEOPLE)
    return networks


def _network(checkpoint: str | None, config: ConfigDict | None) -> Restored | None:
    if checkpoint:
        return restore(checkpoint)
    if config is None:
        return None
    config = config.copy_and_resolve_references().unlock()
    completed(config)
    check_config(config)
    return random_network(config, make_task(config))


def predict_row(
    networks: Networks,
    frames: Frames,
    pose_batch_size: int | None,
    bench: Bench,
    batch_size: int,
    dtype: str,
) -> dict[str, Any]:
    """Frames a second of a stream of frames, and the latency of single pictures."""
    bench.data = f"{frames.words}; {networks.words}"
    options = _options(networks, batch_size, pose_batch_size)
    find = _finder(networks, options, dtype)
    least = _BATCHES * batch_size
    bench.phase("compiling for streams and single pictures")
    with Compilations() as compilations:
        first = _pass(find, frames.some(least), None)
        warm_up = first.seconds["total"] + _pass(find, _one(frames), 1).seconds["total"]
    bench.phase("measuring")
    with Compilations() as later:
        wanted = max(least, bench.budget.calls(_seconds_a_frame(find, frames, least)))
        passes = [_pass(find, frames.some(wanted), None) for _ in range(bench.budget.windows)]
        pictures = _latencies(find, frames, bench.budget)
    windows = tuple(one.seconds["total"] / one.frames for one in passes)
    total = sum(one.frames for one in passes)
    return {
        **speed_figures(Timing(pictures, windows), 1, 1),
        "stages": stage_rates(passes),
        "people_per_frame": sum(one.people for one in passes) / total,
        "frames": total,
        "warm_up_seconds": warm_up,
        "compile_seconds": compilations.seconds,
        "compilations_while_measuring": later.programs,
        "people_per_batch": batch_sizes(options, None).people,
    }


def _options(networks: Networks, batch_size: int, pose_batch_size: int | None) -> Options:
    return Options(
        # As many people as were asked for, however little a random detector thinks of them.
        det_threshold=0.0 if networks.people else Options().det_threshold,
        max_persons=networks.people,
        batch_size=batch_size,
        pose_batch_size=pose_batch_size,
        flip_test=networks.pose is None or bool(networks.pose.config.eval.flip_test),
    )


def stage_rates(passes: list[Pass]) -> dict[str, float]:
    """Frames a second of each stage as if it ran alone; stages that took no time are left out."""
    frames = sum(one.frames for one in passes)
    seconds: dict[str, float] = {}
    for one in passes:
        for stage, value in one.seconds.items():
            seconds[stage] = seconds.get(stage, 0.0) + value
    return {s: frames / value for s, value in seconds.items() if s != "total" and value > 0}


def _finder(networks: Networks, options: Options, dtype: str) -> Finds:
    """(frames, their number or None, clock) -> each frame with the number of its people."""
    detector = networks.detector and _in_dtype(networks.detector, dtype)
    if networks.pose is not None:
        estimator = PoseEstimator(detector, _in_dtype(networks.pose, dtype), options)

        def with_poses(frames, count, clock):
            for frame, result in estimator.stream(frames, count, clock=clock):
                yield frame, len(result.people)

        return with_poses
    assert detector is not None
    functions = detector_functions(
        folded(detector), person_threshold(options, detector.config), options.nms_iou
    )

    def boxes_alone(frames, count, clock):
        sizes = batch_sizes(options, count)
        for pending in Flow(functions, None, sizes, lambda boxes: boxes, clock).run(frames):
            yield pending.frame, 0 if pending.boxes is None else len(pending.boxes.scores)

    return boxes_alone


def _in_dtype(network: Restored, dtype: str) -> Restored:
    config = network.config.copy_and_resolve_references().unlock()
    config.model.dtype = dtype
    return network._replace(config=config)


def _pass(find: Finds, frames: Iterable[Frame], count: int | None) -> Pass:
    speed, people = Speed(), 0
    with DeviceClock() as clock:
        for frame, found in find(frames, count, clock):
            speed.add(frame)
            people += found
    speed.close(clock)
    return Pass(speed.frames, people, dict(speed.seconds))


def _one(frames: Frames) -> list[Frame]:
    stream = frames.some(1)
    try:
        return [next(stream)]
    finally:
        stream.close()  # type: ignore[attr-defined]  # a generator; its threads end now


def _seconds_a_frame(find: Finds, frames: Frames, least: int) -> float:
    if frames.files:
        return 1.0
    one = _pass(find, frames.some(least), None)
    return one.seconds["total"] / one.frames


def _latencies(find: Finds, frames: Frames, budget: Budget) -> tuple[float, ...]:
    """Seconds of single pictures, from the pixels to the joints."""
    picture = _one(frames)
    _pass(find, picture, 1)
    times: list[float] = []
    while len(times) < 3 or (sum(times) < budget.seconds and len(times) < _MOST_PICTURES):
        started = time.perf_counter()
        _pass(find, picture, 1)
        times.append(time.perf_counter() - started)
    return tuple(times)
