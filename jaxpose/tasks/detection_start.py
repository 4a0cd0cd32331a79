"""What an SSD starts training from: ImageNet weights for its base, or random values."""

from collections.abc import Callable, Mapping
from functools import cache

import jax
import numpy as np
from ml_collections import ConfigDict

from jaxpose.models.pretrained_ssd import MEAN, vgg_base_weights, vgg_source
from jaxpose.models.ssd import SSD, initial_value
from jaxpose.models.weight_files import read_weights

InitialValue = Callable[[str, tuple[int, ...], np.random.Generator], np.ndarray]


def starting_values(config: ConfigDict, model: SSD) -> InitialValue:
    """(path, shape, generator) -> value of one parameter: ImageNet's where weights are given.

    Raises, when called:
      CheckpointError: the file of base weights is missing, damaged, or does not fit.
    """
    options = config.model

    @cache
    def base() -> Mapping[str, np.ndarray]:
        # Read when a run starts from scratch, not when its checkpoint is restored.
        if options.base_weights:
            return _base_weights(config, model)
        _say("VGG16 base: He normal, no ImageNet weights (config.model.base_weights)")
        if not options.batch_norm:
            _say("WARNING: without batch_norm it will hardly learn; give weights or set that")
        return {}

    def value(path: str, shape: tuple[int, ...], generator: np.random.Generator) -> np.ndarray:
        return initial_value(
            path,
            shape,
            generator,
            head_init=options.head_init,
            head_init_std=options.head_init_std,
            batch_norm=options.batch_norm,
            base=base(),
        )

    return value


def _base_weights(config: ConfigDict, model: SSD) -> dict[str, np.ndarray]:
    file = config.model.base_weights
    weights = read_weights(file)
    source = vgg_source(weights)
    base = vgg_base_weights(model, weights, source)
    order = "bgr" if source == "vgg16_reducedfc" else "rgb"
    turned = ""
    if order != config.channels:  # the same network for images of the other order
        base["vgg/conv1_1/kernel"] = base["vgg/conv1_1/kernel"][:, :, ::-1]
        turned = f", conv1_1 turned from {order} to {config.channels}"
    mean = f", of images minus {weights[MEAN][::-1].round(2).tolist()}" if MEAN in weights else ""
    _say(f"VGG16 base: {len(base)} tensors of {file} ({source}{turned}{mean})")
    return base


def _say(text: str) -> None:
    if jax.process_index() == 0:
        print(text, flush=True)
