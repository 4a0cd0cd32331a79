"""npz shards -> decoded rows, in threads and without TensorFlow."""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice

import cv2
import numpy as np

from jaxpose.data.batches import PERSON_FIELDS, Batch, joint_mask, neutral_batch
from jaxpose.data.manifest import Manifest
from jaxpose.data.order import Segment, TrainingOrder
from jaxpose.data.parallel import ahead, available_cores, thread_pool
from jaxpose.data.records import Record
from jaxpose.data.shard_files import read_window
from jaxpose.errors import DataError
from jaxpose.skeletons import Skeleton, convert_keypoints

_PREFETCH_BATCHES = 2
# A row before decoding: number of its data set, record.
Row = tuple[int, Record]


def training_rows(
    manifests: Sequence[Manifest], split: str, target: Skeleton, order: TrainingOrder
) -> Iterator[Batch]:
    """Batches in the given order, endless where the order is."""
    with thread_pool(len(manifests)) as loader:
        streams = [
            _stream(manifest, split, order.segments(number), loader)
            for number, manifest in enumerate(manifests)
        ]
        numbers = (number for chosen in order.choices() for number in chosen.tolist())
        mixed = ((number, next(streams[number])) for number in numbers)
        yield from _batches(mixed, manifests, target, order.rows_per_batch)


def evaluation_rows(
    manifest: Manifest, split: str, target: Skeleton, segments: Sequence[Segment], rows: int
) -> Iterator[Batch]:
    """Batches of `rows` rows in the order of `segments`, the last one with what is left."""
    with thread_pool(1) as loader:
        records = _stream(manifest, split, segments, loader)
        yield from _batches(((0, record) for record in records), [manifest], target, rows)


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
    rows: Iterator[Row], manifests: Sequence[Manifest], target: Skeleton, size: int
) -> Iterator[Batch]:
    masks = [joint_mask(manifest.skeleton, target) for manifest in manifests]
    pending: deque[tuple[Batch, list[Future[None]]]] = deque()
    with thread_pool(available_cores()) as pool:
        while taken := list(islice(rows, size)):
            batch = neutral_batch(len(taken), manifests[0].canvas, target.size)
            futures = [
                pool.submit(_fill_row, batch, i, row, manifests[row[0]].skeleton, target, masks)
                for i, row in enumerate(taken)
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
    bgr = cv2.imdecode(data, cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    if bgr is None:
        raise DataError(f"{name}: record holds no readable JPEG")
    return cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)


def _fill_row(
    batch: Batch,
    row: int,
    content: Row,
    source: Skeleton,
    target: Skeleton,
    masks: Sequence[np.ndarray],
) -> None:
    """Decode a `people` record into a row of a neutral batch."""
    dataset, record = content
    name = f"{record['dataset']}/{record['image/id']}#{record['person/index']}"
    x1, y1, x2, y2 = record["image/valid"].astype(int).tolist()
    image = decode_jpeg(record["image/encoded"], name)
    if image.shape[:2] != (y2 - y1, x2 - x1):
        raise DataError(f"{name}: the JPEG is not as large as its valid rectangle")
    batch["image"][row, y1:y2, x1:x2] = image
    batch["matrix"][row] = record["image/matrix"]
    batch["keypoints"][row] = convert_keypoints(record["person/keypoints"], source, target)
    batch["joint_mask"][row] = masks[dataset]
    for field in PERSON_FIELDS:
        batch[field][row] = record[f"person/{field}"]
    batch["mask"][row] = 1.0
    batch["id"][row] = name
    batch["dataset"][row] = dataset
