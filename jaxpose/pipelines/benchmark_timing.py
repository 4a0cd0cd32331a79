"""How long a call takes: waited for one by one, and in windows of calls that follow one another."""

import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

_LEAST_WAITED, _MOST_WAITED = 3, 200


class Budget(NamedTuple):
    """How much is measured: `windows` repetitions of about `seconds`, one call at least in each."""

    windows: int = 5
    seconds: float = 1.0

    def calls(self, seconds_a_call: float) -> int:
        """Calls in a window."""
        return max(1, round(self.seconds / max(seconds_a_call, 1e-9)))


class Timing(NamedTuple):
    """Seconds of a call.

    Attributes:
      waited: of calls that were waited for before the next one.
      windows: mean of each window, in which calls follow one another and the last is waited for.
    """

    waited: tuple[float, ...]
    windows: tuple[float, ...]

    @property
    def seconds(self) -> float:
        """Median of the windows."""
        return float(np.median(self.windows))


def measure(call: Callable[[], Any], budget: Budget) -> Timing:
    """Time a call whose result is one or more arrays on the device.

    The first two calls are not counted. There are at least three calls that are waited for, more
    where a window has room for them.
    """
    _waited(call)
    waits = min(_MOST_WAITED, max(_LEAST_WAITED, budget.calls(_waited(call))))
    waited = tuple(_waited(call) for _ in range(waits))
    calls = budget.calls(float(np.median(waited)))
    return Timing(waited, tuple(window_seconds(call, calls) for _ in range(budget.windows)))


def window_seconds(call: Callable[[], Any], calls: int) -> float:
    """Mean seconds of calls that follow one another; the last result is waited for."""
    started = time.perf_counter()
    for _ in range(calls):
        result = call()
    jax.block_until_ready(result)
    return (time.perf_counter() - started) / calls


def percentiles_ms(seconds: Sequence[float]) -> dict[str, float]:
    """p50 and p95 in milliseconds (linear between neighbours) and of how many values they are."""
    p50, p95 = np.percentile(np.asarray(seconds) * 1e3, (50, 95))
    return {"p50": float(p50), "p95": float(p95), "count": len(seconds)}


def _waited(call: Callable[[], Any]) -> float:
    started = time.perf_counter()
    jax.block_until_ready(call())
    return time.perf_counter() - started
