"""Built data sets -> batches of NumPy arrays, from TFRecords (tf.data) or npz shards (threads).

Both sources realise the order of `order.py` and give the same batches. TensorFlow is imported only
for TFRecords.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from jaxpose.data import shards
from jaxpose.data.batches import Batch, Rows, check_manifests, neutral_batch, padded
from jaxpose.data.manifest import FORMATS, Manifest, open_records
from jaxpose.data.order import (
    EpochOrder,
    Mixture,
    TrainingOrder,
    check_process,
    evaluation_segments,
)
from jaxpose.errors import UsageError


def train_batches(
    data_dirs: Sequence[str | Path],
    weights: Sequence[float] | None,
    rows: Rows,
    batch_size: int,
    seed: int,
    start_step: int = 0,
    process_index: int = 0,
    process_count: int = 1,
    source: str = "records",
    window_shards: int = 8,
    split: str = "train",
) -> Iterator[Batch]:
    """Endless training batches of one process, from batch `start_step` on.

    Args:
      data_dirs: record folders of the config that `rows` needs, in the order that `dataset` counts.
      weights: proportions of the data sets in the mixture; None: their numbers of records.
      rows: what a row holds: `people_rows(skeleton)` or `image_rows(classes, ...)`.
      batch_size: global batch size; each process gets its share of the rows.
      seed: of the order.
      start_step: first batch; nothing before its window is read.
      process_index, process_count: which rows of each batch are decoded.
      source: `records` or `shards`, as the folders were built.
      window_shards: shards held in memory together, per data set (three such windows at most).

    Returns:
      Batches as `batches.neutral_batch` and `rows` describe them, with mask 1 throughout.

    Raises:
      UsageError: impossible sizes or weights. DataError: data sets that do not fit `rows`; missing
      or damaged records, now or while reading, with the shard's name.
    """
    manifests = [open_records(path) for path in data_dirs]
    _check_source(manifests, rows, source)
    counts = [manifest.split(split).records for manifest in manifests]
    if weights is not None and len(weights) != len(counts):
        raise UsageError(f"{len(weights)} weights for {len(counts)} data sets")
    epochs = tuple(
        EpochOrder(_shard_records(manifest, split), seed, window_shards) for manifest in manifests
    )
    order = TrainingOrder(
        epochs=epochs,
        mixture=Mixture(counts if weights is None else weights, seed),
        batch_size=batch_size,
        start_step=start_step,
        process_index=process_index,
        process_count=process_count,
    )
    if source == "shards":
        return shards.training_rows(manifests, split, rows, order)
    from jaxpose.data import tfrecords

    return tfrecords.training_rows(manifests, split, rows, order)


def eval_batches(
    data_dir: str | Path,
    split: str,
    rows: Rows,
    batch_size: int,
    process_index: int = 0,
    process_count: int = 1,
    source: str = "records",
) -> Iterator[Batch]:
    """Batches that hold each record of a split once; rows with mask 0 fill up the last ones.

    Every process gets the same number of batches. Arguments, result and errors are those of
    `train_batches`; the order is the one on disk.
    """
    manifest = open_records(data_dir)
    canvas = _check_source([manifest], rows, source)
    check_process(batch_size, process_index, process_count)
    local = batch_size // process_count
    records = manifest.split(split).records
    numbers = np.arange(records)
    mine = numbers[numbers % batch_size // local == process_index]

    shard_records = _shard_records(manifest, split)
    segments = list(evaluation_segments(shard_records, mine, window_shards=1))
    if source == "shards":
        batches = shards.evaluation_rows(manifest, split, rows, segments, local)
    else:
        from jaxpose.data import tfrecords

        batches = tfrecords.evaluation_rows(manifest, split, rows, segments, local)
    return _filled(rows, batches, -(-records // batch_size), local, canvas)


def steps_per_epoch(data_dirs: Sequence[str | Path], batch_size: int, split: str = "train") -> int:
    """Global batches that show as many rows as the data sets have records together, rounded up."""
    return -(-count_records(data_dirs, split) // batch_size)


def count_records(data_dirs: Sequence[str | Path], split: str) -> int:
    """Records of a split in all data sets together; raises DataError as `open_records`."""
    return sum(open_records(path).split(split).records for path in data_dirs)


def _check_source(manifests: Sequence[Manifest], rows: Rows, source: str) -> int:
    if source not in FORMATS:
        raise UsageError(f"source {source!r}: choose one of {', '.join(FORMATS)}")
    return check_manifests(manifests, rows, source, FORMATS[source])


def _shard_records(manifest: Manifest, split: str) -> list[int]:
    return [shard.records for shard in manifest.split(split).shards]


def _filled(
    rows: Rows, batches: Iterator[Batch], count: int, size: int, canvas: int
) -> Iterator[Batch]:
    for _ in range(count):
        batch = next(batches, None)
        if batch is None:
            yield neutral_batch(rows, size, canvas)
        else:
            yield padded(rows, batch, size, canvas)
