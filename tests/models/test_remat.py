"""Rematerialisation changes what is kept for the backward pass, and nothing else."""

import jax
import numpy as np

from jaxpose.models.hourglass import StackedHourglass, initial_value
from jaxpose.training.state import abstract_variables, flatten, nested

SIZE = (2, 64, 64, 3)
QUICK = {"xla_backend_optimization_level": 0}


def network(remat):
    return StackedHourglass(3, stacks=1, blocks=2, features=16, depth=1, remat=remat)


def loss(remat):
    """(parameters, statistics, images) -> (loss, new statistics)."""

    def of(params, stats, images):
        variables = nested(params, stats)
        maps, changed = network(remat).apply(variables, images, train=True, mutable=["batch_stats"])
        return (maps**2).sum(), flatten(changed["batch_stats"])

    return of


def test_names_values_statistics_and_gradients_stay():
    shapes = abstract_variables(network(True), SIZE[1:])
    assert shapes == abstract_variables(network(False), SIZE[1:])
    rng = np.random.default_rng(0)
    with jax.enable_x64(True):
        params, stats = (
            {n: initial_value(n, leaf.shape, rng).astype(np.float64) for n, leaf in part.items()}
            for part in shapes
        )
        found = [
            jax.jit(jax.value_and_grad(loss(remat), has_aux=True), compiler_options=QUICK)(
                params, stats, np.random.default_rng(1).normal(size=SIZE)
            )
            for remat in (False, True)
        ]
    for one, other in zip(*map(jax.tree.leaves, found), strict=True):
        np.testing.assert_allclose(other, one, rtol=1e-9, atol=1e-12)


def test_less_is_kept():
    """Not of the compiled program: on a CPU XLA finds the repeated work and drops it."""
    shapes = abstract_variables(network(False), SIZE[1:])
    images = jax.ShapeDtypeStruct(SIZE, np.float32)

    def kept(remat):
        pullback = jax.eval_shape(
            lambda *given: jax.vjp(loss(remat), *given, has_aux=True)[1], *shapes, images
        )
        return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(pullback))

    plain, again = kept(False), kept(True)
    print(f"{plain / 1e6:.2f} MB, {again / 1e6:.2f} MB")
    assert again < 0.3 * plain
