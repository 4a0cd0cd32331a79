"""Parity with a PyTorch port of OpenPose's network, weights loaded by name (golden l).

Weights follow the recipe of the golden vectors: every tensor is drawn from a generator seeded by
the CRC-32 of its name. That port has a ReLU after the maps of the last stage, by a misspelt name.
"""

import zlib
from pathlib import Path

import jax
import numpy as np

from jaxpose.models.named_weights import variable_shapes
from jaxpose.models.openpose import OpenPose
from jaxpose.models.pretrained import load_named_weights
from jaxpose.models.pretrained_openpose import _source_name

GOLDEN = np.load(Path(__file__).parents[1] / "golden" / "l_openpose_network.npz")


def drawn(name, shape):
    """One tensor of the recipe, in PyTorch's layout."""
    normal = np.random.RandomState(zlib.crc32(f"openpose.{name}".encode())).standard_normal(shape)
    scale = np.sqrt(2 / np.prod(shape[1:])) if len(shape) == 4 else 0.05
    return (normal * scale).astype(np.float32)


def test_last_stage_equals_the_ports():
    model = OpenPose(18, 19)
    weights = {}
    for path, shape in variable_shapes(model, 32).items():
        name = _source_name(path)
        weights[name] = drawn(name, shape if len(shape) == 1 else (*shape[:1:-1], *shape[:2]))
    variables = load_named_weights(model, weights, "openpose")
    images = np.random.RandomState(12).uniform(-0.5, 0.5, (1, 3, 184, 216)).astype(np.float32)

    @jax.jit
    def last_stage(variables, images):
        fields, maps = model.apply(variables, images)
        return fields[-1, 0], maps[-1, 0]

    fields, maps = map(np.asarray, last_stage(variables, images.transpose(0, 2, 3, 1)))
    for found, name in (
        (fields, "net_paf_stage6"),
        (np.maximum(maps, 0), "net_heat_stage6_with_relu"),
    ):
        wanted = GOLDEN[name].transpose(1, 2, 0)
        np.testing.assert_allclose(found[::2, ::2], wanted, atol=1e-4 * wanted.std())
    np.testing.assert_allclose([fields.mean(), fields.std()], GOLDEN["net_paf_stats"], rtol=1e-3)
    assert maps.min() < -0.1, "there is no ReLU after the maps"
