"""Run a network over an evaluation split once, every example exactly once, and score it."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils

from jaxpose.tasks.task import Task
from jaxpose.training.sharding import local_values, wait_for_processes


def collect(
    task: Task,
    predict: Callable[[Any, Any], Mapping[str, jax.Array]],
    variables: Any,
    batches: Iterable[Mapping[str, Any]],
    put: Callable[[Mapping[str, Any]], Any],
    interrupted: Callable[[], None] = lambda: None,
) -> tuple[Any, np.ndarray | None]:
    """The task's evaluator after one pass, and the first batch as a picture.

    Args:
      predict: jitted (variables, device batch) -> predictions.
      batches: this process's host batches; rows with mask 0 are padding.
      put: host batch -> global device batch.
      interrupted: called before each batch; raises to stop.
    """
    evaluator, sheet = task.evaluator(), None
    for host in batches:
        interrupted()
        predictions = local_values(dict(predict(variables, put(host))))
        if sheet is None:
            sheet = task.picture(host, predictions)
        evaluator.add(*from_all_processes(host, predictions))
    return evaluator, sheet


def from_all_processes(
    host: Mapping[str, Any], predictions: Mapping[str, np.ndarray]
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Rows of all processes in global order, the same on each; images stay where they are."""
    rows = {name: np.asarray(values) for name, values in host.items() if name != "image"}
    if jax.process_count() == 1:
        return rows, dict(predictions)
    # Strings travel as fixed-width bytes: collectives move numbers only.
    rows["id"] = np.array([str(name).encode() for name in rows["id"]], "S256")
    rows["id"] = rows["id"].view(np.uint8).reshape(len(rows["mask"]), -1)
    wait_for_processes("predicted")  # one may still compile what another has run
    gathered = multihost_utils.process_allgather((rows, dict(predictions)), tiled=True)
    rows, together = jax.tree.map(np.asarray, gathered)
    raw = np.ascontiguousarray(rows["id"]).view("S256").ravel()
    rows["id"] = np.array([name.decode() for name in raw], object)
    return rows, together
