"""Tables 6 and 7: result files of somebody's OpenPose scored against PoseTrack's ground truth.

They take the place of the project's own baseline. Nothing tells which network made them, so the
rows hold what the caller says they are.
"""

from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from jaxpose.annotations.json_files import load_json
from jaxpose.annotations.posetrack import SUFFIXES, read_posetrack
from jaxpose.annotations.posetrack_folder import annotation_files
from jaxpose.annotations.schema import AnnotationSet
from jaxpose.errors import DataError
from jaxpose.evaluation import posetrack
from jaxpose.evaluation.posetrack_table import COLUMNS, json_scores
from jaxpose.inference.joint_slots import JointSlots
from jaxpose.inference.openpose import ENDING, read_openpose
from jaxpose.inference.people import FrameResult
from jaxpose.inference.posetrack_results import predicted_frame
from jaxpose.pipelines.table_scores import Cell
from jaxpose.skeletons import POSETRACK17

# Of `jaxpose.predict`, in the folder above its `openpose`.
_OWN_REPORT = "predict.json"
_SLOTS = JointSlots(POSETRACK17.joints, POSETRACK17)
# A frame's sequence, and its name or its number there.
_Place = tuple[str, str | int]


def openpose_cell(folder: Path, truth: Path, head_top: bool = False) -> Cell:
    """Score an OpenPose run.

    Args:
      folder: of `*_keypoints.json` files, one sub-folder a sequence (or `<sequence>_<12 digits>`
        names), or of PoseTrack result files, one a sequence with the name of its ground truth.
      truth: folder of the ground truth, a file a sequence: JSON, or PoseTrack17's .mat.
      head_top: guess the top of the head, which OpenPose's models lack; see `read_openpose`.

    Raises:
      DataError: a folder or file is missing or damaged, or frames have no result.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder; give one of OpenPose's JSON files")
    if any(folder.rglob("*" + ENDING)):
        scores, notes = _score_openpose(folder, truth, head_top)
    else:
        scores, notes = json_scores(posetrack.evaluate(truth, folder)), []
    frames = f"{scores['frames_evaluated']} labelled frames"
    own = ", ".join(f"{role} {digest[:8]}" for role, digest in own_checkpoints(folder).items())
    stand_in = [f"A STAND-IN written by jaxpose.predict, no OpenPose: {own}"] if own else []
    told = (*stand_in, "; ".join([f"{folder}: {frames}", *notes]))
    videos = len(annotation_files(truth, SUFFIXES))
    return Cell({name: scores[name] for name in COLUMNS}, folder, notes=told, videos=videos)


def own_checkpoints(folder: Path) -> Mapping[str, str]:
    """Digests by role where the files were written by `jaxpose.predict`; empty elsewhere."""
    report = folder.parent / _OWN_REPORT
    if not report.is_file():
        return {}
    document = load_json(report)
    return document.get("checkpoints", {}) if isinstance(document, dict) else {}


def _score_openpose(folder: Path, truth: Path, head_top: bool) -> tuple[dict[str, Any], list[str]]:
    results, notes = read_openpose(folder, extrapolate_head_top=head_top)
    places = _places(results, folder)
    sequences = [read_posetrack(file) for file in annotation_files(truth, SUFFIXES)]
    evaluator = posetrack.PoseTrackEvaluator(sequences[0].skeleton, POSETRACK17)
    missing = []
    for sequence in sequences:
        missing += _add_sequence(evaluator, sequence, places)
    if missing:
        raise DataError(
            f"{folder}: no result of {len(missing)} annotated frames, such as {missing[0]}; its "
            f"files must be named SEQUENCE/FRAME{ENDING} or SEQUENCE_<12 digits>{ENDING}"
        )
    return json_scores(evaluator.result()), notes


def _places(results: list[FrameResult], folder: Path) -> dict[_Place, FrameResult]:
    places: dict[_Place, FrameResult] = {}
    for result in results:
        path = PurePosixPath(result.name)
        in_folder = str(path.parent) != "."
        place: _Place = (path.parent.name, path.name) if in_folder else (result.video, result.index)
        if place in places:
            raise DataError(f"{folder}: {result.name} and {places[place].name} are of one frame")
        places[place] = result
    return places


def _add_sequence(
    evaluator: posetrack.PoseTrackEvaluator,
    sequence: AnnotationSet,
    places: Mapping[_Place, FrameResult],
) -> list[str]:
    """Add the annotated frames; the names of those without a result."""
    missing = []
    for index, truth in enumerate(sequence.frames):
        if not truth.persons:
            continue
        path = PurePosixPath(truth.filename)
        result = places.get((path.parent.name, path.stem)) or places.get((path.parent.name, index))
        if result is None:
            missing.append(truth.filename)
            continue
        evaluator.add(truth, predicted_frame(result, _SLOTS, truth.video_id, truth.image_id, index))
    return missing
