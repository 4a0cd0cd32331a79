"""What the device can do at best, measured beside the network: matrix products and copies."""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxpose.pipelines.benchmark_timing import window_seconds

# Sides of the square matrices; a product of the last takes 1.4 ms at 800 TFLOP/s.
_SIDES = (512, 1024, 2048, 4096, 8192)
# Bytes of the array that is copied: the first is beyond the caches of most machines, the last keeps
# 4 TB/s busy for half a millisecond.
_COPIES = tuple(2**n for n in (27, 28, 29, 30))
# A call this long hides what it costs to start it; larger ones tell no more.
_LONG_ENOUGH = 0.02
# Clocks of an idle device take a while to rise.
_WINDOWS, _WINDOW_SECONDS = 4, 0.1


class Peaks(NamedTuple):
    """The best rates that were seen on one device.

    Attributes:
      flops: FLOP/s of a product of two square matrices of normal noise (2 n^3 each), at the
        precision that JAX takes by default: in the network's dtype, or in float32 where that is
        faster, as it is for bfloat16 on most CPUs.
      matmul_side: n; matmul_dtype: of the product.
      bandwidth: bytes/s of x + 1 over a large float32 array in place, read and written.
      copy_bytes: bytes read and written in a call.
    """

    flops: float
    matmul_side: int
    matmul_dtype: str
    bandwidth: float
    copy_bytes: int


def measure_peaks(dtype: str) -> Peaks:
    """Measure both on the first local device, in a few seconds."""
    device = jax.local_devices()[0]
    room = (device.memory_stats() or {}).get("bytes_limit", 16 * _COPIES[-1]) // 16
    # Compilers compute in float32 where the device is slow at a narrower type.
    dtypes = dict.fromkeys((dtype, "float32") if jnp.dtype(dtype).itemsize < 4 else (dtype,))
    flops, side, name = max((*_best_product(name, room, device), name) for name in dtypes)
    sizes = [count for count in _COPIES if count <= max(room, _COPIES[0])]
    bandwidth, copied = _best((2.0 * n, 2 * n, _copy(n, device)) for n in sizes)
    return Peaks(flops, side, name, bandwidth, copied)


def _best_product(dtype: str, room: int, device: jax.Device) -> tuple[float, int]:
    size = jnp.dtype(dtype).itemsize
    sides = [side for side in _SIDES if 3 * side * side * size <= max(room, 2**24)]
    return _best((2.0 * n**3, n, _product(n, dtype, device)) for n in sides)


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
    # Noise: products of constants take less power, so a GPU's clock stays higher than a network's.
    draw = jax.jit(lambda key: jax.random.normal(key, (2, side, side), dtype))
    one, other = draw(jax.device_put(jax.random.key(0), device))
    product = jax.jit(jnp.dot)
    return lambda: product(one, other)


def _copy(count: int, device: jax.Device) -> Callable[[], jax.Array]:
    # A plain copy the compiler may leave out, and fresh memory costs a CPU more than the copy does.
    copy = jax.jit(lambda x: x + 1, donate_argnums=0)
    array = jax.device_put(jnp.zeros(count // 4, jnp.float32), device)

    def call() -> jax.Array:
        nonlocal array
        array = copy(array)
        return array

    return call
