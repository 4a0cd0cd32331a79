"""Score detector and pose network together on a PoseTrack split, as the challenge does.

Or a bottom-up network alone, which finds people by itself.
"""

import json
from pathlib import Path
from typing import Any

from tqdm import tqdm

from jaxpose.errors import UsageError
from jaxpose.evaluation.posetrack import PoseTrackEvaluator
from jaxpose.evaluation.posetrack_table import json_scores, latex_rows, text_table
from jaxpose.inference.bottom_up import is_bottom_up
from jaxpose.inference.device_clock import DeviceClock
from jaxpose.inference.estimator import PoseEstimator
from jaxpose.inference.joint_slots import JointSlots
from jaxpose.inference.options import Options, checked, in_effect
from jaxpose.inference.own_boxes import with_boxes
from jaxpose.inference.restore import Restored, restore
from jaxpose.pipelines.system_boxes import PersonBoxes, annotated_boxes, detected_boxes
from jaxpose.pipelines.system_page import system_page
from jaxpose.pipelines.system_protocol import (
    BOX_SOURCES,
    NO_BOXES,
    network_block,
    run_folder,
    run_name,
    system_protocol,
)
from jaxpose.pipelines.system_speed import Speed
from jaxpose.pipelines.system_split import DATASETS, FOLDERS, Split, decoded_frames, read_split
from jaxpose.pipelines.system_submission import (
    ScoredFrame,
    replaced_folder,
    score_predictions,
    write_predictions,
)
from jaxpose.training.workdir import write_atomic
from jaxpose.zoo.finding import is_path

SCORES, PAGE, PROTOCOL = "scores.json", "report.html", "protocol.json"
DETECTIONS, PREDICTIONS = "detections.json", "predictions"


def evaluate_system(
    *,
    pose: str,
    frames: str,
    detector: str | None = None,
    dataset: str | None = None,
    split: str = "validation",
    boxes: str | None = None,
    output_dir: str | None = None,
    detections: str | None = None,
    **options: Any,
) -> dict[str, Any]:
    """Estimate the people of a split, write the result files, and score them against the truth.

    Writes into the output folder `predictions/<ground-truth file>.json`, `scores.json` and
    `report.html`, and the detector's boxes as `detections.json`: a run with the same detector takes
    them from there. Without ground truth there are no scores and `protocol.json` in their place.

    Args:
      pose, detector: checkpoints, see `jaxpose.restore`; no detector with `ground_truth`.
      frames: folder of the data set's original files, see `read_split`.
      dataset: `posetrack17` or `posetrack18`; whichever the files are of without it.
      split: `train`, `validation` or `test`.
      boxes: `detector` or `ground_truth`; the detector's without. With a bottom-up network as
        `pose` there are none, and neither detector nor detections.
      output_dir: by default `eval_<data set>_<split>_<boxes>` in the pose network's folder;
        needed for a pose network of the package or of a URL.
      detections: file of the detector's boxes, where several output folders share it.
      options: fields of `inference.options.Options`.

    Returns:
      what scores.json holds: `Head` .. `Total`, per-joint `ap`, `precision` and `recall`, counts,
      `speed` and `protocol`; without ground truth the last two.

    Raises:
      UsageError: what is given does not fit together. DataError: annotations or images are missing
        or damaged, or predictions cannot be written. CheckpointError: no intact checkpoint.
    """
    chosen = checked(Options(**options))
    _check(dataset, split, boxes)
    network = restore(pose)
    boxes = _box_source(network, boxes, detector, detections)
    data = read_split(frames, dataset, split)
    finder = detector if boxes == "detector" else None
    found = restore(finder) if finder else None
    chosen = in_effect(chosen, found and found.config)
    estimator = PoseEstimator(None, network, chosen)  # refuses another task before anything runs
    folder = _made(output_dir or _default_folder(pose, data, run_name(finder) if finder else boxes))
    if finder and found:
        file = Path(detections or folder / DETECTIONS)
        chosen_boxes = detected_boxes(data, finder, found, file, chosen)
    else:
        chosen_boxes = PersonBoxes(None) if boxes == NO_BOXES else annotated_boxes(data)
    slots = JointSlots(estimator.skeleton.joints, data.skeleton, chosen.keypoint_threshold)
    unused = (
        "--detector is not used with boxes of the ground truth" if detector and not finder else ""
    )
    for line in filter(None, [*data.notes, unused, chosen_boxes.note, _joints_note(slots)]):
        print(line)
    with replaced_folder(folder / PREDICTIONS) as staging:
        speed = _estimate(staging, data, estimator, chosen_boxes, slots)
        evaluator, scored = score_predictions(staging, data)
        for stale in (SCORES, PAGE, PROTOCOL):
            (folder / stale).unlink(missing_ok=True)
    print(speed.line("poses"))
    protocol = system_protocol(
        data, slots, boxes, network_block(pose, network, chosen.scales), chosen,
        chosen_boxes.detector, chosen_boxes.protocol,
    )  # fmt: skip
    report = {"speed": _speeds(chosen_boxes.speed, speed), "protocol": protocol}
    if data.labelled:
        return _write_scores(folder, data, evaluator, scored, report)
    return _write_protocol(folder, data, report)


