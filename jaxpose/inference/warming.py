"""Networks compiled before the first frame comes, both at the same time."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import jax
import numpy as np

from jaxpose.inference.flow import BatchSizes
from jaxpose.inference.steps import DetectorFunctions, PoseFunctions, empty_batch


def compile_networks(
    detector: DetectorFunctions | None, pose: PoseFunctions | None, sizes: BatchSizes
) -> None:
    """Run both networks once, on empty batches; returns when both are compiled.

    They compile beside each other, in threads: the compiler lets go of the interpreter, and much of
    its work uses one core.

    Args:
      detector, pose: None for one that is not there.
    """
    calls: list[Callable[[], jax.Array]] = []
    if detector is not None:
        calls.append(partial(_detect, detector, sizes.frames))
    if pose is not None:
        calls.append(partial(_estimate, pose, sizes.people))
    with ThreadPoolExecutor(2) as pool:
        for future in [pool.submit(call) for call in calls]:
            jax.block_until_ready(future.result())


def _detect(functions: DetectorFunctions, frames: int) -> jax.Array:
    inputs, sizes = empty_batch(frames, functions.input_shape), np.ones((frames, 2), np.float32)
    return functions.detect(functions.variables, inputs, sizes)


def _estimate(functions: PoseFunctions, people: int) -> jax.Array:
    boxes = np.tile(np.array([0, 0, 1, 1], np.float32), (people, 1))
    return functions.estimate(
        functions.variables, empty_batch(people, functions.input_shape), boxes
    )
