"""Put a trained network into one file: python tools/export_weights.py runs/quickstart pose.npz.

`jaxpose.restore("pose.npz")` takes it like a workdir. `--half` stores parameters in half precision.
`--dtype=float32` for a network trained in bfloat16, which few CPUs compute fast.
Paths of this machine do not go into the file: of base weights and the like only the last part.
"""

import json
from pathlib import Path

from absl import flags

from jaxpose.config import without_paths
from jaxpose.errors import UsageError, run_main
from jaxpose.inference.restore import config_text
from jaxpose.training.weight_file import write_weight_file
from jaxpose.training.weights import load_weights

_STEP = flags.DEFINE_integer("step", None, "Training step; the best one, else the newest, without.")
_HALF = flags.DEFINE_bool("half", False, "Store parameters as float16.")
_DTYPE = flags.DEFINE_enum(
    "dtype", None, ["float32", "bfloat16"], "Type that the network computes in; the run's without."
)


def main(argv: list[str]) -> None:
    """Checkpoint -> file."""
    if len(argv) != 3:
        raise UsageError("usage: export_weights.py WORKDIR FILE.npz [--step=N] [--half]")
    workdir, file = argv[1:]
    weights = load_weights(workdir, step=_STEP.value)
    config = without_paths(config_text(workdir))
    if _DTYPE.value:
        config = with_dtype(config, _DTYPE.value)
    write_weight_file(file, weights, config, half=_HALF.value)
    count = sum(value.size for value in weights.params.values())
    size = Path(file).stat().st_size / 1e6
    print(f"{file}: {count:,} parameters of step {weights.step}, {size:.1f} MB")


def with_dtype(config: str, dtype: str) -> str:
    """The JSON text of a configuration with another `model.dtype`."""
    fields = json.loads(config)
    fields["model"]["dtype"] = dtype
    return json.dumps(fields)


if __name__ == "__main__":
    run_main(main)
