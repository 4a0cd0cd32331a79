"""A restored network with its BatchNorms multiplied into its convolutions, for estimating only."""

import copy
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from jax.typing import DTypeLike

from jaxpose.inference.restore import Restored
from jaxpose.models.folding import fold_batch_norm
from jaxpose.tasks import make_task
from jaxpose.training.state import flatten, nested


def folded(network: Restored) -> Restored:
    """The same network for inference, without the BatchNorms that a convolution can take over.

    Those are all of an SSD or an OpenPose network, two in three of an hourglass (see
    `models.folding`). The result equals that of the network but for rounding; its config describes
    the network without them. A network that has none comes back as it is.
    """
    if not network.variables.get("batch_stats", {}):
        return network
    variables = jax.device_put(folded_variables(jax.device_get(network.variables)))
    config = copy.deepcopy(network.config)
    with config.unlocked():
        if config.task == "pose":
            config.model.folded = True
        else:
            config.model.batch_norm = False
    task = make_task(config)
    return network._replace(config=config, task=task, variables=variables)


def folded_variables(variables: Mapping[str, Any], dtype: DTypeLike = np.float64) -> dict[str, Any]:
    """Nested variables of a network -> those of the `folded` one; `dtype` as of `fold_batch_norm`.

    Where nothing is left to fold, the same come back.
    """
    params, batch_stats = (flatten(variables.get(name, {})) for name in ("params", "batch_stats"))
    return nested(*fold_batch_norm(params, batch_stats, dtype))
