"""The one global order of training rows: a pure function of (seed, row), any process count.

Per data set and epoch, shards are permuted, cut into windows of consecutive shards, and records
are permuted inside each window; so any row is found without reading what comes before its window.
Data sets are mixed in blocks of 1000 rows, each block holding a fixed count of every data set.
Orders are NumPy's and stay the same as long as NumPy keeps `Generator.permutation` (NEP 19).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import count

import numpy as np

from jaxpose.errors import UsageError

BLOCK = 1000
_SHARDS, _RECORDS, _MIXTURE = 0, 1, 2  # keep the random streams of one seed apart


@dataclass(frozen=True)
class Segment:
    """Records to take from one window.

    Attributes:
      shards: int64 [S] shard numbers in reading order.
      take: int64 [N] positions among the window's records, read one shard after the other.
    """

    shards: np.ndarray
    take: np.ndarray


class EpochOrder:
    """Order of one data set's records, epoch after epoch.

    Args:
      shard_records: records in each shard.
      seed: seed of the run, or None for the order on disk.
      window_shards: consecutive shards of a window.
    """

    def __init__(self, shard_records: Sequence[int], seed: int | None, window_shards: int) -> None:
        if window_shards < 1:
            raise UsageError(f"window_shards={window_shards}: must be at least 1")
        self.records = int(sum(shard_records))
        self._shard_records = np.asarray(shard_records, np.int64)
        self._seed = seed
        self._window_shards = window_shards
        self._permutation = lru_cache(maxsize=4)(self._window_permutation)
        self._starts = lru_cache(maxsize=4)(self._window_starts)

    def _epoch_shards(self, epoch: int) -> np.ndarray:
        shards = len(self._shard_records)
        if self._seed is None:
            return np.arange(shards)
        return np.random.default_rng([self._seed, _SHARDS, epoch]).permutation(shards)

    def window_shards(self, epoch: int, window: int) -> np.ndarray:
        """int64 [S]: shard numbers of a window."""
        first = window * self._window_shards
        return self._epoch_shards(epoch)[first : first + self._window_shards]

    def _window_starts(self, epoch: int) -> np.ndarray:
        counts = self._shard_records[self._epoch_shards(epoch)]
        firsts = np.arange(0, len(counts), self._window_shards)
        return np.concatenate([[0], np.cumsum(np.add.reduceat(counts, firsts))])

    def _window_permutation(self, epoch: int, window: int) -> np.ndarray:
        starts = self._starts(epoch)
        records = int(starts[window + 1] - starts[window])
        if self._seed is None:
            return np.arange(records)
        rng = np.random.default_rng([self._seed, _RECORDS, epoch, window])
        return rng.permutation(records)

    def segments(self, draws: np.ndarray) -> Iterator[tuple[tuple[int, int], np.ndarray]]:
        """Split ascending draws int64 [N] into ((epoch, window), positions in the window) parts."""
        epochs, positions = np.divmod(draws, self.records)
        for epoch in np.unique(epochs).tolist():
            inside = positions[epochs == epoch]
            starts = self._starts(epoch)
            windows = np.searchsorted(starts, inside, side="right") - 1
            for window in np.unique(windows).tolist():
                offsets = inside[windows == window] - starts[window]
                yield (epoch, window), self._permutation(epoch, window)[offsets]


class Mixture:
    """Which data set each row of the infinite order comes from, and which of its draws it is.

    Args:
      proportions: one positive weight per data set; only their ratios matter.
      seed: seed of the run.
    """

    def __init__(self, proportions: Sequence[float], seed: int) -> None:
        self.counts = block_counts(proportions)
        self._seed = seed
        self._block = lru_cache(maxsize=2)(self._block_order)

    def _block_order(self, block: int) -> tuple[np.ndarray, np.ndarray]:
        rng = np.random.default_rng([self._seed, _MIXTURE, block])
        dataset = rng.permutation(np.repeat(np.arange(len(self.counts)), self.counts))
        draw = np.empty(BLOCK, np.int64)
        for d, rows in enumerate(self.counts):
            draw[dataset == d] = block * rows + np.arange(rows)
        return dataset, draw

    def rows(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(data set, draw), each int64 [N], of ascending rows int64 [N]."""
        blocks, offsets = np.divmod(rows, BLOCK)
        parts = [
            tuple(part[offsets[blocks == block]] for part in self._block(block))
            for block in np.unique(blocks).tolist()
        ]
        datasets, draws = (np.concatenate(part) for part in zip(*parts, strict=True))
        return datasets, draws


