"""OpenPose's network: sizes, the layers without a ReLU, names, starting values, mistakes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxpose.errors import CheckpointError, UsageError
from jaxpose.models.named_weights import MismatchError, variable_shapes
from jaxpose.models.openpose import OpenPose, initial_value
from jaxpose.models.pretrained import load_named_weights
from jaxpose.models.pretrained_openpose import vgg19_base_weights
from jaxpose.models.source_networks import openpose_of

SMALL = OpenPose(num_parts=4, num_limbs=3, stages=3, width=1 / 16)
VGG19 = {
    "0": "conv1_1", "2": "conv1_2", "5": "conv2_1", "7": "conv2_2", "10": "conv3_1",
    "12": "conv3_2", "14": "conv3_3", "16": "conv3_4", "19": "conv4_1", "21": "conv4_2",
}  # fmt: skip


def started(model, shift=0.0):
    """Variables of `initial_value`, all biases shifted."""
    rng, params = np.random.default_rng(0), {}
    for (_, *names), shape in variable_shapes(model, 32).items():
        value = initial_value("/".join(names), shape, rng)
        place = params
        for name in names[:-1]:
            place = place.setdefault(name, {})
        place[names[-1]] = value + shift * (names[-1] == "bias")
    return {"params": params}


def caffe_weights(model, seed=0):
    """Weights of the ports for a network, under their names, with where each belongs."""
    rng, weights, places = np.random.default_rng(seed), {}, {}
    for (_, *modules, layer, tensor), shape in variable_shapes(model, 32).items():
        name = layer
        if modules and modules != ["vgg"]:
            side = {"fields": "L1", "maps": "L2"}[modules[1]]
            number, stage = layer.removeprefix("conv"), modules[0]
            first = stage == "stage1"
            name = f"conv5_{number}_CPM_{side}" if first else f"Mconv{number}_{stage}_{side}"
        name += ".weight" if tensor == "kernel" else ".bias"
        wanted = shape if len(shape) == 1 else (shape[3], shape[2], *shape[:2])
        weights[name] = rng.standard_normal(wanted).astype(np.float32)
        places[name] = (*modules, layer, tensor)
    return weights, places


def test_the_published_network_has_its_parameters():
    shapes = variable_shapes(OpenPose(18, 19), 32)
    assert sum(int(np.prod(shape)) for shape in shapes.values()) == 52_311_446
    assert shapes["params", "stage2", "maps", "conv1", "kernel"] == (7, 7, 185, 128)
    assert shapes["params", "stage6", "fields", "conv7", "kernel"] == (1, 1, 128, 38)


def test_every_layer_but_the_outputs_has_a_relu():
    """With kernels of zeros a layer gives the ReLU of its bias: outputs alone stay negative."""
    variables = started(SMALL)
    negative = jax.tree_util.tree_map_with_path(
        lambda path, leaf: np.full_like(leaf, -1 if path[-1].key == "bias" else 0), variables
    )
    images = jnp.ones((2, 16, 24, 3))
    run = jax.jit(
        lambda v: SMALL.apply(v, images, mutable="intermediates", capture_intermediates=True)
    )
    (fields, maps), taken = run(negative)
    assert fields.shape == (3, 2, 2, 3, 6) and maps.shape == (3, 2, 2, 3, 5)
    assert (fields == -1).all() and (maps == -1).all()
    features = taken["intermediates"]["vgg"]["__call__"][0]
    assert features.shape == (2, 2, 3, 32) and (features == 0).all()
    assert taken["intermediates"]["stage2"]["maps"]["conv7"]["__call__"][0].min() == -1


def test_outputs_stay_float32_under_bfloat16():
    model = OpenPose(4, 3, stages=2, width=1 / 16, batch_norm=True, dtype=jnp.bfloat16)
    images = jax.ShapeDtypeStruct((1, 16, 16, 3), jnp.float32)
    variables = jax.eval_shape(model.init, jax.random.key(0), images)
    fields, maps = jax.eval_shape(model.apply, variables, images)
    assert fields.dtype == maps.dtype == jnp.float32
    assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {jnp.dtype("float32")}
    assert "bias" not in variables["params"]["stage1"]["maps"]["conv1"]


@pytest.mark.parametrize("sizes", [(0, 3, 2), (3, 0, 2), (3, 3, 0)])
def test_sizes_without_meaning_are_refused(sizes):
    with pytest.raises(UsageError, match="all must be 1 or more"):
        OpenPose(*sizes)


@pytest.mark.parametrize("shape", [(1, 20, 16, 3), (16, 16, 3)])
def test_images_that_do_not_fit_are_refused(shape):
    with pytest.raises(UsageError, match="OpenPose: images are"):
        jax.eval_shape(SMALL.init, jax.random.key(0), jax.ShapeDtypeStruct(shape, jnp.float32))


def test_starting_values():
    rng = np.random.default_rng(0)
    hidden = initial_value("stage1/maps/conv4/kernel", (1, 1, 128, 512), rng)
    output = initial_value("stage1/maps/conv5/kernel", (1, 1, 512, 19), rng)
    later = initial_value("stage2/fields/conv5/kernel", (7, 7, 16, 16), rng)
    assert hidden.std() == pytest.approx(np.sqrt(2 / 128), rel=0.02)
    assert output.std() == pytest.approx(0.01, rel=0.05)
    assert later.std() == pytest.approx(np.sqrt(2 / 784), rel=0.05)
    assert initial_value("vgg/conv1_1_bn/scale", (4,), rng).tolist() == [1] * 4
    known = {"vgg/conv1_1/bias": np.arange(3)}
    assert initial_value("vgg/conv1_1/bias", (3,), rng, base=known).tolist() == [0, 1, 2]
    with pytest.raises(ValueError, match="no parameter"):
        initial_value("vgg/conv1_1/weight", (3,), rng)


@pytest.mark.parametrize("wrapped", [False, True])
def test_the_ports_names_load(wrapped):
    weights, places = caffe_weights(SMALL)
    named = {f"model1_1.{name}" if wrapped else name: array for name, array in weights.items()}
    assert openpose_of(named) == SMALL
    variables = load_named_weights(SMALL, named, "openpose")["params"]
    for name, path in places.items():
        leaf = variables
        for part in path:
            leaf = leaf[part]
        wanted = weights[name]
        np.testing.assert_array_equal(
            leaf, wanted.transpose(2, 3, 1, 0) if wanted.ndim == 4 else wanted
        )


def test_names_that_are_positions_in_sequences_load():
    """tensorboy's port: every module is a list of convolutions, ReLUs and, in the trunk, pools."""
    weights, _ = caffe_weights(SMALL)
    trunk = "1R1RP2R2RP3R3R3R3RP4R4R4R4R"
    places = [n for n, kind in enumerate(trunk) if kind.isdigit()]
    layers = [*VGG19.values(), "conv4_3_CPM", "conv4_4_CPM"]
    modules = {layer: f"model0.{n}" for layer, n in zip(layers, places, strict=True)}
    for side in ("L1", "L2"):
        modules |= {f"conv5_{i}_CPM_{side}": f"model1_{side[1]}.{2 * i - 2}" for i in range(1, 6)}
        for stage in (2, 3):
            for i in range(1, 8):
                name = f"Mconv{i}_stage{stage}_{side}"
                modules[name] = f"model{stage}_{side[1]}.{2 * i - 2}"
    renamed = {f"{modules[n.split('.')[0]]}.{n.split('.')[1]}": a for n, a in weights.items()}
    assert len(renamed) == len(weights) and openpose_of(renamed) == openpose_of(weights)
    ours, theirs = (load_named_weights(SMALL, w, source="openpose") for w in (weights, renamed))
    jax.tree.map(np.testing.assert_array_equal, ours, theirs)
    renamed["model0.4.weight"] = renamed.pop("model0.5.weight")  # a pool has none
    with pytest.raises(MismatchError, match="position 4.weight"):
        load_named_weights(SMALL, renamed, source="openpose")


