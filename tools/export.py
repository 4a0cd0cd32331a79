"""Put the whole estimator into one file: tools/export.py --output=FILE [--detector=DIR --pose=DIR].

The file runs on CPUs, NVIDIA GPUs and TPUs, for any number of frames at once, with nothing but jax
(not older than the one here), NumPy and tools/load_export.py. What is chosen here (thresholds, flip
test, score of a joint) is fixed in the file. `--half` stores parameters in half precision, which
loses nothing of the networks that come with jaxpose.
"""

import time

from absl import flags

from jaxpose.errors import UsageError, run_main

_DETECTOR = flags.DEFINE_string(
    "detector", None, "Checkpoint of the person detector; jaxpose's without."
)
_POSE = flags.DEFINE_string("pose", None, "Checkpoint of the pose network; jaxpose's without.")
_OUTPUT = flags.DEFINE_string("output", None, "File to write, such as people.npz.")
_CANVAS = flags.DEFINE_integer("canvas", 640, "Longest side of the frames it will take, px.")
_HALF = flags.DEFINE_bool(
    "half", False, "Store parameters as float16; exact where the checkpoints do so themselves."
)
_OPTIONS = {
    "det_threshold": flags.DEFINE_float(
        "det_threshold", None, "Least score of a person box; the detector's own without."
    ),
    "nms_iou": flags.DEFINE_float("nms_iou", 0.45, "Boxes overlap better ones no more than this."),
    "max_persons": flags.DEFINE_integer("max_persons", None, "The best so many of a frame."),
    "joint_score": flags.DEFINE_enum(
        "joint_score", "peak_times_box", ["peak_times_box", "peak", "box"], "Score of a joint."
    ),
    "pose_batch_size": flags.DEFINE_integer("pose_batch_size", 8, "People at once."),
    "flip_test": flags.DEFINE_bool("flip_test", True, "Average both mirrorings."),
}


def main(argv: list[str]) -> None:
    """Flags -> one call."""
    if len(argv) > 1 or not _OUTPUT.value:
        raise UsageError("usage: export.py --output=FILE [--detector=DIR --pose=DIR] (see --help)")
    from jaxpose.pipelines.export import export_people
    from jaxpose.zoo.shipped import default

    start = time.perf_counter()
    written = export_people(
        _DETECTOR.value or default("detection"),
        _POSE.value or default("pose"),
        _OUTPUT.value,
        canvas=_CANVAS.value,
        half=_HALF.value,
        **{name: flag.value for name, flag in _OPTIONS.items()},
    )
    seconds = time.perf_counter() - start
    megabytes, kilobytes = written["file_bytes"] / 1e6, written["stablehlo_bytes"] / 1e3
    print(
        f"{_OUTPUT.value}: frames up to {written['canvas']} px, {len(written['joints'])} joints, "
        f"for {', '.join(written['platforms'])}; {megabytes:.1f} MB, of which the function "
        f"{kilobytes:.0f} KB; {seconds:.1f} s"
    )


if __name__ == "__main__":
    run_main(main)
