"""npz shards -> decoded rows, in threads and without TensorFlow."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice

import cv2
import numpy as np

from jaxpose.data.batches import Batch, Labels, Rows, neutral_batch
from jaxpose.data.manifest import Manifest
from jaxpose.data.order import Segment, TrainingOrder
from jaxpose.data.parallel import ahead, available_cores, thread_pool
from jaxpose.data.records import Record
from jaxpose.data.shard_files import read_window
from jaxpose.errors import DataError

_PREFETCH_BATCHES = 2
# A row before decoding: number of its data set, record.
Undecoded = tuple[int, Record]


def training_rows(
    manifests: Sequence[Manifest], split: str, rows: Rows, order: TrainingOrder
) -> Iterator[Batch]:
    """Batches in the given order, endless where the order is."""
    with thread_pool(len(manifests)) as loader:
        streams = [
            _stream(manifest, split, order.segments(number), loader)
            for number, manifest in enumerate(manifests)
        ]
        numbers = (number for chosen in order.choices() for number in chosen.tolist())
        mixed = ((number, next(streams[number])) for number in numbers)
        yield from _batches(mixed, manifests, rows, order.rows_per_batch)


def evaluation_rows(
    manifest: Manifest, split: str, rows: Rows, segments: Sequence[Segment], size: int
) -> Iterator[Batch]:
    """Batches of `size` rows in the order of `segments`, the last one with what is left."""
    with thread_pool(1) as loader:
        records = _stream(manifest, split, segments, loader)
        yield from _batches(((0, record) for record in records), [manifest], rows, size)


def _stream(
    manifest: Manifest, split: str, segments: Iterable[Segment], loader: ThreadPoolExecutor
) -> Iterator[Record]:
    """Undecoded records in the order of the segments; the next window loads in the background."""
    shards = manifest.split(split).shards

    def load(segment: Segment) -> list[Record]:
        window = read_window(manifest, [shards[i] for i in segment.shards])
        return [window[i] for i in segment.take]

    for records in ahead(segments, load, loader, 1):
        yield from records


def _batches(
    undecoded: Iterator[Undecoded], manifests: Sequence[Manifest], rows: Rows, size: int
) -> Iterator[Batch]:
    labels = [rows.labels(manifest) for manifest in manifests]
    pending: deque[tuple[Batch, list[Future[None]]]] = deque()
    with thread_pool(available_cores()) as pool:
        while taken := list(islice(undecoded, size)):
            batch = neutral_batch(rows, len(taken), manifests[0].canvas)
            futures = [
                pool.submit(_fill_row, batch, i, content, rows.name, labels)
                for i, content in enumerate(taken)
            ]
            pending.append((batch, futures))
            if len(pending) > _PREFETCH_BATCHES:
                yield _finished(*pending.popleft())
        while pending:
            yield _finished(*pending.popleft())


def _finished(batch: Batch, futures: list[Future[None]]) -> Batch:
    for future in futures:
        future.result()
    return batch


def decode_jpeg(data: np.ndarray, name: str) -> np.ndarray:
    """uint8 RGB [H, W, 3] of JPEG bytes uint8 [N]; raises DataError naming the record."""
    # Always whole: half the size takes 0.8 instead of 1.0 ms for a canvas of 512 px, and would put
    # canvases between pixels. Records on a canvas of half the side save more (--canvas).
    bgr = cv2.imdecode(data, cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    if bgr is None:
        raise DataError(f"{name}: record holds no readable JPEG")
    return cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)


def _fill_row(
    batch: Batch,
    row: int,
    content: Undecoded,
    name_of: Callable[[Record], str],
    labels: Sequence[Callable[[Record], Labels]],
) -> None:
    """Decode a record into a row of a neutral batch."""
    dataset, record = content
    name = name_of(record)
    x1, y1, x2, y2 = record["image/valid"].astype(int).tolist()
    image = decode_jpeg(record["image/encoded"], name)
    if image.shape[:2] != (y2 - y1, x2 - x1):
        raise DataError(f"{name}: the JPEG is not as large as its valid rectangle")
    batch["image"][row, y1:y2, x1:x2] = image
    batch["matrix"][row] = record["image/matrix"]
    for field, value in labels[dataset](record).items():
        batch[field][row] = value
    batch["mask"][row] = 1.0
    batch["id"][row] = name
    batch["dataset"][row] = dataset
