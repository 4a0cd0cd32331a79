"""BatchNorm that became part of a convolution: the same outputs from fewer layers."""

import jax
import numpy as np
import pytest

from jaxpose.models.folding import fold_batch_norm, folded_into
from jaxpose.models.hourglass import StackedHourglass
from jaxpose.models.ssd import SSD
from jaxpose.training.state import abstract_variables, nested

# A network with BatchNorm, the network that its folded weights belong to, and how many of its
# BatchNorms fold: all 19 of the small SSD; 2 of 3 in each of 8 residuals, and both of the others.
PAIRS = {
    "ssd": (
        SSD(64, 2, batch_norm=True, width=0.125),
        SSD(64, 2, width=0.125),
        (19, 19),
    ),
    "hourglass": (
        StackedHourglass(3, stacks=1, blocks=1, features=16, depth=1),
        StackedHourglass(3, stacks=1, blocks=1, features=16, depth=1, folded=True),
        (8 * 2 + 2, 8 * 3 + 2),
    ),
}


def trained(model):
    """Parameters and statistics that look as after a training."""
    rng = np.random.default_rng(0)
    params, stats = abstract_variables(model, (64, 64, 3))

    def filled(path, shape):
        name = path.rpartition("/")[2]
        if name in ("scale", "var"):
            return rng.uniform(0.5, 2, shape).astype(np.float32)
        scale = np.sqrt(2 / np.prod(shape[:-1])) if name == "kernel" else 0.3
        return (scale * rng.normal(size=shape)).astype(np.float32)

    return tuple({p: filled(p, leaf.shape) for p, leaf in flat.items()} for flat in (params, stats))


@pytest.mark.parametrize("name", PAIRS)
def test_folded_networks_compute_the_same(name):
    model, smaller, (folded, all_norms) = PAIRS[name]
    params, stats = trained(model)
    before = {path: value.copy() for path, value in (params | stats).items()}
    new_params, new_stats = fold_batch_norm(params, stats)
    assert len(stats) == 2 * all_norms and len(stats) - len(new_stats) == 2 * folded
    wanted = abstract_variables(smaller, (64, 64, 3))
    for found, flat in zip((new_params, new_stats), wanted, strict=True):
        assert {p: (v.shape, v.dtype) for p, v in found.items()} == {
            p: (leaf.shape, leaf.dtype) for p, leaf in flat.items()
        }
    images = np.random.default_rng(1).normal(size=(2, 64, 64, 3)).astype(np.float32)
    expected = jax.tree.leaves(jax.jit(model.apply)(nested(params, stats), images))
    outputs = jax.tree.leaves(jax.jit(smaller.apply)(nested(new_params, new_stats), images))
    for ours, theirs in zip(outputs, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=2e-5 * np.abs(theirs).max())
    # What was handed in is unchanged.
    assert all((before[path] == value).all() for path, value in (params | stats).items())


def test_only_a_convolution_that_feeds_nothing_else_takes_a_batch_norm():
    names = ["stem/conv", "stem/res1/conv1", "stem/res1/conv2", "vgg/conv1_1", "conv6_1"]
    names += ["stack0/linear_conv"]
    expected = {
        "stem/bn": "stem/conv",
        "stem/res1/bn1": None,  # of the residual's input, which is added to its output as well
        "stem/res1/bn2": "stem/res1/conv1",
        "stem/res1/bn3": "stem/res1/conv2",
        "stack0/linear_bn": "stack0/linear_conv",
        "vgg/conv1_1_bn": "vgg/conv1_1",
        "conv6_1_bn": "conv6_1",
        "conv9_9_bn": None,
    }
    assert {norm: folded_into(norm, names) for norm in expected} == expected