def _joints_note(slots: JointSlots) -> str:
    """Joints without a slot and slots without a joint; ears are in PoseTrack18's files only."""
    return slots.note(absent="not written", without=("left_ear", "right_ear"))


def _check(dataset: str | None, split: str, boxes: str | None) -> None:
    choices = (("dataset", dataset, (None, *DATASETS)), ("split", split, FOLDERS))
    for name, value, known in (*choices, ("boxes", boxes, (None, *BOX_SOURCES))):
        if value not in known:
            raise UsageError(f"--{name}={value}: choose one of {', '.join(filter(None, known))}")


def _box_source(
    network: Restored, boxes: str | None, detector: str | None, detections: str | None
) -> str:
    """Of `BOX_SOURCES`, or `NO_BOXES`; UsageError for what the network has no use for."""
    if is_bottom_up(network):
        given = {"detector": detector, "boxes": boxes, "detections": detections}
        for name in (name for name, value in given.items() if value is not None):
            raise UsageError(f"--{name} has no meaning: --pose is a bottom-up network")
        return NO_BOXES
    if boxes != "ground_truth" and detector is None:
        raise UsageError("--detector=PATH of a checkpoint is missing; or give --boxes=ground_truth")
    return boxes or "detector"


def _default_folder(pose: str, data: Split, boxes: str) -> str:
    if not is_path(pose):
        raise UsageError(f"--output_dir is needed beside the pose network {pose}")
    return str(Path(run_folder(pose)) / f"eval_{data.dataset}_{data.name}_{boxes}")


def _made(folder: str) -> Path:
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"--output_dir={folder}: cannot be made: {error.strerror}") from None
    return Path(folder)


def _estimate(
    folder: Path, data: Split, estimator: PoseEstimator, boxes: PersonBoxes, slots: JointSlots
) -> Speed:
    """Write the predictions of every video into the folder."""
    jobs = data.estimated()
    frames = decoded_frames(jobs)
    if boxes.by_name is not None:
        frames = with_boxes(frames, boxes.by_name.get)
    speed = Speed()
    with DeviceClock() as clock, tqdm(total=len(jobs), unit="frame", desc="pose") as progress:

        def results():
            for frame, result in estimator.stream(frames, len(jobs), clock=clock):
                speed.add(frame)
                progress.update()
                yield result

        write_predictions(folder, data, results(), slots)
    speed.close(clock)
    return speed


def _speeds(detection: Speed | None, poses: Speed) -> dict[str, Any]:
    """Frames and seconds of each stage; no detection where its boxes were there already."""
    return {
        "frames": poses.frames,
        "detection_seconds": detection and detection.rounded(),
        "pose_seconds": poses.rounded(),
    }


def _write_scores(
    folder: Path,
    data: Split,
    evaluator: PoseTrackEvaluator,
    scored: list[ScoredFrame],
    report: dict[str, Any],
) -> dict[str, Any]:
    scores = evaluator.result()
    document = json_scores(scores) | report
    write_atomic(folder / SCORES, json.dumps(document, indent=2))
    for line in [*text_table(scores), "", *latex_rows(scores)]:
        print(line)
    if scores["gt_persons_without_head"]:
        print(f"{scores['gt_persons_without_head']} annotated people have no head box: no match")
    page = system_page(document, evaluator.curves(), scored, data.skeleton)
    write_atomic(folder / PAGE, page)
    print(f"{SCORES}, {PAGE} and {PREDICTIONS} written to {folder}")
    return document


def _write_protocol(folder: Path, data: Split, report: dict[str, Any]) -> dict[str, Any]:
    write_atomic(folder / PROTOCOL, json.dumps(report, indent=2))
    print(f"no ground truth in the {data.name} split: nothing was scored")
    print(f"{len(data.videos)} result files and {PROTOCOL} written to {folder}")
    return report
