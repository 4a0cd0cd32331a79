"""Say where the time of a training step goes: python tools/profile_step.py --config=FILE

--mode=infer: of the network's inference, as the estimator runs it. Profiles the real jitted program
on synthetic data with jax.profiler and adds up the operations of the device by kind and by name. On
a CPU threads run beside each other, so shares are of the time of all
threads; convolutions and products there are calls into libraries, told by their names.
"""

import gzip
import json
import re
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import jax
from absl import flags
from ml_collections import ConfigDict

from jaxpose.config import define_config_flag, loaded_config
from jaxpose.errors import DataError, UsageError, run_main
from jaxpose.pipelines.benchmark_batches import completed, random_batch
from jaxpose.pipelines.benchmark_programs import train_program
from jaxpose.pipelines.benchmark_step import Stepper, inference_program, starting_state
from jaxpose.tasks import make_task
from jaxpose.training.sharding import data_mesh, put_batch, replicate, replicated

_CONFIG = define_config_flag(purpose="Config whose training step or inference is profiled.")
_MODE = flags.DEFINE_enum(
    "mode", "train", ["train", "infer"], "The training step, or inference with BatchNorm folded."
)
_STEPS = flags.DEFINE_integer("steps", 3, "Calls that are profiled.", lower_bound=1)
_NAMES = flags.DEFINE_integer("names", 12, "Single operations that are listed.", lower_bound=0)

# Patterns of names, the first that is found tells the kind. Where XLA fuses, the name of the last
# operation of a fusion stands in the fusion's name.
_KINDS = {
    "YNNPACK: convolution or product": r"ynn",
    "convolution": r"conv(?!ert)",
    "matrix product": r"dot|gemm|matmul|cublas|cutlass",
    "reduction": r"reduce|argmax|sort|top.?k",
    "gather and scatter": r"gather|scatter|dynamic",
    "copy and layout": r"copy|transpose|pad|concatenate|slice|broadcast|reshape|bitcast|reverse",
    "loop": r"while|call|conditional",
    "other fusion": r"fusion|wrapped|loop_",
}


def main(argv: list[str]) -> None:
    """Profile and print two tables."""
    if len(argv) > 1:
        raise UsageError(f"unexpected {argv[1:]} (see --help)")
    config, name = loaded_config(_CONFIG)
    batch_size = config.batch_size if _MODE.value == "train" else config.eval.batch_size
    step = synthetic_call(config, _MODE.value, batch_size)
    step()
    with tempfile.TemporaryDirectory() as folder:
        with jax.profiler.trace(folder):
            for _ in range(_STEPS.value):
                step()
        times = defaultdict[str, float](float)
        for operation, seconds in operations(Path(folder)):
            times[operation] += seconds / _STEPS.value
    if not times:
        raise DataError("the profiler saw no operation of the device; another jax may write more")
    device = jax.devices()[0]
    print(f"{name} {_MODE.value}, batch {batch_size}, {config.model.dtype}, synthetic data")
    print(f"{device.platform} ({device.device_kind}), jax {jax.__version__}")
    kinds = defaultdict[str, float](float)
    for operation, seconds in times.items():
        kinds[kind_of(operation)] += seconds
    print("\n".join(table("kind", kinds, len(kinds)) + table("operation", times, _NAMES.value)))


def synthetic_call(config: ConfigDict, mode: str, batch_size: int) -> Callable[[], Any]:
    """A call of the config's step or inference on one random batch, which waits for the device."""
    config = config.copy_and_resolve_references().unlock()
    completed(config)
    task, mesh = make_task(config), data_mesh()
    batch = put_batch(mesh, random_batch(task, batch_size), task.example)
    if mode == "infer":
        inference, weights = inference_program(config, task, mesh)
        return lambda: jax.block_until_ready(inference.run(weights, batch))
    program = train_program(config, task, mesh)
    key = jax.jit(jax.random.key, out_shardings=replicated(mesh))(config.seed)
    stepper = Stepper(program, replicate(mesh, starting_state(config, task)), batch, key)
    return lambda: jax.block_until_ready(stepper())


def table(title: str, times: Mapping[str, float], count: int) -> list[str]:
    """The `count` largest entries, seconds a call, with their shares of all."""
    whole = sum(times.values())
    lines = ["", f"{title:40s} ms a call   share"]
    for name, seconds in sorted(times.items(), key=lambda item: -item[1])[:count]:
        lines.append(f"{name[:40]:40s} {1e3 * seconds:9.2f} {100 * seconds / whole:6.1f} %")
    return [*lines, f"{'all':40s} {1e3 * whole:9.2f}"]


def kind_of(name: str) -> str:
    """The kind of an operation."""
    found = (kind for kind, pattern in _KINDS.items() if re.search(pattern, name))
    return next(found, "arithmetic")


def operations(folder: Path) -> Iterator[tuple[str, float]]:
    """Names (without numbers) and seconds of the operations in the trace below a folder."""
    for path in folder.rglob("*.trace.json.gz"):
        events: list[dict[str, Any]] = json.loads(gzip.decompress(path.read_bytes()))["traceEvents"]
        for event in events:
            # Only operations of a compiled program say which module they belong to.
            if event.get("ph") == "X" and "hlo_op" in event.get("args", {}):
                name = re.sub(r"[.\d]+$", "", str(event["args"]["hlo_op"]))
                yield name, 1e-6 * event["dur"]


if __name__ == "__main__":
    run_main(main)
