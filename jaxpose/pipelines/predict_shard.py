"""What one of several processes does of a run: `predict --shard=I/N`."""

import re
import shutil
import uuid
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import jaxpose
from jaxpose.errors import UsageError
from jaxpose.inference.device_clock import DeviceClock
from jaxpose.inference.estimator import PoseEstimator
from jaxpose.inference.frames import Boxes, Frame
from jaxpose.inference.inputs import Inputs
from jaxpose.inference.own_boxes import with_boxes
from jaxpose.inference.people import FrameResult
from jaxpose.inference.sources import Source
from jaxpose.inference.video import VideoReport
from jaxpose.pipelines.predict_boxes import OwnBoxes
from jaxpose.pipelines.predict_output import Output
from jaxpose.pipelines.predict_parts import PARTS, Part, Parts, cut_parts, digest
from jaxpose.pipelines.predict_report import Tally, tell
from jaxpose.pipelines.write_behind import write_behind


def parse_shard(text: str) -> tuple[int, int]:
    """'3/16' as (3, 16): the process 3 of the processes 0 to 15.

    Raises:
      UsageError: another form, or no such process.
    """
    match = re.fullmatch(r"(\d{1,6})/(\d{1,6})", text, re.ASCII)
    index, count = (int(match[1]), int(match[2])) if match else (0, 0)
    if index >= count:
        raise UsageError(f"--shard={text}: write I/N, process I of N, with I from 0 to N - 1")
    return index, count


def run_shard(
    shard: str,
    folder: Path,
    source: Inputs,
    own: OwnBoxes | None,
    estimator: PoseEstimator,
    networks: dict[str, str],
    drawing: dict[str, bool],
) -> dict[str, Any]:
    """Estimate the parts of process I of N, `shard` being 'I/N', that are not finished.

    All processes need the same inputs and options, and one folder that all of them see. They do not
    wait for one another: each may run, die and be started again when it likes, with another N too.
    An input that cannot be read is no error here, since whoever starts processes would start this
    one again; `predict_merge.merge` ends with it.

    Args:
      folder: output folder; the parts go into its folder `parts`.
      drawing: options of `Output`.

    Returns:
      as predict.json, of the parts that were done now.

    Raises:
      UsageError: the folder holds parts of another run. DataError: a file cannot be written.
    """
    joints, options = estimator.skeleton.joints, estimator.options
    named = [(one.name, one.is_video) for one in source.sources]
    run = {
        "jaxpose": jaxpose.__version__,
        "inputs": {"count": source.count, "sha256": digest(named)},
        "boxes": own.digest if own else "",
        "options": options._asdict(),
        "checkpoints": estimator.digests,
        "joints": list(joints),
        "drawing": drawing,
    }
    sources = cut_parts(source.sources)
    store = Parts.begin(folder / PARTS, len(sources), run, networks)

    def output(folder: Path) -> Output:
        return Output(folder, (), joints, options.keypoint_threshold, **drawing)

    with DeviceClock() as clock:
        mine = Shard(store, sources, *parse_shard(shard), clock, output)
        if mine.left:
            estimator.compile_networks(source.known_frames())
        frames, draws = mine.frames(own.find if own else None), output(folder).draws
        stream = estimator.stream(frames, source.known_frames(), draws, clock)
        write_behind(stream, mine.take, mine.expected_frames())
        mine.finish()
    mine.tally.seconds |= clock.seconds
    tell(own.notes() if own else (), mine.tally, mine.videos)
    print(mine.tally.speed(mine.drawn))
    print(f"written to {store.folder}; after all shards: --merge --output_dir={folder}")
    return mine.tally.document(mine.videos)


class Shard:
    """Every N-th part of a run, without those that are finished.

    Args:
      store: the parts of the run.
      sources: of each part of the run.
      index, count: number of this process, and of processes.
      clock: of the device.
      output: folder -> what draws into it.

    Attributes:
      left: numbers of the parts to do.
      tally: of the frames that were done.
      videos: how much of each was read.
      drawn: frames that were drawn.
    """

    def __init__(
        self,
        store: Parts,
        sources: Sequence[Sequence[Source]],
        index: int,
        count: int,
        clock: DeviceClock,
        output: Callable[[Path], Output],
    ) -> None:
        mine = range(index, len(sources), count)
        self.left = store.missing(mine)
        self.tally, self.videos, self.drawn = Tally(), dict[str, VideoReport](), 0
        self._store, self._sources, self._clock, self._output = store, sources, clock, output
        self._marks: deque[int] = deque()
        self._number = -1
        finished = len(mine) - len(self.left)
        shares = f"{len(mine)} of {len(sources)} parts, {finished} of them finished before"
        print(f"shard {index} of {count}: {shares}")

    def expected_frames(self) -> int:
        """Number of frames by the headers of the videos, for a progress bar."""
        return sum(Inputs(self._sources[number]).expected_frames() for number in self.left)

    def frames(self, own_boxes: Callable[[str], Boxes | None] | None) -> Iterator[Frame]:
        """The frames of the parts to do; `take` must get all of them, in this order."""
        for number in self.left:
            inputs = Inputs(self._sources[number])
            for frame in inputs if own_boxes is None else with_boxes(inputs, own_boxes):
                self._marks.append(number)
                self.videos |= inputs.videos
                yield frame

    def take(self, frame: Frame, result: FrameResult) -> None:
        """Take the next frame with its result; a part is written when one of the next comes.

        Raises:
          DataError: a file cannot be written.
        """
        number = self._marks.popleft()
        if number != self._number:
            self.finish()
            self._begin(number)
        if not frame.whole_input:
            video = self.videos.get(result.video)
            self._drawing.add(frame, result, video.usual_rate if video else 0.0)
        self.tally.add(frame, result)
        self._frames.append((frame._replace(image=None, boxes=None), result))

    def finish(self) -> None:
        """Write the part whose frames have come; DataError where it cannot be written."""
        if self._number < 0:
            return
        with self._drawing:
            pass  # which completes its video
        if self._place.is_dir():
            shutil.rmtree(self._store.drawn(self._number), ignore_errors=True)
            self._place.rename(self._store.drawn(self._number))
        drawing = self._drawing.draw_seconds
        busy = {k: v - self._busy.get(k, 0.0) for k, v in dict(self._clock.seconds).items()}
        names = {source.name for source in self._sources[self._number]}
        videos = tuple(video for name, video in self.videos.items() if name in names)
        self._store.write(self._number, Part(tuple(self._frames), videos, busy | {"draw": drawing}))
        self.tally.seconds["draw"] += drawing
        self.drawn += self._drawing.drawn

    def _begin(self, number: int) -> None:
        self._number, self._frames = number, list[tuple[Frame, FrameResult]]()
        self._busy = dict(self._clock.seconds)
        # A place of its own: two processes that draw one part must not share a file.
        self._place = self._store.folder / f".{number:06d}_{uuid.uuid4().hex}"
        self._drawing = self._output(self._place)
