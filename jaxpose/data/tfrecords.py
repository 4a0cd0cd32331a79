"""TFRecords -> decoded rows through tf.data: read, skip, decode, batch, prefetch, and no more."""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import count
from typing import Any

import numpy as np

from jaxpose.data.batches import PROBLEM, Batch, Rows
from jaxpose.data.manifest import Manifest, damage_error, damaged_shard
from jaxpose.data.order import Segment, TrainingOrder
from jaxpose.data.records import Field, record_fields
from jaxpose.errors import DataError

_PREFETCH_BATCHES = 2
_BUFFER_BYTES = 8 << 20
_HORIZON_ROWS = (20_000, 200_000)
_UNDECODED = ("image/encoded", "image/valid")
_TF_KINDS = {"f32": "float32", "i32": "int64", "bool": "int64", "str": "string", "jpeg": "string"}


def load_tensorflow() -> Any:
    """TensorFlow, kept away from accelerators.

    Raises:
      DataError: it is not installed.
    """
    # Without its reports of CPU features at every start; nothing here computes with oneDNN.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
    try:
        import tensorflow as tf
    except ImportError as error:
        hint = "pip install 'jaxpose[data]', or use shards (--config.data.source=shards)"
        raise DataError(f"TFRecords need TensorFlow, which does not import: {hint}") from error
    tf.config.set_visible_devices([], "GPU")
    return tf


