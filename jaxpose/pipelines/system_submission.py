"""Estimated people as PoseTrack takes them: one file a video, named as that of the ground truth."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from jaxpose.annotations.posetrack import read_posetrack
from jaxpose.annotations.posetrack17 import write_posetrack17
from jaxpose.annotations.posetrack18 import write_posetrack18
from jaxpose.annotations.schema import AnnotationSet, Frame
from jaxpose.errors import DataError
from jaxpose.evaluation.posetrack import PoseTrackEvaluator
from jaxpose.evaluation.posetrack_files import pair_frames
from jaxpose.evaluation.posetrack_matching import FrameMatch
from jaxpose.inference.joint_slots import JointSlots
from jaxpose.inference.people import FrameResult
from jaxpose.inference.posetrack_results import predicted_frame
from jaxpose.pipelines.system_split import Split, Video

_INCOMPLETE = "incomplete."
_WRITERS = {"posetrack17": write_posetrack17, "posetrack18": write_posetrack18}


class ScoredFrame(NamedTuple):
    """A labelled frame: its video, image file, both annotations, and which joints are right."""

    video: str
    image: Path
    truth: Frame
    found: Frame
    match: FrameMatch


def prediction_file(folder: Path, video: Video) -> Path:
    """File of a video's predictions."""
    return folder / f"{video.file.stem}.json"


def write_predictions(
    folder: Path, split: Split, results: Iterator[FrameResult], slots: JointSlots
) -> None:
    """Write the file of every video, as soon as its last frame is there.

    Frames that are not estimated are written without people, track ids count in each frame.

    Args:
      folder: made if needed.
      results: of the frames of `split.estimated()`, in that order.
      slots: from the network's joints to those of the split's format.

    Raises:
      DataError: a file cannot be written.
    """
    for video in split.videos:
        frames = []
        for index, (frame, image) in enumerate(zip(video.frames, video.images, strict=True)):
            result = FrameResult(frame.filename, frame.width or 0, frame.height or 0, ())
            if image is not None:
                result = next(results)
                assert result.name == frame.filename, "results come in the order of the frames"
            frames.append(predicted_frame(result, slots, video.file.stem, frame.image_id, index))
        _WRITERS[split.dataset](folder, AnnotationSet(split.skeleton, tuple(frames)))


def score_predictions(folder: Path, split: Split) -> tuple[PoseTrackEvaluator, list[ScoredFrame]]:
    """Read all files back, check them as the scorer does, and score the labelled frames.

    Raises:
      DataError: a file is missing, damaged, or does not pair with its ground truth.
    """
    evaluator = PoseTrackEvaluator(split.skeleton, split.skeleton)
    scored = []
    for video in split.videos:
        file = prediction_file(folder, video)
        found = read_posetrack(file).frames
        pairs = pair_frames(video.frames, found, video.file, file)
        for (truth, frame), image in zip(pairs, video.images, strict=True):
            match = evaluator.add(truth, frame)
            if match is not None and image is not None:
                scored.append(ScoredFrame(video.file.stem, image, truth, frame, match))
    return evaluator, scored


@contextmanager
def replaced_folder(folder: Path) -> Iterator[Path]:
    """A new folder to write into, which takes the place of `folder` if all goes well.

    So a run that is interrupted leaves the predictions of the run before it; what a killed one
    left unfinished is removed by the next.

    Raises:
      DataError: the file system refuses.
    """
    staging = folder.with_name(f"{_INCOMPLETE}{os.getpid()}_{folder.name}")
    try:
        _sweep(folder)
        staging.mkdir(parents=True)
        yield staging
        shutil.rmtree(folder, ignore_errors=True)
        staging.rename(folder)
    except OSError as error:
        raise DataError(f"{folder}: cannot be written: {error.strerror or error}") from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _sweep(folder: Path) -> None:
    for remains in folder.parent.glob(f"{_INCOMPLETE}*_{folder.name}"):
        process = remains.name.removeprefix(_INCOMPLETE).partition("_")[0]
        if process.isdecimal() and not _is_running(int(process)):
            shutil.rmtree(remains)


def _is_running(process: int) -> bool:
    try:
        os.kill(process, 0)  # signal 0 asks, and does nothing
    except ProcessLookupError:
        return False
    except PermissionError:  # there, and somebody else's
        return True
    return True
