"""Folders of PoseTrack ground truth and predictions, paired frame by frame as poseval does."""

from collections.abc import Sequence
from pathlib import Path

from jaxpose.annotations.posetrack import SUFFIXES, posetrack_format, read_posetrack
from jaxpose.annotations.posetrack_folder import annotation_files
from jaxpose.annotations.schema import Frame
from jaxpose.errors import DataError
from jaxpose.skeletons import Skeleton

# poseval reserves this many track ids a video.
_TRACK_IDS = 10_000
# Missing videos that an error lists.
_NAMED = 10


def paired_files(ground_truth_dir: str | Path, predictions_dir: str | Path) -> dict[Path, Path]:
    """Prediction file by ground-truth file: those of the same name, in sorted order.

    Predictions are JSON; the ground truth of PoseTrack17 may be .mat files. Further files among the
    predictions are left alone.

    Raises:
      DataError: a folder is missing or holds no such file, or videos are missing (all are named).
    """
    for folder in (ground_truth_dir, predictions_dir):
        if not Path(folder).is_dir():
            raise DataError(f"{folder}: no such folder; give one that holds a JSON file a video")
    truth = annotation_files(ground_truth_dir, SUFFIXES)
    found = {file.stem: file for file in annotation_files(predictions_dir, (".json",))}
    missing = [f"{file.stem}.json" for file in truth if file.stem not in found]
    if missing:
        more = ", ..." if len(missing) > _NAMED else ""
        raise DataError(
            f"{predictions_dir}: {len(missing)} of {len(truth)} videos are missing: "
            f"{', '.join(missing[:_NAMED])}{more}; every ground-truth file needs one of its name"
        )
    return {file: found[file.stem] for file in truth}


def common_format(files: Sequence[Path]) -> Skeleton:
    """Joint set of the one format of all files; raises DataError where they mix two."""
    first = posetrack_format(files[0])
    for file in files[1:]:
        own = posetrack_format(file)
        if own is not first:
            raise DataError(
                f"{file}: is of format {own.name}, {files[0]} of {first.name}; write predictions "
                "in the format of the ground truth"
            )
    return first


def read_pairs(truth_file: Path, found_file: Path) -> list[tuple[Frame, Frame]]:
    """The frames of one video, annotated and predicted, paired by their position.

    Raises:
      DataError: a file is damaged, or what `pair_frames` refuses.
    """
    truth, found = (read_posetrack(file).frames for file in (truth_file, found_file))
    return pair_frames(truth, found, truth_file, found_file)


def pair_frames(
    truth: Sequence[Frame], found: Sequence[Frame], truth_file: Path, found_file: Path
) -> list[tuple[Frame, Frame]]:
    """Like `read_pairs`, of frames that were read from these files.

    Raises:
      DataError: the numbers of frames differ, the same frames come in another order, or a predicted
        person has no track_id, one that is 10,000 or more or that of another.
    """
    if len(truth) != len(found):
        raise DataError(
            f"{found_file}: {len(found)} frames, but {len(truth)} in {truth_file}; every frame "
            "needs an entry, also those without people"
        )
    names, found_names = ([Path(frame.filename).name for frame in both] for both in (truth, found))
    if names != found_names and sorted(names) == sorted(found_names):
        raise DataError(f"{found_file}: its frames come in another order than in {truth_file}")
    for index, frame in enumerate(found):
        _check_tracks(frame, f"{found_file}: frame {index} ({frame.filename})")
    return list(zip(truth, found, strict=True))


def _check_tracks(frame: Frame, where: str) -> None:
    for person in frame.persons:
        if person.track_id < 0 and person.keypoints[:, 2].any():
            raise DataError(
                f"{where}: a person has no track_id; without a tracker write its index in the frame"
            )
        if person.track_id >= _TRACK_IDS:
            raise DataError(f"{where}: track_id {person.track_id} is not below {_TRACK_IDS}")
