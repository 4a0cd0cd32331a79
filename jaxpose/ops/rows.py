"""Work on a batch that needs no row of another device."""

from collections.abc import Callable
from typing import Any

import jax
from jax.sharding import PartitionSpec


def on_own_rows(function: Callable[..., Any]) -> Callable[..., Any]:
    """`function` of batches, run by each device on its own rows of them.

    For functions with loops that end when every row is done: compiled for a batch that is split
    over devices, such a loop asks all devices before each round. That costs a collective a round,
    and between processes of CPUs it ends the job now and then (Gloo, jax 0.10): a collective inside
    a loop and one outside may reach two processes in different order.

    Args:
      function: arrays [B, ...] -> arrays [B, ...] (trees of them), row by row.

    Returns:
      The same function. Under a mesh of several devices (`jax.sharding.use_abstract_mesh`, as the
      jitted steps enter it) its loops are local; elsewhere it is `function` itself.
    """

    def apply(*batches: Any) -> Any:
        mesh = jax.sharding.get_abstract_mesh()
        if mesh.empty or mesh.size == 1:
            return function(*batches)
        rows = PartitionSpec(mesh.axis_names)
        # Loops begin with constants, the same on every device, and go on with what differs.
        local = jax.shard_map(function, in_specs=rows, out_specs=rows, check_vma=False)
        return local(*batches)

    return apply
