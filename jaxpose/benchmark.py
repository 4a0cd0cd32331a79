"""How fast this machine trains and predicts: `python -m jaxpose.benchmark --config=... --mode=...`.

    input    the input pipeline alone: records to batches, nothing on the device
    step     the training step alone, on one random batch that stays on the device
    train    the real training loop: input and step together
    infer    a network alone, as the estimator runs it (BatchNorm folded into convolutions), on one
             random batch that stays on the device
    predict  the estimator end to end, on drawn frames or on the inputs that are named

step and infer need no data set, predict no checkpoint. `--batch_sizes=1,8,32` and
`--dtypes=float32,bfloat16` measure every combination. `--output=FILE.json` keeps the figures;
`--compare a.json b.json` sets two such files side by side.
"""

from typing import Any

from absl import flags

from jaxpose.config import define_config_flag, loaded_config
from jaxpose.errors import UsageError, run_main

_MODES = ("input", "step", "train", "infer", "predict")
_CONFIG = define_config_flag()
flags.declare_key_flag("config")
_DETECTOR_CONFIG = define_config_flag(
    "detector_config", "predict: configuration of a detector with random weights."
)
flags.declare_key_flag("detector_config")
_MODE = flags.DEFINE_enum("mode", None, _MODES, "What is measured, see above.")
_COMPARE = flags.DEFINE_list("compare", [], "Two files of --output, to compare; nothing is run.")
_OPTIONS: dict[str, flags.FlagHolder] = {
    "batch_sizes": flags.DEFINE_list("batch_sizes", [], "Such as 1,8,32; the config's without."),
    "dtypes": flags.DEFINE_list("dtypes", [], "Such as float32,bfloat16; the config's without."),
    "windows": flags.DEFINE_integer("windows", 5, "Repetitions that the median is of.", 1),
    "seconds": flags.DEFINE_float("seconds", 1.0, "Of a repetition; at least one call.", 0.0),
    "workdir": flags.DEFINE_string(
        "workdir", None, "input, train: where drawn people are; runs/<config name> without."
    ),
    "output": flags.DEFINE_string("output", None, "JSON file of all figures."),
}
_OF_PREDICT = {
    "detector": flags.DEFINE_string("detector", None, "predict: checkpoint of the detector."),
    "pose": flags.DEFINE_string("pose", None, "predict: checkpoint of the pose network."),
    "people": flags.DEFINE_integer(
        "people", None, "predict: people a frame; 5, or whom a checkpoint finds, without.", 1
    ),
    "frame_size": flags.DEFINE_list("frame_size", None, "predict: drawn frames, px; 1280,720."),
    "pose_batch_size": flags.DEFINE_integer(
        "pose_batch_size", None, "predict: people a batch; 32, or 8 on a CPU, without.", 1
    ),
}


def main(argv: list[str]) -> None:
    """Flags -> one call."""
    mode, inputs = _MODE.value, argv[1:]
    if _COMPARE.value or (mode is None and inputs and not _CONFIG.present):
        from jaxpose.pipelines.benchmark_compare import compare

        compare([*_COMPARE.value, *inputs])
        return
    if mode is None:
        raise UsageError(f"--mode={'|'.join(_MODES)} is missing")
    config, name = loaded_config(_CONFIG) if mode != "predict" or _CONFIG.present else (None, "")
    of_predict = {key: flag.value for key, flag in _OF_PREDICT.items() if flag.value is not None}
    if _DETECTOR_CONFIG.present:
        of_predict["detector_config"] = loaded_config(_DETECTOR_CONFIG)[0]
    if inputs:
        of_predict["inputs"] = inputs
    _run(mode, config, name, of_predict)


def _run(mode: str, config: Any, name: str, of_predict: dict[str, Any]) -> None:
    if of_predict and mode != "predict":
        key, value = next(iter(of_predict.items()))
        stranger = f"argument {value[0]!r}" if key == "inputs" else f"--{key}"
        raise UsageError(f"{stranger} is of --mode=predict; it has no meaning for --mode={mode}")
    from jaxpose.pipelines.benchmark import benchmark

    options: dict[str, Any] = {key: flag.value for key, flag in _OPTIONS.items()}
    benchmark(mode, config, name, **options, **of_predict)


if __name__ == "__main__":
    run_main(main)
