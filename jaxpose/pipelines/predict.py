"""Estimate the people in pictures and videos and write them down."""

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from tqdm import tqdm

import jaxpose
from jaxpose.annotations.json_files import write_json
from jaxpose.errors import DataError, SomeInputsFailedError, UsageError
from jaxpose.inference.detection_boxes import DetectionBoxes, read_boxes
from jaxpose.inference.device_clock import DeviceClock
from jaxpose.inference.estimator import PoseEstimator
from jaxpose.inference.frames import Boxes, Frame, results_ahead
from jaxpose.inference.inputs import Camera, Inputs
from jaxpose.inference.options import Options, checked
from jaxpose.inference.own_boxes import person_boxes, with_boxes
from jaxpose.inference.people import FrameResult
from jaxpose.inference.sources import find_sources
from jaxpose.pipelines.predict_output import Output
from jaxpose.pipelines.predict_report import Tally, video_lines

REPORT = "predict.json"
# Frames that wait for the thread that draws and writes.
_WRITTEN_AHEAD = 4


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
    **options: Any,
) -> dict[str, Any]:
    """Estimate people and write `<output_dir>/<format>/...`, `images/`, `videos/`, `predict.json`.

    Args:
      inputs: files, folders and patterns, see `sources.find_sources`; none with `webcam`.
      detector, pose: checkpoints, see `jaxpose.restore`.
      boxes: file of person boxes, see `detection_boxes.read_boxes`, instead of a detector.
      webcam: number of a camera, read until Ctrl-C.
      formats: names of `formats.FORMATS`.
      save_images, save_video: draw on pictures and frames, on videos.
      options: fields of `inference.options.Options`.

    Returns:
      what predict.json holds.

    Raises:
      UsageError: what is given does not fit together. CheckpointError: no intact checkpoint.
      DataError: the boxes cannot be read or are of none of the inputs; a file cannot be written.
      SomeInputsFailedError: after everything was written, where an input could not be read.
    """
    chosen = checked(Options(**options))
    _check(inputs, detector, pose, boxes, webcam)
    folder = _made(Path(output_dir))
    listed = None if boxes is None else read_boxes(boxes)
    source = Inputs(find_sources(inputs)) if webcam is None else Camera(webcam)
    estimator = PoseEstimator.restore(detector, pose, **chosen._asdict())
    tally, without_boxes = Tally(), list[str]()
    frames: Iterable[Frame] = source
    if listed is not None:
        frames = with_boxes(source, _finder(listed, str(boxes), without_boxes))
    output = Output(
        folder, formats, estimator.skeleton.joints, chosen.keypoint_threshold,
        save_images=save_images, save_video=save_video,
    )  # fmt: skip
    with output, DeviceClock() as clock:
        stream = estimator.stream(frames, source.known_frames(), output.draws, clock)
        with suppress(*[KeyboardInterrupt] * (webcam is not None)):
            _write(stream, output, source, tally)
    tally.seconds |= clock.seconds | {"draw": output.draw_seconds}
    checkpoints = {"options": chosen._asdict(), "checkpoints": estimator.digests}
    document = tally.document(source.videos, jaxpose=jaxpose.__version__, **checkpoints)
    write_json(folder / REPORT, document)
    notes = [*(listed.notes if listed else ()), *output.notes(), *_boxless(without_boxes, tally)]
    _tell(notes, tally, source, output, folder)
    if without_boxes and len(without_boxes) == tally.frames:
        raise DataError(f"{boxes}: none of the frames is in it, such as {without_boxes[0]}")
    if tally.errors:
        raise SomeInputsFailedError(
            f"{len(tally.errors)} of {source.count} inputs failed, see above"
        )
    return document


def _check(
    inputs: Sequence[str],
    detector: str | None,
    pose: str | None,
    boxes: str | None,
    webcam: int | None,
) -> None:
    if not inputs and webcam is None:
        raise UsageError("no input: name pictures, videos, folders or patterns, or --webcam=0")
    if inputs and webcam is not None:
        raise UsageError("--webcam and other inputs exclude one another")
    if pose is None:
        raise UsageError("--pose=PATH of a pose network's checkpoint is missing")
    if detector is None and boxes is None:
        raise UsageError("--detector=PATH of a checkpoint is missing; or give --boxes=FILE")
    if detector is not None and boxes is not None:
        raise UsageError("--detector and --boxes exclude one another")


def _made(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"--output_dir={folder}: cannot be made: {error.strerror}") from None
    return folder


def _finder(listed: DetectionBoxes, file: str, without: list[str]) -> Callable[[str], Boxes | None]:
    """Looks a frame's boxes up by its name; the names of those that have none go to `without`."""

    def boxes_of(name: str) -> Boxes | None:
        found = listed.find(name)
        if found is None:
            without.append(name)
            return None
        try:
            return person_boxes(*found)
        except ValueError as error:
            raise DataError(f"{file}: {name}: {error}") from None

    return boxes_of


def _write(
    stream: Iterator[tuple[Frame, FrameResult]],
    output: Output,
    source: Inputs | Camera,
    tally: Tally,
) -> None:
    """Write and draw in a thread of its own, while the device goes on."""

    def write(frame: Frame, result: FrameResult) -> None:
        if not frame.whole_input:
            video = source.videos.get(result.video)
            output.add(frame, result, video.usual_rate if video else 0.0)
        tally.add(frame, result)

    calls = (partial(write, *one) for one in stream)
    with tqdm(
        total=source.expected_frames(), unit="frame", desc="predict", mininterval=0.5
    ) as progress:
        for _ in results_ahead(calls, _WRITTEN_AHEAD, 1):
            progress.update()


def _boxless(names: list[str], tally: Tally) -> list[str]:
    if not names:
        return []
    return [f"nobody in {len(names)} of {tally.frames} frames without boxes, such as {names[0]}"]


def _tell(
    notes: Sequence[str], tally: Tally, source: Inputs | Camera, output: Output, folder: Path
) -> None:
    for line in [*notes, *tally.notes(), *video_lines(source.videos)]:
        print(line)
    for error in tally.errors:
        print(f"failed: {error}", file=sys.stderr)
    print(tally.speed(output.drawn))
    print(f"written to {folder}")
