"""Threads that work ahead of a consumer, in order."""

import os
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def available_cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextmanager
def thread_pool(workers: int) -> Iterator[ThreadPoolExecutor]:
    """A pool that drops its waiting work at the end, so that a consumer may stop at any time."""
    pool = ThreadPoolExecutor(workers)
    finalizing = sys.is_finalizing  # looked up now: at the interpreter's exit modules are empty
    try:
        yield pool
    finally:
        if not finalizing():  # then Python has ended the threads already
            pool.shutdown(wait=True, cancel_futures=True)


def ahead(
    items: Iterable[Item], work: Callable[[Item], Result], pool: ThreadPoolExecutor, depth: int
) -> Iterator[Result]:
    """`work(item)` of each item, in order, up to `depth` of them computed in advance."""
    pending: deque[Future[Result]] = deque()
    for item in items:
        pending.append(pool.submit(work, item))
        if len(pending) > depth:
            yield pending.popleft().result()
    while pending:
        yield pending.popleft().result()
