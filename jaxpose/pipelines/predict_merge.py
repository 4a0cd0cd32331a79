"""Join what the shards of a run left into the result files that one process would have written."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jaxpose
from jaxpose.annotations.json_files import write_json
from jaxpose.errors import DataError
from jaxpose.inference.formats import ResultFiles, check_formats
from jaxpose.inference.people import FrameResult
from jaxpose.inference.result_names import ResultNames
from jaxpose.inference.video import VideoReport
from jaxpose.pipelines.predict_output import IMAGES, VIDEOS, image_file, video_file
from jaxpose.pipelines.predict_parts import PARTS, Parts
from jaxpose.pipelines.predict_report import REPORT, Tally, tell

_EXAMPLES = 5


def merge(output_dir: str = "predictions", formats: Sequence[str] = ("coco",)) -> dict[str, Any]:
    """Join the parts in a folder: result files, drawn pictures and videos, and `predict.json`.

    The writers get the same frames in the same order as in a run of one process, so they write the
    same files. The parts stay, so that a merge that was stopped can be started again, and one into
    other formats needs no network; drawn files are moved.

    Returns:
      what predict.json holds; its seconds are sums over the processes.

    Raises:
      DataError: parts are missing or damaged, or a file cannot be written. UsageError: an unknown
        format. SomeInputsFailedError: after everything was written, where an input failed.
    """
    check_formats(formats)
    folder = Path(output_dir)
    store = Parts.find(folder / PARTS)
    _check_whole(store)
    options = store.run["options"]
    joints, threshold = tuple(store.run["joints"]), options["keypoint_threshold"]
    tally, videos = Tally(), dict[str, VideoReport]()
    with ResultFiles(folder, formats, joints, threshold) as files:
        for number in range(store.count):
            _join(store, number, folder, files, tally, videos)
    used = {key: store.run[key] for key in ("options", "checkpoints")}
    document = tally.document(videos, jaxpose=jaxpose.__version__, networks=store.networks, **used)
    write_json(folder / REPORT, document)
    tell(files.notes, tally, videos)
    print(f"{store.count} parts merged into {folder}")
    tally.raise_failures(store.run["inputs"]["count"])
    return document


def _check_whole(store: Parts) -> None:
    missing = store.missing(range(store.count))
    if missing:
        names = ", ".join(store.path(number).name for number in missing[:_EXAMPLES])
        more = ", ..." if len(missing) > _EXAMPLES else ""
        raise DataError(
            f"{store.folder}: {len(missing)} of {store.count} parts are not finished ({names}"
            f"{more}); run the shards again, they do what is missing"
        )


def _join(
    store: Parts,
    number: int,
    folder: Path,
    files: ResultFiles,
    tally: Tally,
    videos: dict[str, VideoReport],
) -> None:
    """Hand the frames of a part to the writers, and move what was drawn of them."""
    part, names = store.read(number), ResultNames()
    drawn = store.drawn(number)
    for frame, result in part.frames:
        if not frame.whole_input:
            named = files.add(result)
            _move(drawn, names.unique(result), folder, named)
        tally.add(frame, result)
    videos |= {video.name: video for video in part.videos}
    for stage, seconds in part.seconds.items():
        tally.seconds[stage] += seconds


def _move(drawn: Path, here: FrameResult, folder: Path, there: FrameResult) -> None:
    """Move the drawn picture of a frame, and the drawn video with its first one."""
    pairs = [(image_file(drawn / IMAGES, here.name), image_file(folder / IMAGES, there.name))]
    if here.video:
        old, new = video_file(drawn / VIDEOS, here.video), video_file(folder / VIDEOS, there.video)
        pairs.append((old, new))
    for old, new in pairs:
        if not old.is_file():
            continue  # not drawn, or moved already
        try:
            new.parent.mkdir(parents=True, exist_ok=True)
            old.replace(new)
        except OSError as error:
            raise DataError(f"{new}: cannot be written: {error.strerror}") from None
