"""What differs between model families: one record of plain functions."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol

import flax.linen as nn
import jax
import numpy as np

Batch = Mapping[str, Any]


class Evaluator(Protocol):
    """Accumulates sums and counts over batches and divides once."""

    def add(self, batch: Batch, predictions: Mapping[str, np.ndarray]) -> None:
        """Take one host batch with its predictions; rows with `mask` 0 are padding."""
        ...

    def result(self) -> dict[str, Any]:
        """Flat metrics (floats) plus nested tables."""
        ...


class Task(NamedTuple):
    """A model family as plain functions; the trainer knows nothing else.

    Attributes:
      name: key in `TASKS`.
      outputs: what the network tells, in words, such as '15 joints'.
      model: Linen module; `apply(variables, images_float_nhwc, train=False)`.
      input_shape: (H, W, 3) of the network input.
      example: per-example device inputs of a batch (no batch axis), name -> shape and dtype.
      initial_value: (path, shape, generator) -> value of one parameter, filled on the host.
      augment: (key, batch) -> dict with `image` float [B, H, W, 3] and the targets of `loss`.
      loss: (outputs, augmented batch) -> (scalar, dict of scalar parts).
      predict: (variables, batch) -> dict of arrays in source pixels; test-time path, jit-able.
      predict_images: (variables, uint8 images [B, H, W, 3]) -> the same, in image pixels.
      evaluator: () -> Evaluator.
      picture: (host batch, predictions) -> uint8 RGB sheet for people to look at.
      picture_inputs: (result of `augment` as NumPy) -> uint8 RGB sheet of what the network gets.
    """

    name: str
    outputs: str
    model: nn.Module
    input_shape: tuple[int, int, int]
    example: Mapping[str, jax.ShapeDtypeStruct]
    initial_value: Callable[[str, tuple[int, ...], np.random.Generator], np.ndarray]
    augment: Callable[[jax.Array, Batch], dict[str, jax.Array]]
    loss: Callable[[Any, Batch], tuple[jax.Array, dict[str, jax.Array]]]
    predict: Callable[[Mapping[str, Any], Batch], dict[str, jax.Array]]
    predict_images: Callable[[Mapping[str, Any], jax.Array], dict[str, jax.Array]]
    evaluator: Callable[[], Evaluator]
    picture: Callable[[Batch, Mapping[str, np.ndarray]], np.ndarray]
    picture_inputs: Callable[[Mapping[str, np.ndarray]], np.ndarray]
