import jax
import numpy as np
import pytest

from jaxpose.errors import CheckpointError, UsageError
from jaxpose.models.pretrained import load_named_weights
from jaxpose.models.pretrained_ssd import vgg_base_weights, vgg_source
from jaxpose.models.ssd import SSD

VGG_PLACES = (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)
VGG_CHANNELS = (64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512)


def layer_shapes(name, out, inside, size):
    return {f"{name}.weight": (out, inside, size, size), f"{name}.bias": (out,)}


def vgg_shapes(prefix="", width=1):
    """Tensors of conv1_1 to conv5_3; `width` divides the channels."""
    shapes, inside = {}, 3
    for place, channels in zip(VGG_PLACES, VGG_CHANNELS, strict=True):
        shapes |= layer_shapes(f"{prefix}{place}", channels // width, inside, 3)
        inside = channels // width
    return shapes


def torchvision_ssd_shapes(classes, width=1):
    """Tensors of torchvision's ssd300_vgg16, as its module tree prints."""
    shapes = {"backbone.scale_weight": (512 // width,)}
    for name, shape in vgg_shapes(width=width).items():
        place, tensor = name.split(".")
        block = f"features.{place}" if int(place) < 23 else f"extra.0.{int(place) - 23}"
        shapes[f"backbone.{block}.{tensor}"] = shape
    inside = 1024 // width
    shapes |= layer_shapes("backbone.extra.0.7.1", inside, 512 // width, 3)
    shapes |= layer_shapes("backbone.extra.0.7.3", inside, inside, 1)
    for block, (narrow, out) in enumerate(((256, 512), (128, 256), (128, 256), (128, 256)), 1):
        shapes |= layer_shapes(f"backbone.extra.{block}.0", narrow // width, inside, 1)
        shapes |= layer_shapes(f"backbone.extra.{block}.2", out // width, narrow // width, 3)
        inside = out // width
    sources = zip((512, 1024, 512, 256, 256, 256), (4, 6, 6, 6, 4, 4), strict=True)
    for level, (inside, boxes) in enumerate(sources):
        for head, values in (("classification", classes), ("regression", 4)):
            name = f"head.{head}_head.module_list.{level}"
            shapes |= layer_shapes(name, boxes * values, inside // width, 3)
    return shapes


def numbered(shapes):
    """Every tensor filled with another number."""
    return {n: np.full(shape, i, np.float32) for i, (n, shape) in enumerate(shapes.items())}


def test_torchvision_detector_lands_where_its_names_say():
    weights = numbered(torchvision_ssd_shapes(classes=3, width=8))
    name = "backbone.extra.3.2.weight"
    weights[name] = np.random.default_rng(0).normal(size=weights[name].shape).astype(np.float32)

    params = load_named_weights(SSD(300, 3, width=0.125), weights, "torchvision_ssd")["params"]

    kernel = params["conv8_2"]["kernel"]
    np.testing.assert_array_equal(kernel[2, 1, 5, 7], weights[name][7, 5, 2, 1])
    for layer, tensor, name in (
        (params["vgg"]["conv4_3"], "kernel", "backbone.features.21.weight"),
        (params["vgg"]["conv5_1"], "bias", "backbone.extra.0.1.bias"),
        (params["vgg"]["fc7"], "bias", "backbone.extra.0.7.3.bias"),
        (params["l2norm"], "scale", "backbone.scale_weight"),
        (params["conv9_1"], "bias", "backbone.extra.4.0.bias"),
        (params["loc_5"], "bias", "head.regression_head.module_list.5.bias"),
        (params["conf_0"], "kernel", "head.classification_head.module_list.0.weight"),
    ):
        assert layer[tensor].flat[0] == weights[name].flat[0], name
    used = [leaf.flat[0] for leaf in jax.tree.leaves(params)]
    assert len(set(used)) == len(used) == len(weights)
    with pytest.raises(UsageError, match="torchvision_ssd is an SSD300, not an SSD512"):
        load_named_weights(SSD(512, 3, width=0.125), weights, "torchvision_ssd")


def test_ssd_mismatches_are_reported_in_one_line():
    weights = numbered(torchvision_ssd_shapes(classes=3, width=8))
    weights["backbone.extra.5.0.weight"] = weights.pop("backbone.scale_weight")
    with pytest.raises(CheckpointError) as error:
        load_named_weights(SSD(300, 4, width=0.125), weights, "torchvision_ssd")
    message = str(error.value)
    assert "1 missing (backbone.scale_weight)" in message
    assert "1 unexpected (backbone.extra.5.0.weight)" in message
    assert "12 of wrong shape (head.classification_head.module_list.0.bias (12,) inst" in message
    assert "SSD(image_size=300, num_classes=4, batch_norm=False, width=0.125)" in message
    assert "\n" not in message
    with pytest.raises(UsageError, match="'princeton'; use one of: ssd_pytorch, torchvision_ssd, "):
        load_named_weights(SSD(300, 3), weights, "princeton")


@pytest.fixture(scope="module")
def classifier():
    """The classifier of VGG16: known where decimation reads, zero elsewhere."""
    fc6 = np.zeros((4096, 512 * 7 * 7), np.float32)
    read = fc6.reshape(4096, 512, 7, 7)[::4, :, ::3, ::3]
    read[:] = np.arange(read.size, dtype=np.float32).reshape(read.shape)
    fc7 = np.zeros((4096, 4096), np.float32)
    fc7[::4, ::4] = np.arange(1024 * 1024, dtype=np.float32).reshape(1024, 1024)
    biases = {f"classifier.{n}.bias": np.arange(4096, dtype=np.float32) + n for n in (0, 3)}
    return {"classifier.0.weight": fc6, "classifier.3.weight": fc7, **biases}


@pytest.fixture(scope="module")
def torchvision_weights(classifier):
    """State dict of torchvision's vgg16 (with 5 classes, the last layer being unused)."""
    last = numbered(layer_shapes("classifier.6", 5, 4096, 1))
    return numbered(vgg_shapes("features.")) | classifier | last


def test_torchvision_classifier_is_decimated(torchvision_weights):
    base = vgg_base_weights(SSD(300, 2), torchvision_weights, "torchvision_vgg16", pixels=False)

    assert len(base) == 2 * 15 and {name.split("/")[0] for name in base} == {"vgg"}
    fc6 = base["vgg/fc6/kernel"]  # [y, x, in, out]
    assert fc6.shape == (3, 3, 512, 1024)
    np.testing.assert_array_equal(fc6.transpose(3, 2, 0, 1).ravel(), np.arange(1024 * 512 * 9))
    fc7 = base["vgg/fc7/kernel"]
    assert fc7.shape == (1, 1, 1024, 1024)
    np.testing.assert_array_equal(fc7[0, 0].T.ravel(), np.arange(1024 * 1024))
    np.testing.assert_array_equal(base["vgg/fc6/bias"], np.arange(0, 4096, 4))
    np.testing.assert_array_equal(base["vgg/fc7/bias"], np.arange(3, 4099, 4))
    assert base["vgg/conv5_3/bias"][0] == torchvision_weights["features.28.bias"][0] == 25


def test_conv1_1_is_adapted_to_pixels_where_it_was_trained_on_normalised_images(
    torchvision_weights,
):
    weights = torchvision_weights | {"features.0.weight": np.ones((64, 3, 3, 3), np.float32)}
    kernel = vgg_base_weights(SSD(300, 2), weights, "torchvision_vgg16")["vgg/conv1_1/kernel"]
    rgb = np.array([200.0, 100.0, 50.0])  # minus the mean, in 0..255
    normalised = rgb / 255 / (0.229, 0.224, 0.225)
    np.testing.assert_allclose(rgb @ kernel[1, 1], np.full(64, normalised.sum()), rtol=1e-6)
    np.testing.assert_array_equal(weights["features.0.weight"], 1)  # the caller's array

    # IMAGENET1K_FEATURES: trained on pixels, and its classifier is NaN.
    nan = {
        name: np.broadcast_to(np.float32(np.nan), array.shape)
        for name, array in weights.items()
        if name.startswith("classifier")
    }
    base = vgg_base_weights(SSD(300, 2), weights | nan, "torchvision_vgg16")
    assert (base["vgg/conv1_1/kernel"] == 1).all()
    assert len(base) == 2 * 13 and "vgg/fc6/kernel" not in base


def test_features_alone_leave_fc6_and_fc7_to_the_initialisation():
    weights = numbered(vgg_shapes("module.features."))  # of DataParallel
    model = SSD(300, 2)
    assert len(vgg_base_weights(model, weights, "torchvision_vgg16")) == 2 * 13
    params = load_named_weights(model, weights, "torchvision_vgg16")["params"]
    assert params["vgg"]["conv1_2"]["bias"][0] == 3
    assert (params["vgg"]["conv1_1"]["kernel"] == 0).all()  # not adapted
    for layer in (params["vgg"]["fc6"], params["conv7_2"], params["conf_1"]):
        assert layer["kernel"].std() == pytest.approx(0.01, rel=0.02)
        assert (layer["bias"] == 0).all()
    assert (params["l2norm"]["scale"] == 20).all()
    again = load_named_weights(model, weights, "torchvision_vgg16")["params"]
    assert jax.tree.all(jax.tree.map(np.array_equal, params, again))


def reducedfc_weights(prefix=""):
    shapes = vgg_shapes(prefix) | layer_shapes(f"{prefix}31", 1024, 512, 3)
    return numbered(shapes | layer_shapes(f"{prefix}33", 1024, 1024, 1))


@pytest.mark.parametrize("prefix", ["", "vgg.", "module.", "module.vgg."])
def test_reducedfc_is_known_under_prefixes(prefix):
    weights = reducedfc_weights(prefix)
    assert vgg_source(weights) == "vgg16_reducedfc"
    base = vgg_base_weights(SSD(512, 2), weights, "vgg16_reducedfc")
    values = {name: array.flat[0] for name, array in base.items()}
    assert values["vgg/conv1_1/kernel"] == 0 and values["vgg/conv3_3/bias"] == 13
    assert values["vgg/fc6/kernel"] == 26 and values["vgg/fc7/bias"] == 29
    assert len(set(values.values())) == 30


def test_base_weights_that_do_not_fit_are_refused(torchvision_weights):
    weights = reducedfc_weights()
    with pytest.raises(CheckpointError, match=r"width=0.5\): 30 of wrong shape \(0.bias \(64,\)"):
        vgg_base_weights(SSD(300, 2, width=0.5), weights, "vgg16_reducedfc")
    with pytest.raises(CheckpointError, match="batch_norm=True.* missing .* 15 unexpected"):
        vgg_base_weights(SSD(300, 2, batch_norm=True), weights, "vgg16_reducedfc")
    vgg19 = torchvision_weights | numbered(layer_shapes("features.34", 512, 512, 3))
    with pytest.raises(CheckpointError, match=r"2 unexpected \(features.34.weight"):
        vgg_base_weights(SSD(300, 2), vgg19, "torchvision_vgg16")
    partial = {n: a for n, a in torchvision_weights.items() if n != "classifier.3.bias"}
    with pytest.raises(CheckpointError, match=r"1 missing \(classifier.3.bias\)"):
        vgg_base_weights(SSD(300, 2), partial, "torchvision_vgg16")
    with pytest.raises(UsageError, match="'ssd_pytorch'; use one of: torchvision_vgg16, vgg16_red"):
        vgg_base_weights(SSD(300, 2), weights, "ssd_pytorch")


@pytest.mark.parametrize(
    ("names", "found"),
    [
        (["conv1.weight", "a", "b", "c"], r"4 names \(a, b, c, \.\.\.\)"),
        ([], r"0 names \(\)"),
        (["vgg.0.weight", "L2Norm.weight"], "a whole detector of ssd_pytorch"),
        (["module.vgg.0.weight", "module.loc.0.bias"], "a whole detector of ssd_pytorch"),
        (["backbone.features.0.weight"], "a whole detector of torchvision_ssd"),
    ],
)
def test_vgg_source_says_what_it_found(names, found):
    assert vgg_source(["features.0.weight", "classifier.6.bias"]) == "torchvision_vgg16"
    with pytest.raises(CheckpointError, match=f"found {found}, neither torchvision_vgg16"):
        vgg_source(names)