def training_rows(
    manifests: Sequence[Manifest], split: str, rows: Rows, order: TrainingOrder
) -> Iterator[Batch]:
    """Endless batches in the given order.

    TensorFlow gets the order as constants, some ten thousand rows at a time: calls back into
    Python from its threads may hang where the interpreter exits.
    """
    tf = load_tensorflow()
    records = sum(manifest.split(split).records for manifest in manifests)
    horizon = min(max(_HORIZON_ROWS[0], 20 * records), _HORIZON_ROWS[1])
    steps = -(-horizon // order.batch_size)
    for start in count(order.start_step, steps):
        part = replace(order, start_step=start, steps=steps)
        streams = [
            _stream(tf, manifest, split, rows, number, list(part.segments(number)))
            for number, manifest in enumerate(manifests)
        ]
        chosen = tf.data.Dataset.from_tensor_slices(np.concatenate(list(part.choices())))
        mixed = tf.data.Dataset.choose_from_datasets(streams, chosen, stop_on_empty_dataset=False)
        batches = _decoded(tf, mixed, manifests[0].canvas, order.rows_per_batch)
        yield from _batches(tf, batches, manifests, split)


def evaluation_rows(
    manifest: Manifest, split: str, rows: Rows, segments: Sequence[Segment], size: int
) -> Iterator[Batch]:
    """Batches of `size` rows in the order of `segments`, the last one with what is left."""
    tf = load_tensorflow()
    stream = _stream(tf, manifest, split, rows, 0, segments)
    return _batches(tf, _decoded(tf, stream, manifest.canvas, size), [manifest], split)


def _stream(
    tf: Any,
    manifest: Manifest,
    split: str,
    rows: Rows,
    number: int,
    segments: Sequence[Segment],
) -> Any:
    """Parsed but undecoded rows of one data set, in the order of its segments."""
    shards = manifest.split(split).shards
    files = tf.constant([str(manifest.path / shard.file) for shard in shards], tf.string)
    records = tf.constant([shard.records for shard in shards], tf.int64)
    chosen = _ragged(tf, [segment.shards for segment in segments])
    takes = _ragged(tf, [segment.take for segment in segments])

    def read(i: Any) -> Any:
        window = chosen(i)
        expected = tf.reduce_sum(tf.gather(records, window))
        return _read_window(tf, tf.gather(files, window), expected, takes(i))

    windows = tf.data.Dataset.range(len(segments)).map(read)
    # One window ahead, so that decoding never waits at a window's end.
    return windows.prefetch(1).unbatch().map(_parser(tf, manifest, rows, number))


def _ragged(tf: Any, arrays: Sequence[np.ndarray]) -> Callable[[Any], Any]:
    """Look-up of the i-th of these int64 arrays, inside the graph."""
    joined = tf.constant(np.concatenate([np.zeros(0, np.int64), *arrays]))
    offsets = tf.constant(np.cumsum([0, *map(len, arrays)]), tf.int64)
    return lambda i: joined[offsets[i] : offsets[i + 1]]


def _read_window(tf: Any, files: Any, expected: Any, take: Any) -> Any:
    # One record too many is asked for, so that a surplus shows as well as a lack.
    records = tf.data.TFRecordDataset(files, buffer_size=_BUFFER_BYTES).batch(expected + 1)
    window = records.get_single_element()
    check = tf.debugging.assert_equal(tf.size(window, out_type=tf.int64), expected)
    with tf.control_dependencies([check]):
        return tf.gather(window, take)


def _parser(
    tf: Any, manifest: Manifest, rows: Rows, number: int
) -> Callable[[Any], dict[str, Any]]:
    fields = record_fields(manifest.config, manifest.skeleton.size)
    features = {name: _feature(tf, field) for name, field in fields.items()}
    labels = rows.graph(tf, manifest)

    def parse(serialized: Any) -> dict[str, Any]:
        record = tf.io.parse_single_example(serialized, features)
        return {
            **{name: record[name] for name in _UNDECODED},
            "matrix": record["image/matrix"],
            **labels(record),
            "mask": tf.constant(1.0),
            "dataset": tf.constant(number, tf.int32),
        }

    return parse


def _feature(tf: Any, field: Field) -> Any:
    """How TFDS stores a field; lists are flat, their lengths follow from the other dimensions."""
    if None not in field.shape:
        return tf.io.FixedLenFeature(field.shape, _TF_KINDS[field.kind])
    shape, kind = field.shape[1:], _TF_KINDS[field.kind]
    return tf.io.FixedLenSequenceFeature(shape, kind, allow_missing=True)


def _decoded(tf: Any, rows: Any, canvas: int, batch: int) -> Any:
    def decode(row: dict[str, Any]) -> dict[str, Any]:
        encoded, valid = (row[name] for name in _UNDECODED)
        labels = {name: value for name, value in row.items() if name not in _UNDECODED}
        return {"image": _decode_canvas(tf, encoded, tf.cast(valid, tf.int32), canvas), **labels}

    options = tf.data.Options()
    options.deterministic = True
    decoded = rows.map(decode, num_parallel_calls=tf.data.AUTOTUNE)
    return decoded.batch(batch).prefetch(_PREFETCH_BATCHES).with_options(options)


def _decode_canvas(tf: Any, encoded: Any, valid: Any, canvas: int) -> Any:
    """uint8 [S, S, 3]: the JPEG at its place on a zero canvas.

    Whole rows are put together, as bytes: tf.pad of the image takes longer than its decoding.
    """
    # The accurate integer DCT is the one that OpenCV uses too.
    image = tf.io.decode_jpeg(encoded, channels=3, dct_method="INTEGER_ACCURATE")
    x1, y1, x2, y2 = tf.unstack(valid)
    height = y2 - y1
    rows = tf.reshape(image, [height, (x2 - x1) * 3])
    left = tf.zeros([height, x1 * 3], tf.uint8)
    right = tf.zeros([height, (canvas - x2) * 3], tf.uint8)
    above = tf.zeros([y1, canvas * 3], tf.uint8)
    below = tf.zeros([canvas - y2, canvas * 3], tf.uint8)
    rows = tf.concat([above, tf.concat([left, rows, right], 1), below], 0)
    return tf.reshape(rows, (canvas, canvas, 3))


def _batches(tf: Any, dataset: Any, manifests: Sequence[Manifest], split: str) -> Iterator[Batch]:
    failed = tf.errors.OpError  # looked up now: at the interpreter's exit the module is empty
    try:
        for batch in dataset.as_numpy_iterator():
            for problem in filter(None, batch.pop(PROBLEM, ())):
                raise DataError(problem.decode())
            ids = np.empty(len(batch["id"]), object)
            ids[:] = [name.decode() for name in batch["id"]]
            yield {**batch, "id": ids}
    except failed as error:
        raise _named(manifests, split, error) from error


def _named(manifests: Sequence[Manifest], split: str, error: Exception) -> DataError:
    """TensorFlow does not say which file is damaged: the digests do."""
    for manifest in manifests:
        shard = damaged_shard(manifest, manifest.split(split).shards)
        if shard is not None:
            return damage_error(manifest, shard)
    folders = ", ".join(str(manifest.path) for manifest in manifests)
    first_line = str(error).splitlines()[0]
    return DataError(f"{folders}: reading split {split} failed: {first_line}")
