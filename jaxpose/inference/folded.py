"""A restored network with its BatchNorms multiplied into its convolutions, for estimating only."""

import copy

import jax

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
    batch_stats = network.variables.get("batch_stats", {})
    if not batch_stats:
        return network
    params = jax.device_get(flatten(network.variables["params"]))
    params, kept = fold_batch_norm(params, jax.device_get(flatten(batch_stats)))
    config = copy.deepcopy(network.config)
    with config.unlocked():
        if config.task == "pose":
            config.model.folded = True
        else:
            config.model.batch_norm = False
    task = make_task(config)
    return network._replace(
        config=config, task=task, variables=jax.device_put(nested(params, kept))
    )
