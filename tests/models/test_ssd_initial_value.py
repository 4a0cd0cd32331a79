"""Starting values of SSD's parameters, by their statistics."""

import flax.linen as nn
import jax
import numpy as np
import pytest

from jaxpose.errors import UsageError
from jaxpose.models.ssd import SSD, initial_value

SHAPE = (3, 3, 64, 128)
FAN_IN = 3 * 3 * 64


def kernel(path, **options):
    return initial_value(f"{path}/kernel", SHAPE, np.random.default_rng(3), **options)


def check_normal(values, std):
    assert values.dtype == np.float32 and values.shape == SHAPE
    assert values.std() == pytest.approx(std, rel=0.02)
    assert abs(values.mean()) < 0.02 * std
    assert np.mean(np.abs(values) < std) == pytest.approx(0.6827, abs=0.01)


NEW = ["vgg/fc6", "vgg/fc7", "conv6_1", "conv10_2", "loc_0", "conf_6"]


def test_initial_kernels_have_their_statistics():
    he = np.sqrt(2 / FAN_IN)
    for layer in ("vgg/conv1_1", "vgg/conv5_3"):
        check_normal(kernel(layer), he)
        check_normal(kernel(layer, head_init="xavier"), he)
    for layer in NEW:
        check_normal(kernel(layer), 0.01)
        check_normal(kernel(layer, head_init_std=0.03), 0.03)
        check_normal(kernel(layer, batch_norm=True), 0.01 if layer in NEW[-2:] else he)
        values = kernel(layer, head_init="xavier")
        bound = np.sqrt(3 / FAN_IN)
        assert np.abs(values).max() == pytest.approx(bound, rel=1e-3)
        assert np.mean(np.abs(values) < bound / 2) == pytest.approx(0.5, abs=0.01)
        assert abs(values.mean()) < 0.02 * bound


def test_other_initial_values():
    rng = np.random.default_rng(0)
    for path, value in {
        "vgg/conv1_1/bias": 0,
        "conf_0/bias": 0,
        "l2norm/scale": 20,
        "vgg/fc6_bn/scale": 1,
        "conv6_1_bn/bias": 0,
        "conv6_1_bn/mean": 0,
        "conv6_1_bn/var": 1,
    }.items():
        np.testing.assert_array_equal(initial_value(path, (2,), rng), np.full(2, value, np.float32))
    known = {"vgg/conv1_1/bias": np.array([1.0, 2.0])}
    np.testing.assert_array_equal(initial_value("vgg/conv1_1/bias", (2,), rng, base=known), [1, 2])
    np.testing.assert_array_equal(initial_value("vgg/fc6/bias", (2,), rng, base=known), [0, 0])
    with pytest.raises(ValueError, match="'l2norm/bias' names no"):
        initial_value("l2norm/bias", (2,), rng)
    with pytest.raises(UsageError, match="head_init: unknown 'he'; use normal or xavier"):
        initial_value("conf_0/bias", (2,), rng, head_init="he")


@pytest.mark.parametrize("batch_norm", [False, True])
def test_flax_initialises_alike(batch_norm):
    """`init` is for experiments; it must not start from other spreads than the trainer."""
    inits = {}

    def record(call, args, kwargs, context):
        if isinstance(context.module, nn.Conv):
            inits["/".join(context.module.path)] = context.module.kernel_init
        return call(*args, **kwargs)

    with nn.intercept_methods(record):
        image = jax.ShapeDtypeStruct((1, 512, 512, 3), np.float32)
        jax.eval_shape(SSD(512, 2, batch_norm=batch_norm).init, jax.random.key(0), image)
    draws = {init: np.asarray(init(jax.random.key(0), SHAPE)) for init in set(inits.values())}
    assert len(draws) == 2 and {"vgg/conv1_1", "conf_6"} < inits.keys()
    for layer, init in inits.items():
        check_normal(draws[init], kernel(layer, batch_norm=batch_norm).std())