def block_counts(proportions: Sequence[float]) -> np.ndarray:
    """int64 [D]: rows of each data set in a block of 1000, by largest remainder.

    Raises:
      UsageError: a proportion is not a positive number, or too small to get one row in a block.
    """
    weights = np.asarray(proportions, np.float64)
    if not np.all(np.isfinite(weights)) or np.any(weights <= 0):
        raise UsageError(f"data set proportions must be positive numbers, not {list(proportions)}")
    exact = weights / weights.sum() * BLOCK
    counts = np.floor(exact).astype(np.int64)
    # Stable sort: among equal remainders the earlier data set gets the row.
    largest = np.argsort(counts - exact, kind="stable")
    counts[largest[: BLOCK - counts.sum()]] += 1
    if np.any(counts == 0):
        raise UsageError(f"a data set gets less than 1 row in {BLOCK}: {list(proportions)}")
    return counts


@dataclass(frozen=True)
class TrainingOrder:
    """Rows of one process, from `start_step` on.

    Attributes:
      epochs: one order per data set.
      mixture: how they are mixed.
      batch_size: global batch size.
      start_step: first batch.
      process_index, process_count: which part of each batch this process decodes.
      steps: number of batches; None: for ever.
    """

    epochs: tuple[EpochOrder, ...]
    mixture: Mixture
    batch_size: int
    start_step: int = 0
    process_index: int = 0
    process_count: int = 1
    steps: int | None = None

    def __post_init__(self) -> None:
        check_process(self.batch_size, self.process_index, self.process_count)

    @property
    def rows_per_batch(self) -> int:
        """Rows of a batch that this process decodes."""
        return self.batch_size // self.process_count

    def _chunks(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        local = self.rows_per_batch
        at_once = max(1, BLOCK // self.batch_size)
        for chunk in count():
            steps = at_once * chunk + np.arange(at_once)
            if self.steps is not None:
                steps = steps[steps < self.steps]
            if not len(steps):
                return
            first = (self.start_step + steps) * self.batch_size + self.process_index * local
            yield self.mixture.rows((first[:, None] + np.arange(local)).ravel())

    def choices(self) -> Iterator[np.ndarray]:
        """Data set of each row, in chunks int64 [N]."""
        for datasets, _ in self._chunks():
            yield datasets

    def segments(self, dataset: int) -> Iterator[Segment]:
        """What to read, in order, of one data set; one segment per window."""
        epochs = self.epochs[dataset]
        draws = (draws[datasets == dataset] for datasets, draws in self._chunks())
        parts = (part for chunk in draws for part in epochs.segments(chunk))
        return _joined(epochs, parts)


def _joined(
    epochs: EpochOrder, parts: Iterator[tuple[tuple[int, int], np.ndarray]]
) -> Iterator[Segment]:
    current: tuple[int, int] | None = None
    takes: list[np.ndarray] = []
    for place, take in parts:
        if current is not None and place != current:
            yield Segment(epochs.window_shards(*current), np.concatenate(takes))
            takes = []
        current = place
        takes.append(take)
    if current is not None:
        yield Segment(epochs.window_shards(*current), np.concatenate(takes))


def evaluation_segments(
    shard_records: Sequence[int], rows: np.ndarray, window_shards: int
) -> Iterator[Segment]:
    """What to read for rows int64 [N] of a split in the order on disk."""
    epochs = EpochOrder(shard_records, None, window_shards)
    return _joined(epochs, epochs.segments(rows))


def check_process(batch_size: int, process_index: int, process_count: int) -> None:
    """Raises UsageError where a global batch cannot be dealt out to the processes."""
    if batch_size < 1 or process_count < 1 or batch_size % process_count:
        raise UsageError(f"batch_size={batch_size} is not a multiple of {process_count} processes")
    if not 0 <= process_index < process_count:
        raise UsageError(f"process_index={process_index} is not below {process_count}")
