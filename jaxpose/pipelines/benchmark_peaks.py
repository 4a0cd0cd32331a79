"""What the device can do at best, measured beside the network: matrix products and copies."""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxpose.pipelines.benchmark_timing import window_seconds

# Sides of the square matrices; a product of the last takes 1.4 ms at 800 TFLOP/s. No larger ones:
# their memory would count as that of the networks.
_SIDES = (512, 1024, 2048, 4096, 8192)
# Bytes of the array that is copied: the first is beyond the caches of most machines.
_COPIES = tuple(2**n for n in (26, 27, 28))
# A call this long hides what it costs to start it; larger ones tell no more.
_LONG_ENOUGH = 0.02
_WINDOWS, _WINDOW_SECONDS = 3, 0.04


class Peaks(NamedTuple):
    """The best rates that were seen on one device.

    Attributes:
      flops: FLOP/s of a square matrix product in the network's dtype (2 n^3 each), at the precision
        that JAX takes by default.
      matmul_side: n.
      bandwidth: bytes/s of x + 1 over a large float32 array, read and written.
      copy_bytes: bytes read and written in a call.
    """

    flops: float
    matmul_side: int
    bandwidth: float
    copy_bytes: int


def measure_peaks(dtype: str) -> Peaks:
    """Measure both on the first local device, in about a second."""
    device = jax.local_devices()[0]
    room = (device.memory_stats() or {}).get("bytes_limit", 16 * _COPIES[-1]) // 16
    size = jnp.dtype(dtype).itemsize
    sides = [side for side in _SIDES if 3 * side * side * size <= max(room, 2**24)]
    copies = [count for count in _COPIES if count <= max(room, _COPIES[0])]
    flops, side = _best((2.0 * n**3, n, _product(n, dtype, device)) for n in sides)
    bandwidth, copied = _best((2.0 * n, 2 * n, _copy(n, device)) for n in copies)
    return Peaks(flops, side, bandwidth, copied)


def _best(sizes: Iterable[tuple[float, int, Callable[[], Any]]]) -> tuple[float, int]:
    """Largest rate over growing sizes (work, size, call), and the size that it is of."""
    best = (0.0, 0)
    for work, size, call in sizes:
        jax.block_until_ready(call())
        once = window_seconds(call, 1)
        calls = max(1, round(_WINDOW_SECONDS / max(once, 1e-9)))
        fastest = min(window_seconds(call, calls) for _ in range(_WINDOWS))
        best = max(best, (work / fastest, size))
        if fastest >= _LONG_ENOUGH:
            break
    return best


def _product(side: int, dtype: str, device: jax.Device) -> Callable[[], jax.Array]:
    matrix = jax.device_put(jnp.full((side, side), 1 / side, dtype), device)
    product = jax.jit(jnp.dot)
    return lambda: product(matrix, matrix)


def _copy(count: int, device: jax.Device) -> Callable[[], jax.Array]:
    array = jax.device_put(jnp.zeros(count // 4, jnp.float32), device)
    # A plain copy the compiler may leave out.
    copy = jax.jit(lambda x: x + 1)
    return lambda: copy(array)
