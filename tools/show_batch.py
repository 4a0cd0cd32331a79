"""Draw what the network really gets: augmented training batches with their joints or boxes.

python tools/show_batch.py --config=configs/quickstart.py --output=batch.png
"""

from pathlib import Path

import cv2
import jax
import numpy as np
from absl import flags

from jaxpose.config import define_config_flag, loaded_config
from jaxpose.errors import UsageError, run_main
from jaxpose.pipelines.prepare import prepare_records
from jaxpose.tasks import make_task
from jaxpose.training.sharding import data_mesh, put_batch

_CONFIG = define_config_flag()
_OUTPUT = flags.DEFINE_string("output", "batch.png", "PNG to write.")
_STEP = flags.DEFINE_integer("step", 0, "Training step whose batch is drawn.")


def main(argv: list[str]) -> None:
    """Flags -> one picture."""
    if len(argv) > 1:
        raise UsageError("usage: show_batch.py --config=FILE [--step=N] [--output=PNG]")
    config, name = loaded_config(_CONFIG)
    records = prepare_records(config, Path("runs") / name)
    task = make_task(records.config)
    batch = put_batch(data_mesh(), next(records.train(_STEP.value)), names=task.example)
    key = jax.random.fold_in(jax.random.key(records.config.seed), _STEP.value)
    inputs = jax.tree.map(np.asarray, jax.jit(task.augment)(key, batch))
    sheet = task.picture_inputs(inputs)
    if not cv2.imwrite(_OUTPUT.value, sheet[..., ::-1]):
        raise UsageError(f"cannot write {_OUTPUT.value}; give a path that ends in .png")
    print(f"{_OUTPUT.value}: {sheet.shape[1]} x {sheet.shape[0]} px, batch of step {_STEP.value}")


if __name__ == "__main__":
    run_main(main)
