"""Rematerialisation changes what is kept for the backward pass, and nothing else."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np
import pytest

from jaxpose.defaults import DEFAULTS
from jaxpose.models import hourglass, openpose, ssd
from jaxpose.models.hourglass import StackedHourglass
from jaxpose.models.openpose import OpenPose
from jaxpose.models.ssd import SSD
from jaxpose.pipelines.benchmark_batches import completed
from jaxpose.tasks import make_task
from jaxpose.training.state import abstract_variables, flatten, nested

SIZE = (2, 64, 64, 3)
QUICK = {"xla_backend_optimization_level": 0}


class Case(NamedTuple):
    """How a network is built and filled, and how much of what it keeps may be left."""

    build: Callable[..., Any]
    initial_value: Callable[..., np.ndarray]
    share: float


CASES = {
    "hourglass": Case(
        partial(StackedHourglass, 3, stacks=1, blocks=2, features=16, depth=1),
        hourglass.initial_value,
        0.3,
    ),
    "ssd": Case(
        partial(SSD, 64, 3, batch_norm=True, width=0.125, dtype=None), ssd.initial_value, 0.5
    ),
    "openpose": Case(
        partial(OpenPose, 3, 2, stages=2, batch_norm=True, width=0.125, dtype=None),
        openpose.initial_value,
        0.5,
    ),
}


@pytest.fixture(params=CASES)
def case(request):
    return CASES[request.param]


def loss(network):
    """(parameters, statistics, images) -> (loss, new statistics)."""

    def of(params, stats, images):
        variables = nested(params, stats)
        outputs, changed = network.apply(variables, images, train=True, mutable=["batch_stats"])
        total = sum((leaf**2).sum() for leaf in jax.tree.leaves(outputs))
        return total, flatten(changed["batch_stats"])

    return of


def test_names_values_statistics_and_gradients_stay(case):
    networks = [case.build(remat=remat) for remat in (False, True)]
    shapes, others = (abstract_variables(network, SIZE[1:]) for network in networks)
    assert shapes == others
    rng = np.random.default_rng(0)

    def values(leaves):
        made = {n: case.initial_value(n, leaf.shape, rng) for n, leaf in leaves.items()}
        return {n: value.astype(np.float64) for n, value in made.items()}

    with jax.enable_x64(True):
        given = (*map(values, shapes), np.random.default_rng(1).normal(size=SIZE))
        found = []
        for network in networks:
            step = jax.value_and_grad(loss(network), has_aux=True)
            found.append(jax.jit(step, compiler_options=QUICK)(*given))
    for one, other in zip(*map(jax.tree.leaves, found), strict=True):
        np.testing.assert_allclose(other, one, rtol=1e-9, atol=1e-12)


def test_less_is_kept(case):
    """Not of the compiled program: on a CPU XLA finds the repeated work and drops it."""
    shapes = abstract_variables(case.build(), SIZE[1:])
    images = jax.ShapeDtypeStruct(SIZE, np.float32)

    def kept(remat):
        of = loss(case.build(remat=remat))
        pullback = jax.eval_shape(
            lambda *given: jax.vjp(of, *given, has_aux=True)[1], *shapes, images
        )
        return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(pullback))

    plain, again = kept(False), kept(True)
    print(f"{plain / 1e6:.2f} MB, {again / 1e6:.2f} MB")
    assert again < case.share * plain


@pytest.mark.parametrize("name", DEFAULTS)
def test_the_config_decides(name):
    config = DEFAULTS[name]()
    if name == "detection":
        config.classes = ("person",)
    else:
        config.skeleton = "data"
    completed(config)
    assert not make_task(config).model.remat
    config.model.remat = True
    assert make_task(config).model.remat
