"""Estimate the people in pictures and videos and write them down."""

import sys
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

from tqdm import tqdm

import jaxpose
from jaxpose.annotations.json_files import write_json
from jaxpose.errors import DataError, SomeInputsFailedError, UsageError
from jaxpose.inference.detection_boxes import read_boxes
from jaxpose.inference.device_clock import DeviceClock
from jaxpose.inference.estimator import PoseEstimator
from jaxpose.inference.formats import check_formats
from jaxpose.inference.frames import Boxes, Frame
from jaxpose.inference.inputs import Camera, Inputs
from jaxpose.inference.options import Options, checked, person_threshold
from jaxpose.inference.own_boxes import person_boxes, with_boxes
from jaxpose.inference.people import FrameResult
from jaxpose.inference.sources import find_sources
from jaxpose.pipelines.predict_output import Output
from jaxpose.pipelines.predict_report import Tally, video_lines
from jaxpose.zoo.shipped import DEFAULTS, default

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
    draw_boxes: bool = True,
    draw_labels: bool = True,
    **options: Any,
) -> dict[str, Any]:
    """Estimate people and write `<output_dir>/<format>/...`, `images/`, `videos/`, `predict.json`.

    Args:
      inputs: files, folders and patterns, see `sources.find_sources`; none with `webcam`.
      detector, pose: checkpoints, see `jaxpose.restore`; without them those that come with
        jaxpose, where there are some.
      boxes: file of person boxes, see `detection_boxes.read_boxes`, instead of a detector.
      webcam: number of a camera, read until Ctrl-C.
      formats: names of `formats.FORMATS`.
      save_images, save_video: draw on pictures and frames, on videos.
      draw_boxes, draw_labels: draw the people's boxes, write their numbers and scores.
      options: fields of `inference.options.Options`.

    Returns:
      what predict.json holds.

    Raises:
      UsageError: what is given does not fit together. CheckpointError: no intact checkpoint.
      DataError: the boxes cannot be read or are of none of the inputs; a file cannot be written.
      SomeInputsFailedError: after everything was written, where an input could not be read.
    """
    chosen = checked(Options(**options))
    _check(inputs, detector, boxes, webcam)
    check_formats(formats)
    folder = _made(Path(output_dir))
    own = None if boxes is None else OwnBoxes(boxes, person_threshold(chosen))
    source = Inputs(find_sources(inputs)) if webcam is None else Camera(webcam)
    networks = _networks(detector, pose, boxes)
    estimator = PoseEstimator.restore(
        networks.get("detector", False), networks["pose"], **chosen._asdict()
    )
    output = Output(
        folder, formats, estimator.skeleton.joints, chosen.keypoint_threshold,
        save_images=save_images, save_video=save_video, boxes=draw_boxes, labels=draw_labels,
    )  # fmt: skip
    tally, live = Tally(), webcam is not None
    with output, DeviceClock() as clock, suppress(*[KeyboardInterrupt] * live):
        frames = source if own is None else with_boxes(source, own.find)
        count = source.known_frames()
        _write(estimator.stream(frames, count, output.draws, clock, live), output, source, tally)
    tally.seconds |= clock.seconds | {"draw": output.draw_seconds}
    used = {"options": estimator.options._asdict(), "networks": networks}
    used |= {"checkpoints": estimator.digests}
    document = tally.document(source.videos, jaxpose=jaxpose.__version__, **used)
    write_json(folder / REPORT, document)
    _tell([*output.notes(), *(own.notes() if own else ())], tally, source, output)
    print(f"written to {folder}")
    if own is not None and own.useless:
        raise DataError(f"{boxes}: none of the frames is in it, such as {own.without[0]}")
    if tally.errors:
        failed = f"{len(tally.errors)} of {source.count} inputs failed"
        raise SomeInputsFailedError(f"{failed}, see above")
    return document


class OwnBoxes:
    """Boxes of a file, looked up by the names of frames.

    Attributes:
      without: names of the frames that the file does not know.
      useless: whether it knew none of the frames that were asked for.
    """

    def __init__(self, file: str, threshold: float) -> None:
        self._file, self._listed, self._threshold = file, read_boxes(file), threshold
        self._asked, self.without, self._below = 0, list[str](), 0

    @property
    def useless(self) -> bool:
        """See above."""
        return len(self.without) == self._asked > 0

    def find(self, name: str) -> Boxes | None:
        """The boxes of a frame; None where the file does not know it.

        Raises:
          DataError: boxes that are none, or a name that may mean two frames.
        """
        self._asked += 1
        found = self._listed.find(name)
        if found is None:
            self.without.append(name)
            return None
        try:
            boxes = person_boxes(*found)
        except ValueError as error:
            raise DataError(f"{self._file}: {name}: {error}") from None
        self._below += int((boxes.scores < self._threshold).sum())
        return boxes

    def notes(self) -> list[str]:
        """Lines for the console."""
        notes = [*self._listed.notes]
        if self._below:
            below = f"scored below --det_threshold={self._threshold}"
            notes.append(f"boxes left out, {below}: {self._below}")
        if self.without:
            share = f"{len(self.without)} of {self._asked} frames"
            notes.append(f"nobody in {share} without boxes, such as {self.without[0]}")
        return notes


def _check(
    inputs: Sequence[str],
    detector: str | None,
    boxes: str | None,
    webcam: int | None,
) -> None:
    if not inputs and webcam is None:
        raise UsageError("no input: name pictures, videos, folders or patterns, or --webcam=0")
    if inputs and webcam is not None:
        raise UsageError("--webcam and other inputs exclude one another")
    if detector is not None and boxes is not None:
        raise UsageError("--detector and --boxes exclude one another")


def _networks(detector: str | None, pose: str | None, boxes: str | None) -> dict[str, str]:
    """The networks that are used, by role; says so on the console."""
    networks = {} if boxes else {"detector": detector or default("detection")}
    networks["pose"] = pose or default("pose")
    found = f"boxes: {boxes}" if boxes else f"detector: {networks['detector']}"
    print(f"{found}, pose network: {networks['pose']}")
    if set(networks.values()) & set(DEFAULTS.values()):
        print(
            "note: the networks that come with jaxpose are small and trained on few photographs; "
            "--detector and --pose take others"
        )
    return networks


def _made(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"--output_dir={folder}: cannot be made: {error.strerror}") from None
    return folder


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

    waiting: deque[Future[None]] = deque()
    total = source.expected_frames()
    # The pool comes last: it writes what is estimated before an error or Ctrl-C goes on.
    with (
        tqdm(total=total, unit="frame", desc="predict", mininterval=0.5) as progress,
        ThreadPoolExecutor(1) as writer,
    ):
        for one in stream:
            waiting.append(writer.submit(write, *one))
            while len(waiting) > _WRITTEN_AHEAD:
                waiting.popleft().result()
            progress.update()
        for future in waiting:
            future.result()


def _tell(notes: Sequence[str], tally: Tally, source: Inputs | Camera, output: Output) -> None:
    for line in [*notes, *tally.notes(), *video_lines(source.videos)]:
        print(line)
    for error in tally.errors:
        print(f"failed: {error}", file=sys.stderr)
    print(tally.speed(output.drawn))
