"""Score one network by its records, or detector and pose network together on a PoseTrack split.

python -m jaxpose.evaluate --workdir=runs/quickstart
python -m jaxpose.evaluate --detector=runs/ssd300_coco --pose=runs/hourglass_mpii_posetrack \
    --frames=FOLDER_OF_POSETRACK
A bottom-up network as --pose is the whole system, without a detector.
"""

from collections.abc import Mapping
from typing import Any

from absl import flags

from jaxpose.errors import UsageError, run_main

_OF_BOTH = {
    "split": flags.DEFINE_string(
        "split", None, "Split to score; the run's own, of the system validation without."
    ),
    "dataset": flags.DEFINE_string(
        "dataset", None, "Data set to score; the config's, or that of the files, without."
    ),
    "flip_test": flags.DEFINE_bool(
        "flip_test", None, "Average both mirrorings; as the run, of the system on without."
    ),
    "batch_size": flags.DEFINE_integer(
        "batch_size", None, "Persons or frames a batch; as the run, of the system 8 or 4, without."
    ),
    "output_dir": flags.DEFINE_string(
        "output_dir",
        None,
        "Folder of all that is written; that of the run or pose network without.",
    ),
}
_WORKDIR = flags.DEFINE_string("workdir", None, "One network: its training run's folder, or file.")
_OF_NETWORK = {
    "step": flags.DEFINE_integer("step", None, "Step to score; the best one, else the newest."),
    "data_dir": flags.DEFINE_string("data_dir", None, "Folder of built records; as the run."),
    "distributed": flags.DEFINE_enum(
        "distributed", None, ["off", "auto"], "auto: one of the processes of a job; off without."
    ),
    "source": flags.DEFINE_enum("source", None, ["records", "shards"], "Format; as the run."),
    "score_thresholds": flags.DEFINE_list(
        "score_thresholds", None, "Of a detector's sweep, such as 0.15,0.3,0.5; as the run."
    ),
    "rule": flags.DEFINE_enum("rule", None, ["11point", "area"], "Of VOC AP; as the run."),
    "iou_threshold": flags.DEFINE_float("iou_threshold", None, "Of VOC AP; as the run."),
    "plus_one": flags.DEFINE_bool("plus_one", None, "VOC boxes: widths + 1; as the run."),
    "inclusive": flags.DEFINE_bool(
        "inclusive", None, "An IoU equal to VOC's threshold matches; as the run."
    ),
    "difficult": flags.DEFINE_enum(
        "difficult", None, ["ignore", "count"], "VOC's difficult boxes; as the run."
    ),
}
_POSE = flags.DEFINE_string("pose", None, "The system: checkpoint of the pose network.")
_OF_SYSTEM = {
    "frames": flags.DEFINE_string("frames", None, "Folder of PoseTrack's original files."),
    "detector": flags.DEFINE_string("detector", None, "Checkpoint of the person detector."),
    "boxes": flags.DEFINE_enum(
        "boxes", None, ["detector", "ground_truth"], "Where poses are looked for; detector without."
    ),
    "scales": flags.DEFINE_list("scales", None, "That a bottom-up network averages over; 1."),
    "detections": flags.DEFINE_string(
        "detections", None, "File of the detector's boxes; detections.json of the output folder."
    ),
    "det_threshold": flags.DEFINE_float(
        "det_threshold", None, "Least score of a box; the detector's own without."
    ),
    "nms_iou": flags.DEFINE_float("nms_iou", None, "Boxes overlap better ones no more; 0.45."),
    "max_persons": flags.DEFINE_integer("max_persons", None, "The best so many of a frame; all."),
    "joint_score": flags.DEFINE_enum(
        "joint_score", None, ["peak_times_box", "peak", "box"], "Score of a joint; peak_times_box."
    ),
    "keypoint_threshold": flags.DEFINE_float(
        "keypoint_threshold", None, "Joints scored lower are not written; 0."
    ),
    "oks_nms": flags.DEFINE_float("oks_nms", None, "Poses resemble better ones no more; any."),
    "pose_batch_size": flags.DEFINE_integer("pose_batch_size", None, "People a batch; 32 or 8."),
}


def main(argv: list[str]) -> None:
    """Flags -> one call."""
    if len(argv) > 1:
        raise UsageError(f"unexpected argument {argv[1]!r}; flags start with --")
    network, system = _given(_OF_NETWORK), _given(_OF_SYSTEM)
    if _WORKDIR.value is not None:
        _refuse(
            {"pose": _POSE.value, **system}, "the system", "--workdir, which scores one network"
        )
        from jaxpose.pipelines.evaluate import evaluate

        if "score_thresholds" in network:
            network["score_thresholds"] = _thresholds(network["score_thresholds"])
        evaluate(_WORKDIR.value, **_given(_OF_BOTH), **network)
        return
    if _POSE.value is None:
        missing = "--pose=DIR of the system, or --workdir=DIR of a training run, is missing"
        raise UsageError(missing)
    _refuse(network, "one network", "--pose, which scores the system")
    if "frames" not in system:
        raise UsageError("--frames=FOLDER of PoseTrack's original files is missing")
    from jaxpose.inference.options import numbers
    from jaxpose.pipelines.evaluate_system import evaluate_system

    if "scales" in system:
        system["scales"] = numbers("scales", system["scales"])
    evaluate_system(pose=_POSE.value, **_given(_OF_BOTH), **system)


def _given(holders: Mapping[str, Any]) -> dict[str, Any]:
    return {name: flag.value for name, flag in holders.items() if flag.value is not None}


def _refuse(given: Mapping[str, Any], whose: str, beside: str) -> None:
    strangers = [name for name, value in given.items() if value is not None]
    if strangers:
        raise UsageError(f"--{strangers[0]} is of {whose}; it has no meaning beside {beside}")


def _thresholds(texts: list[str]) -> list[float]:
    try:
        values = [float(text) for text in texts]
    except ValueError:
        values = []
    if not values or not all(0 <= value < 1 for value in values):
        given = ",".join(texts)
        raise UsageError(f"--score_thresholds={given!r}: give numbers from 0 to below 1")
    return values


if __name__ == "__main__":
    run_main(main)
