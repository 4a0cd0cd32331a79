"""Estimate the people in pictures and videos and write them down."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import jaxpose
from jaxpose.annotations.json_files import write_json
from jaxpose.errors import DataError, UsageError
from jaxpose.inference.bottom_up import is_bottom_up
from jaxpose.inference.device_clock import DeviceClock
from jaxpose.inference.estimator import PoseEstimator
from jaxpose.inference.formats import check_formats
from jaxpose.inference.frames import Frame
from jaxpose.inference.inputs import Camera, Inputs
from jaxpose.inference.options import Options, checked, person_threshold
from jaxpose.inference.own_boxes import with_boxes
from jaxpose.inference.people import FrameResult
from jaxpose.inference.restore import restore
from jaxpose.inference.sources import find_sources
from jaxpose.pipelines.predict_boxes import OwnBoxes
from jaxpose.pipelines.predict_output import Output
from jaxpose.pipelines.predict_report import REPORT, Tally, tell
from jaxpose.pipelines.predict_shard import parse_shard, run_shard
from jaxpose.pipelines.write_behind import write_behind
from jaxpose.zoo.shipped import DEFAULTS, default


def predict(
    inputs: Sequence[str],
    *,
    detector: str | None = None,
    pose: str | None = None,
    boxes: str | None = None,
    webcam: int | None = None,
    output_dir: str = "predictions",
    formats: Sequence[str] = ("coco",),
    save_images: bool = False,
    save_video: bool = False,
    draw_boxes: bool = True,
    draw_labels: bool = True,
    shard: str | None = None,
    **options: Any,
) -> dict[str, Any]:
    """Estimate people and write `<output_dir>/<format>/...`, `images/`, `videos/`, `predict.json`.

    Args:
      inputs: files, folders and patterns, see `sources.find_sources`; none with `webcam`.
      detector, pose: checkpoints, see `jaxpose.restore`; without them those that come with
        jaxpose, where there are some. No detector and no boxes beside a bottom-up network.
      boxes: file of person boxes, see `detection_boxes.read_boxes`, instead of a detector.
      webcam: number of a camera, read until Ctrl-C.
      formats: names of `formats.FORMATS`.
      save_images, save_video: draw on pictures and frames, on videos.
      draw_boxes, draw_labels: draw the people's boxes, write their numbers and scores.
      shard: 'I/N' for process I of N, see `predict_shard.run_shard`; the formats are chosen when
        what they left is merged.
      options: fields of `inference.options.Options`.

    Returns:
      what predict.json holds.

    Raises:
      UsageError: what is given does not fit together. CheckpointError: no intact checkpoint.
      DataError: the boxes cannot be read or are of none of the inputs; a file cannot be written.
      SomeInputsFailedError: after everything was written, where an input could not be read.
    """
    chosen = checked(Options(**options))
    _check(inputs, detector, boxes, webcam, shard)
    check_formats(formats)
    folder = _made(Path(output_dir))
    own = None if boxes is None else OwnBoxes(boxes, person_threshold(chosen))
    source = Inputs(find_sources(inputs)) if webcam is None else Camera(webcam)
    estimator, networks = _estimator(detector, pose, boxes, chosen)
    drawing = {"save_images": save_images, "save_video": save_video}
    drawing |= {"boxes": draw_boxes, "labels": draw_labels}
    if shard is not None and isinstance(source, Inputs):
        return run_shard(shard, folder, source, own, estimator, networks, drawing)
    output = Output(
        folder, formats, estimator.skeleton.joints, chosen.keypoint_threshold, **drawing
    )
    tally, live = Tally(), webcam is not None

    def take(frame: Frame, result: FrameResult) -> None:
        if not frame.whole_input:
            video = source.videos.get(result.video)
            output.add(frame, result, video.usual_rate if video else 0.0)
        tally.add(frame, result)

    estimator.compile_networks(source.known_frames())
    with output, DeviceClock() as clock, suppress(*[KeyboardInterrupt] * live):
        frames = source if own is None else with_boxes(source, own.find)
        stream = estimator.stream(frames, source.known_frames(), output.draws, clock, live)
        write_behind(stream, take, source.expected_frames())
    tally.seconds |= clock.seconds | {"draw": output.draw_seconds}
    used = {"options": estimator.options._asdict(), "networks": networks}
    used |= {"checkpoints": estimator.digests}
    document = tally.document(source.videos, jaxpose=jaxpose.__version__, **used)
    write_json(folder / REPORT, document)
    tell([*output.notes(), *(own.notes() if own else ())], tally, source.videos)
    print(tally.speed(output.drawn))
    print(f"written to {folder}")
    if own is not None and own.useless:
        raise DataError(f"{boxes}: none of the frames is in it, such as {own.without[0]}")
    tally.raise_failures(source.count)
    return document


def _check(
    inputs: Sequence[str],
    detector: str | None,
    boxes: str | None,
    webcam: int | None,
    shard: str | None,
) -> None:
    if shard is not None:
        parse_shard(shard)
        if webcam is not None:
            raise UsageError("--webcam and --shard exclude one another")
    if not inputs and webcam is None:
        raise UsageError("no input: name pictures, videos, folders or patterns, or --webcam=0")
    if inputs and webcam is not None:
        raise UsageError("--webcam and other inputs exclude one another")
    if detector is not None and boxes is not None:
        raise UsageError("--detector and --boxes exclude one another")


def _estimator(
    detector: str | None, pose: str | None, boxes: str | None, options: Options
) -> tuple[PoseEstimator, dict[str, str]]:
    """The estimator, and the networks that it uses by role; says them on the console."""
    named = pose or default("pose")
    network = restore(named)
    networks = {"pose": named}
    if is_bottom_up(network):
        if boxes:
            raise UsageError(f"--boxes has no meaning beside {named}, a bottom-up network")
        found = "no detector, bottom-up network"
    elif boxes:
        found = f"boxes: {boxes}, pose network"
    else:
        networks = {"detector": detector or default("detection")} | networks
        found = f"detector: {networks['detector']}, pose network"
    if detector and "detector" not in networks:
        raise UsageError(f"--detector has no meaning beside {named}, a bottom-up network")
    print(f"{found}: {named}")
    _say_small(networks)
    finder = restore(networks["detector"]) if "detector" in networks else None
    return PoseEstimator(finder, network, options), networks


def _say_small(networks: Mapping[str, str]) -> None:
    if set(networks.values()) & set(DEFAULTS.values()):
        print(
            "note: the networks that come with jaxpose are small and trained on few photographs; "
            "--detector and --pose take others"
        )


def _made(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"--output_dir={folder}: cannot be made: {error.strerror}") from None
    return folder
