import itertools

import numpy as np
import pytest

from jaxpose.data.order import (
    EpochOrder,
    Mixture,
    TrainingOrder,
    block_counts,
    evaluation_segments,
)
from jaxpose.errors import UsageError

SHARDS = ([5, 4, 5, 5, 4, 6, 5], [3, 3])  # records in each shard of two data sets
WINDOW = 3


def training_order(batch_size, seed=3, proportions=(2, 1), **kwargs):
    epochs = tuple(EpochOrder(shards, seed, WINDOW) for shards in SHARDS)
    return TrainingOrder(epochs, Mixture(proportions, seed), batch_size, **kwargs)


def read(segments, shard_records):
    """What a reader of segments gets: (shard, record) pairs."""
    for segment in segments:
        window = [(int(s), i) for s in segment.shards for i in range(shard_records[s])]
        yield from (window[i] for i in segment.take)


def rows(order, count):
    """The first rows of an order: (data set, shard, record)."""
    streams = [read(order.segments(d), SHARDS[d]) for d in range(len(SHARDS))]
    choices = itertools.chain.from_iterable(order.choices())
    return [(int(d), *next(streams[d])) for d in itertools.islice(choices, count)]


def brute_force_rows(seed, proportions, count):
    """The order as its definition says, with plain loops."""
    streams = [brute_force_epochs(seed, shards) for shards in SHARDS]
    result = []
    counts = block_counts(proportions)
    for block in itertools.count():
        datasets = [d for d, n in enumerate(counts) for _ in range(n)]
        permuted = np.random.default_rng([seed, 2, block]).permutation(datasets)
        for d in permuted.tolist():
            if len(result) == count:
                return result
            result.append((d, *next(streams[d])))
    raise AssertionError("there is always another block")


def brute_force_epochs(seed, shards):
    for epoch in itertools.count():
        order = np.random.default_rng([seed, 0, epoch]).permutation(len(shards))
        for window in range(-(-len(shards) // WINDOW)):
            chosen = order[window * WINDOW : (window + 1) * WINDOW]
            records = [(int(s), i) for s in chosen for i in range(shards[s])]
            rng = np.random.default_rng([seed, 1, epoch, window])
            yield from (records[i] for i in rng.permutation(len(records)))


def test_order_is_its_definition():
    assert rows(training_order(4), 2500) == brute_force_rows(3, (2, 1), 2500)


def test_every_epoch_holds_each_record_once_and_differs():
    order = TrainingOrder((EpochOrder(SHARDS[0], 0, WINDOW),), Mixture([1], 0), 1)
    size = sum(SHARDS[0])
    read_on = read(order.segments(0), SHARDS[0])
    epochs = [list(itertools.islice(read_on, size)) for _ in range(3)]
    everything = sorted((s, i) for s, count in enumerate(SHARDS[0]) for i in range(count))
    assert [sorted(epoch) for epoch in epochs] == [everything] * 3
    assert epochs[0] != epochs[1] != epochs[2]


@pytest.mark.parametrize("process_count", [2, 4])
def test_processes_share_the_rows_of_each_batch(process_count):
    whole = rows(training_order(8), 400)
    local = 8 // process_count
    parts = [
        rows(training_order(8, process_index=p, process_count=process_count), 400 // process_count)
        for p in range(process_count)
    ]
    batches = [p[i * local : (i + 1) * local] for i in range(50) for p in parts]
    assert list(itertools.chain.from_iterable(batches)) == whole


@pytest.mark.parametrize("start_step", [1, 7, 124, 125, 300])
def test_any_step_continues_the_order(start_step):
    whole = rows(training_order(8), 8 * start_step + 100)
    assert rows(training_order(8, start_step=start_step), 100) == whole[8 * start_step :]


def test_seeds_differ():
    assert rows(training_order(8, seed=1), 50) != rows(training_order(8, seed=2), 50)


def test_each_block_has_its_proportions():
    datasets, draws = Mixture([2, 1], 5).rows(np.arange(4000))
    for block in range(4):
        assert np.bincount(datasets[block * 1000 : (block + 1) * 1000]).tolist() == [667, 333]
    for d in (0, 1):
        np.testing.assert_array_equal(draws[datasets == d], np.arange((datasets == d).sum()))


@pytest.mark.parametrize(
    ("proportions", "counts"),
    [([1], [1000]), ([1, 1, 1], [334, 333, 333]), ([0.2, 0.5, 0.3], [200, 500, 300])],
)
def test_block_counts_by_largest_remainder(proportions, counts):
    assert block_counts(proportions).tolist() == counts


@pytest.mark.parametrize("proportions", [[1, 0], [1, -1], [1, float("nan")], [1, 1e-6]])
def test_impossible_proportions_are_refused(proportions):
    with pytest.raises(UsageError):
        block_counts(proportions)


def test_evaluation_keeps_the_order_on_disk():
    segments = evaluation_segments(SHARDS[0], np.array([0, 3, 4, 5, 33]), 2)
    assert list(read(segments, SHARDS[0])) == [(0, 0), (0, 3), (0, 4), (1, 0), (6, 4)]


@pytest.mark.parametrize(
    "kwargs", [{"process_count": 3}, {"process_index": 2, "process_count": 2}, {"batch_size": 0}]
)
def test_impossible_processes_are_refused(kwargs):
    with pytest.raises(UsageError):
        training_order(**({"batch_size": 8} | kwargs))
