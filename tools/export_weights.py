"""Put a trained network into one file: python tools/export_weights.py runs/quickstart pose.npz.

`jaxpose.restore("pose.npz")` takes it like a workdir. `--half` stores parameters in half precision.
`--dtype=float32` for a network trained in bfloat16, which few CPUs compute fast.
Paths of this machine do not go into the file: of base weights and the like only the last part.
A detector's file has the threshold of its people, `detect.person_threshold`, from the run's config;
`--person_threshold=0.4` puts another there, such as tools/choose_threshold.py told after training.
"""

from pathlib import Path

from absl import flags

from jaxpose.config import with_dtype, with_person_threshold, without_paths
from jaxpose.errors import UsageError, run_main
from jaxpose.inference.restore import config_text
from jaxpose.training.weight_file import write_weight_file
from jaxpose.training.weights import load_weights

_STEP = flags.DEFINE_integer("step", None, "Training step; the best one, else the newest, without.")
_THRESHOLD = flags.DEFINE_float(
    "person_threshold", None, "A detector's least score of a person; as the run without.", 0.0, 1.0
)
_HALF = flags.DEFINE_bool("half", False, "Store parameters as float16.")
_DTYPE = flags.DEFINE_enum(
    "dtype", None, ["float32", "bfloat16"], "Type that the network computes in; the run's without."
)


def main(argv: list[str]) -> None:
    """Checkpoint -> file."""
    if len(argv) != 3:
        raise UsageError(
            "usage: export_weights.py WORKDIR FILE.npz [--step=N] [--half] (see --help)"
        )
    workdir, file = argv[1:]
    text = without_paths(config_text(workdir))
    if _THRESHOLD.value is not None:
        text = with_person_threshold(text, _THRESHOLD.value)
    weights = load_weights(workdir, step=_STEP.value)
    if _DTYPE.value:
        text = with_dtype(text, _DTYPE.value)
    write_weight_file(file, weights, text, half=_HALF.value)
    count = sum(value.size for value in weights.params.values())
    size = Path(file).stat().st_size / 1e6
    print(f"{file}: {count:,} parameters of step {weights.step}, {size:.1f} MB")


if __name__ == "__main__":
    run_main(main)
