"""Decoded pictures and video frames on their way into the estimator, and reading them ahead."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import Any, NamedTuple, TypeVar

import numpy as np

T = TypeVar("T")


class Boxes(NamedTuple):
    """Person boxes of one frame: boxes_xyxy float [N, 4] in source px, scores float [N]."""

    boxes_xyxy: np.ndarray
    scores: np.ndarray


class Frame(NamedTuple):
    """One picture or video frame, decoded.

    Attributes:
      name, video, index, error, folder: as in `people.FrameResult`.
      image: uint8 [H, W, 3] RGB, upright; None where there is an error, or where the pixels were
        let go of after use.
      boxes: own person boxes; None where the detector shall find them.
      note: what was done to the picture that its owner should know, such as having turned it.
      seconds: position in its video; 0 for a still.
      decode_seconds: time that reading and decoding took.
      whole_input: the error is of a video, folder or pattern as a whole, not of one frame.
    """

    name: str
    image: np.ndarray | None
    video: str = ""
    index: int = -1  # type: ignore[assignment]  # hides tuple.index
    error: str = ""
    boxes: Boxes | None = None
    note: str = ""
    seconds: float = 0.0
    decode_seconds: float = 0.0
    whole_input: bool = False
    folder: str = ""


def checked_image(image: Any) -> np.ndarray:
    """The image as an array; ValueError unless it is uint8 [H, W, 3] with at least one pixel."""
    array = np.asarray(image)
    if array.dtype != np.uint8 or array.ndim != 3 or array.shape[2] != 3 or not array.size:
        raise ValueError(
            f"an image is RGB uint8 [H, W, 3], not {array.dtype} {list(array.shape)}; grey images "
            "take np.stack([grey] * 3, -1)"
        )
    return array


def results_ahead(calls: Iterable[Callable[[], T]], ahead: int, threads: int) -> Iterator[T]:
    """What the calls return, in their order, computed in threads while the caller is busy.

    Args:
      calls: taken one by one, no sooner than they are started.
      ahead: so many results are computed or wait for the caller at most.
      threads: with 1 the calls run one after the other, so they may share a reader.
    """
    remaining = iter(calls)
    with ThreadPoolExecutor(threads) as pool:
        started = deque(pool.submit(call) for call in islice(remaining, ahead))
        try:
            while started:
                result = started.popleft().result()
                started.extend(pool.submit(call) for call in islice(remaining, 1))
                yield result
        finally:
            for future in started:
                future.cancel()
