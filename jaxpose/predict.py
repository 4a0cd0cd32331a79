"""People in pictures and videos: `python -m jaxpose.predict INPUT... --detector=DIR --pose=DIR`.

INPUT is a picture (JPEG, PNG), a video, a folder of them, or a pattern such as 'photos/*.jpg'. A
checkpoint is a training run's folder, a file, a name of `jaxpose.zoo.list()`, or a URL (hf://,
https://, gs://). A bottom-up network as --pose finds people itself, without a detector.

Several processes share the inputs of a large run: the same command with --shard=0/16 to
--shard=15/16, in any order and again after a failure, then --merge --output_dir=DIR once.
"""

from absl import flags

from jaxpose.errors import UsageError, run_main

_DETECTOR = flags.DEFINE_string("detector", None, "Checkpoint of the person detector.")
_POSE = flags.DEFINE_string("pose", None, "Checkpoint of the pose network.")
_BOXES = flags.DEFINE_string("boxes", None, "JSON of person boxes, instead of a detector.")
_WEBCAM = flags.DEFINE_integer("webcam", None, "Number of a camera, instead of inputs.")
_OUTPUT_DIR = flags.DEFINE_string("output_dir", "predictions", "Folder of all that is written.")
_FORMAT = flags.DEFINE_list("format", "coco", "coco, openpose, posetrack17, posetrack18.")
_SAVE_IMAGES = flags.DEFINE_bool("save_images", False, "Draw on pictures and video frames.")
_SAVE_VIDEO = flags.DEFINE_bool("save_video", False, "Draw on videos.")
_DRAW_BOXES = flags.DEFINE_bool("draw_boxes", True, "Draw people's boxes.")
_DRAW_LABELS = flags.DEFINE_bool("draw_labels", True, "Write people's numbers and scores.")
_SCALES = flags.DEFINE_list("scales", ["1"], "Scales that a bottom-up network averages over.")
_SHARD = flags.DEFINE_string("shard", None, "I/N: do the share of process I of N, from 0.")
_MERGE = flags.DEFINE_bool("merge", False, "Join what all shards left in --output_dir.")
# What --merge knows from the shards.
_OF_SHARDS = ("detector", "pose", "boxes", "webcam", "save_images", "save_video", "draw_boxes",
              "draw_labels", "shard")  # fmt: skip
_OPTIONS = {
    "det_threshold": flags.DEFINE_float(
        "det_threshold",
        None,
        "Least score of a person box; the detector's own without, 0.15 of own boxes.",
    ),
    "nms_iou": flags.DEFINE_float("nms_iou", 0.45, "Boxes overlap better ones no more than this."),
    "max_persons": flags.DEFINE_integer("max_persons", None, "The best so many of a frame."),
    "joint_score": flags.DEFINE_enum(
        "joint_score", "peak_times_box", ["peak_times_box", "peak", "box"], "Score of a joint."
    ),
    "keypoint_threshold": flags.DEFINE_float(
        "keypoint_threshold", 0.0, "Joints scored lower are neither written nor drawn."
    ),
    "oks_nms": flags.DEFINE_float("oks_nms", None, "Poses resemble better ones no more than this."),
    "batch_size": flags.DEFINE_integer("batch_size", None, "Frames a batch; 8, or 4 on a CPU."),
    "pose_batch_size": flags.DEFINE_integer(
        "pose_batch_size", None, "People a batch; 32, or 8 on a CPU."
    ),
    "flip_test": flags.DEFINE_bool(
        "flip_test", True, "Average both mirrorings, in twice the time."
    ),
}


def main(argv: list[str]) -> None:
    """Flags -> one call."""
    if _MERGE.value:
        _merge(argv[1:])
        return
    from jaxpose.inference.options import numbers
    from jaxpose.pipelines.predict import predict

    predict(
        argv[1:],
        detector=_DETECTOR.value,
        pose=_POSE.value,
        boxes=_BOXES.value,
        webcam=_WEBCAM.value,
        output_dir=_OUTPUT_DIR.value,
        formats=_FORMAT.value,
        save_images=_SAVE_IMAGES.value,
        save_video=_SAVE_VIDEO.value,
        draw_boxes=_DRAW_BOXES.value,
        draw_labels=_DRAW_LABELS.value,
        shard=_SHARD.value,
        scales=numbers("scales", _SCALES.value),
        **{name: flag.value for name, flag in _OPTIONS.items()},
    )


def _merge(inputs: list[str]) -> None:
    given = [f"--{name}" for name in (*_OF_SHARDS, *_OPTIONS) if flags.FLAGS[name].present]
    if inputs or given:
        first = (inputs + given)[0]
        raise UsageError(f"{first}: --merge takes --output_dir and --format alone, no {first}")
    from jaxpose.pipelines.predict_merge import merge

    merge(_OUTPUT_DIR.value, _FORMAT.value)


if __name__ == "__main__":
    run_main(main)