def test_weights_that_do_not_fit_are_listed():
    weights, _ = caffe_weights(SMALL)
    del weights["Mconv7_stage3_L2.bias"]
    weights["conv9.bias"] = np.zeros(3, np.float32)
    with pytest.raises(MismatchError) as caught:
        load_named_weights(SMALL, weights, "openpose")
    assert caught.value.mismatches["missing"] == ["Mconv7_stage3_L2.bias"]
    assert caught.value.mismatches["unexpected"] == ["conv9.bias"]
    with pytest.raises(UsageError, match="unknown source 'princeton'; use openpose"):
        load_named_weights(SMALL, weights, "princeton")


@pytest.mark.parametrize("channels", ["rgb", "bgr"])
def test_imagenet_weights_see_the_same_photograph(channels):
    """The first layer on our input gives what torchvision's gives on its own."""
    model = OpenPose(1, 1, stages=1)
    shapes = variable_shapes(model, 32)
    rng, mean = np.random.default_rng(0), (128.0, 110.0, 90.0)
    weights = {
        f"features.{place}.{theirs}": np.zeros(
            shape if len(shape) == 1 else (shape[3], shape[2], *shape[:2]), np.float32
        )
        for place, layer in VGG19.items()
        for ours, theirs in (("kernel", "weight"), ("bias", "bias"))
        for shape in [shapes["params", "vgg", layer, ours]]
    }
    first = rng.standard_normal((64, 3, 3, 3)).astype(np.float32)
    weights |= {"features.0.weight": first, "features.0.bias": rng.standard_normal(64)}
    weights |= {"features.34.weight": np.zeros(3), "classifier.6.bias": np.zeros(3)}
    base = vgg19_base_weights(model, weights, mean, channels)
    assert set(base) == {"/".join(path[1:]) for path in shapes if path[1] == "vgg"}
    pixels = rng.integers(0, 256, (3, 3, 3)).astype(np.float64)  # one position's window, RGB
    theirs = (pixels / 255 - (0.485, 0.456, 0.406)) / (0.229, 0.224, 0.225)
    wanted = np.einsum("oiyx,yxi->o", first, theirs) + weights["features.0.bias"]
    ours = (pixels - mean) / 256
    ours = ours[..., ::-1] if channels == "bgr" else ours
    kernel, bias = base["vgg/conv1_1/kernel"], base["vgg/conv1_1/bias"]
    np.testing.assert_allclose(np.einsum("yxio,yxi->o", kernel, ours) + bias, wanted, atol=1e-3)
    with pytest.raises(CheckpointError, match=r"torchvision_vgg19 do not fit OpenPose\("):
        vgg19_base_weights(SMALL, weights, mean, channels)
