"""What every batch holds, and `Rows`: what a task adds to it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from jaxpose.data.manifest import Manifest
from jaxpose.data.records import Record
from jaxpose.errors import DataError, UsageError

Batch = dict[str, np.ndarray]
# Labels of one row by field of the batch, all of fixed shapes: NumPy, or tensors in a graph.
Labels = dict[str, Any]
# Labels may hold this beside the fields of the batch: text tensor, why the record is refused or ''.
# A graph cannot raise errors that name a record.
PROBLEM = "problem"


@dataclass(frozen=True)
class Rows:
    """The labels of a batch: what `people_rows` and `image_rows` tell both readers.

    Attributes:
      config: config of the records, `people` or `images`.
      check: raises DataError where a data set cannot give such rows.
      neutral: (rows, canvas side) -> labels of padding rows, stacked, which give no nan on the
        device.
      name: record -> the id of its row.
      labels: manifest -> (record -> labels), for NumPy; raises DataError naming the record.
      graph: (TensorFlow, manifest) -> (record of tensors -> labels and `id`), to be traced; with
        `problem` where `labels` may raise.
    """

    config: str
    check: Callable[[Manifest], None]
    neutral: Callable[[int, int], Batch]
    name: Callable[[Record], str]
    labels: Callable[[Manifest], Callable[[Record], Labels]]
    graph: Callable[[Any, Manifest], Callable[[Record], Labels]]


def neutral_batch(rows: Rows, count: int, canvas: int) -> Batch:
    """A batch of padding: mask 0, black images, and geometry that gives no nan on the device.

    Returns:
      image uint8 [B, S, S, 3] RGB; matrix f32 [B, 2, 3] source px -> canvas px; mask f32 [B], 1 for
      records; id object [B], str; dataset int32 [B]; and the labels of these rows.
    """
    return {
        "image": np.zeros((count, canvas, canvas, 3), np.uint8),
        "matrix": np.tile(np.eye(2, 3, dtype=np.float32), (count, 1, 1)),
        **rows.neutral(count, canvas),
        "mask": np.zeros(count, np.float32),
        "id": np.full(count, "", object),
        "dataset": np.zeros(count, np.int32),
    }


def padded(rows: Rows, batch: Batch, count: int, canvas: int) -> Batch:
    """The batch, filled up to `count` rows with neutral ones."""
    missing = count - len(batch["mask"])
    if missing == 0:
        return batch
    filler = neutral_batch(rows, missing, canvas)
    return {name: np.concatenate([values, filler[name]]) for name, values in batch.items()}


def check_manifests(manifests: Sequence[Manifest], rows: Rows, source: str, format: str) -> int:
    """The canvas side that all data sets share.

    Raises:
      UsageError: no data set. DataError: a set of another format, config or canvas, or one that
      cannot give these rows.
    """
    if not manifests:
        raise UsageError("no data set given: name at least one record folder")
    for manifest in manifests:
        if manifest.format != format:
            hint = f"build it with tools/build_records.py --format={source}"
            raise DataError(f"{manifest.path}: holds {manifest.format} files, not {format}; {hint}")
        if manifest.config != rows.config:
            hint = f"build it with tools/build_records.py --config={rows.config}"
            found = f"config {manifest.config}, these batches need {rows.config}"
            raise DataError(f"{manifest.path}: {found}; {hint}")
        if manifest.canvas != manifests[0].canvas:
            first = f"{manifests[0].path} has {manifests[0].canvas}"
            raise DataError(f"{manifest.path}: canvas {manifest.canvas} px but {first} px; rebuild")
        rows.check(manifest)
    return manifests[0].canvas
