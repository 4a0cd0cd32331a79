"""What a bottom-up network starts training from: VGG19 of ImageNet, or random values."""

from collections.abc import Callable, Mapping
from functools import cache

import jax
import numpy as np
from ml_collections import ConfigDict

from jaxpose.models.openpose import OpenPose, initial_value
from jaxpose.models.pretrained_openpose import vgg19_base_weights
from jaxpose.models.weight_files import read_weights

InitialValue = Callable[[str, tuple[int, ...], np.random.Generator], np.ndarray]


def starting_values(config: ConfigDict, model: OpenPose) -> InitialValue:
    """(path, shape, generator) -> value of one parameter: ImageNet's where weights are given.

    Raises, when called:
      CheckpointError: the file of base weights is missing, damaged, or does not fit.
    """
    file = config.model.base_weights

    @cache
    def base() -> Mapping[str, np.ndarray]:
        # Read when a run starts from scratch, not when its checkpoint is restored.
        if file:
            arrays = vgg19_base_weights(model, read_weights(file), config.mean, config.channels)
            _say(f"VGG19 trunk: {len(arrays)} tensors of {file} (torchvision)")
            return arrays
        _say("VGG19 trunk: He normal, no ImageNet weights (config.model.base_weights)")
        if not config.model.batch_norm:
            _say("WARNING: without batch_norm it will hardly learn; give weights or set that")
        return {}

    def value(path: str, shape: tuple[int, ...], generator: np.random.Generator) -> np.ndarray:
        return initial_value(path, shape, generator, base=base())

    return value


def _say(text: str) -> None:
    if jax.process_index() == 0:
        print(text, flush=True)
