import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.traverse_util import flatten_dict
from jax.test_util import check_grads

from jaxpose.errors import UsageError
from jaxpose.models.pooling import max_pool
from jaxpose.models.ssd import SSD, L2Norm, initial_value
from jaxpose.models.vgg import scaled
from jaxpose.ops.default_boxes import BOXES_PER_CELL, FEATURE_SIZES, default_boxes

VGG = [
    f"conv{block}_{index}"
    for block, count in enumerate((2, 2, 3, 3, 3), start=1)
    for index in range(1, count + 1)
]


def abstract(model):
    image = jax.ShapeDtypeStruct((1, model.image_size, model.image_size, 3), jnp.float32)
    return jax.eval_shape(model.init, jax.random.key(0), image)


def shapes(model):
    """Collection -> path of a variable -> its shape and dtype."""
    return {name: flatten_dict(tree, sep="/") for name, tree in abstract(model).items()}


def count(model):
    return sum(leaf.size for leaf in shapes(model)["params"].values())


def filled(model, **options):
    """Variables of the model from `initial_value`, nested."""
    generator = np.random.default_rng(0)

    def fill(path, leaf):
        names = "/".join(key.key for key in path[1:])
        return initial_value(names, leaf.shape, generator, **options)

    return jax.tree.map_with_path(fill, abstract(model))


@pytest.mark.parametrize(
    ("size", "classes", "expected"),
    # 91: num_params that torchvision publishes for ssd300_vgg16
    [(300, 21, 26_285_486), (512, 21, 27_188_676), (300, 91, 35_641_826)],
)
def test_parameter_counts_are_the_published_ones(size, classes, expected):
    assert count(SSD(size, classes)) == expected


@pytest.mark.parametrize(("size", "extras"), [(300, range(6, 10)), (512, range(6, 11))])
def test_layers_have_the_names_of_caffe(size, extras):
    params = shapes(SSD(size, 2))["params"]
    levels = range(len(FEATURE_SIZES[size]))
    expected = [f"vgg/{name}" for name in [*VGG, "fc6", "fc7"]]
    expected += [f"conv{number}_{index}" for number in extras for index in (1, 2)]
    expected += [f"{head}_{level}" for head in ("loc", "conf") for level in levels]
    names = {f"{name}/{tensor}" for name in expected for tensor in ("kernel", "bias")}
    assert params.keys() == names | {"l2norm/scale"}
    assert params["vgg/fc6/kernel"].shape == (3, 3, 512, 1024)
    assert params["conf_0/kernel"].shape == (3, 3, 512, 4 * 2)


@pytest.mark.parametrize(("size", "classes"), [(64, 2), (300, 2), (300, 21), (512, 21)])
def test_outputs_have_a_row_for_every_default_box(size, classes):
    model = SSD(size, classes, width=0.125)
    images = jax.ShapeDtypeStruct((3, size, size, 3), jnp.float32)
    variables = jax.eval_shape(model.init, jax.random.key(0), images)
    (logits, offsets), state = jax.eval_shape(
        lambda v, x: model.apply(v, x, capture_intermediates=True), variables, images
    )
    boxes = len(default_boxes(size))
    assert logits.shape == (3, boxes, classes) and offsets.shape == (3, boxes, 4)
    heads = state["intermediates"]
    for level, (side, cell) in enumerate(
        zip(FEATURE_SIZES[size], BOXES_PER_CELL[size], strict=True)
    ):
        assert heads[f"loc_{level}"]["__call__"][0].shape == (3, side, side, cell * 4)


@pytest.mark.parametrize(
    ("channels", "width", "expected"),
    [
        (64, 1, 64),
        (64, 0.125, 8),
        (64, 0.01, 8),
        (128, 0.3, 40),
        (1024, 0.5, 512),
        (64, 0.1875, 16),
    ],
)
def test_width_rounds_to_multiples_of_8(channels, width, expected):
    assert scaled(channels, width) == expected


def test_pooling_is_in_ceil_mode():
    x = jnp.arange(-9.0, 0.0).reshape(1, 3, 3, 1)  # a padding of zeros would win
    np.testing.assert_array_equal(max_pool(x)[0, :, :, 0], [[-5, -4], [-2, -1]])
    np.testing.assert_array_equal(max_pool(x[:, :2, :2])[0, :, :, 0], [[-5]])


def test_l2norm_divides_by_the_length_over_channels():
    x = np.zeros((1, 2, 1, 2), np.float32)
    x[0, 0, 0], x[0, 1, 0] = (3, -4), (0, 1e-5)  # the second is as long as the epsilon's root
    variables = {"params": {"scale": np.array([20.0, 10.0], np.float32)}}
    y = L2Norm().apply(variables, x)
    np.testing.assert_allclose(y[0, 0, 0], [12, -8], rtol=1e-6)
    np.testing.assert_allclose(y[0, 1, 0], [0, 10 / np.sqrt(2)], rtol=1e-5)


def test_l2norm_rounds_to_bfloat16_only_at_the_end():
    x = jnp.asarray(np.random.default_rng(0).normal(size=(1, 4, 4, 512)), jnp.bfloat16)
    variables = {"params": {"scale": np.full(512, 20, np.float32)}}
    half = L2Norm(dtype=jnp.bfloat16).apply(variables, x)
    exact = L2Norm().apply(variables, x.astype(jnp.float32))
    assert half.dtype == jnp.bfloat16
    np.testing.assert_array_equal(half, exact.astype(jnp.bfloat16))


def test_gradient_of_l2norm_is_right_and_finite_at_zero():
    with jax.enable_x64(True):
        rng = np.random.default_rng(0)
        x, scale = rng.normal(size=(1, 2, 2, 5)), rng.normal(size=5)

        def norm(x, scale):
            return L2Norm(dtype=None).apply({"params": {"scale": scale}}, x)

        assert norm(x, scale).dtype == np.float64
        check_grads(norm, (x, scale), order=1, modes=["rev"], atol=1e-6, rtol=1e-6)
        zero = jnp.zeros((1, 1, 1, 5))
        jacobian = jax.jacrev(norm)(zero, scale).reshape(5, 5)
    # d/dx of scale * x / sqrt(x^2 + 1e-10) at 0
    np.testing.assert_allclose(jacobian, np.diag(scale * 1e5), rtol=1e-9)


def test_batch_norm_and_width_train():
    model = SSD(64, 3, batch_norm=True, width=0.125)
    variables = filled(model, batch_norm=True)
    params, stats = variables["params"], variables["batch_stats"]
    names = flatten_dict(params, sep="/")
    biases = {name for name in names if name.endswith("/bias")}
    heads = {f"{head}_{level}/bias" for head in ("loc", "conf") for level in range(4)}
    normalised = [*(f"vgg/{name}" for name in [*VGG, "fc6", "fc7"])]
    normalised += [f"conv{number}_{index}" for number in range(6, 8) for index in (1, 2)]
    assert biases == heads | {f"{name}_bn/bias" for name in normalised}
    images = np.random.default_rng(1).uniform(-120, 130, (2, 64, 64, 3)).astype(np.float32)

    def loss(params):
        (logits, offsets), updated = model.apply(
            {"params": params, "batch_stats": stats}, images, train=True, mutable=["batch_stats"]
        )
        return (logits**2).mean() + (offsets**2).mean(), updated["batch_stats"]

    grads, updated = jax.jit(jax.grad(loss, has_aux=True))(params)

    for name, grad in flatten_dict(grads, sep="/").items():
        assert np.isfinite(grad).all() and np.abs(grad).max() > 0, name
    first = updated["vgg"]["conv1_1_bn"]
    assert first["mean"].dtype == np.float32 and first["mean"].shape == (8,)
    kernel = params["vgg"]["conv1_1"]["kernel"]
    patches = np.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)))
    rows = sum(
        patches[:, i : i + 64, j : j + 64].reshape(-1, 3).astype(np.float64) @ kernel[i, j]
        for i in range(3)
        for j in range(3)
    )
    np.testing.assert_allclose(first["mean"], 0.1 * rows.mean(0), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(first["var"], 0.9 + 0.1 * rows.var(0), rtol=1e-4)


def test_bfloat16_computes_but_does_not_store():
    variables = filled(SSD(64, 2, width=0.125), batch_norm=True)  # He: values of useful size
    images = np.random.default_rng(1).uniform(-120, 130, (1, 64, 64, 3)).astype(np.float32)
    half = SSD(64, 2, width=0.125, dtype=jnp.bfloat16)
    assert {leaf.dtype for leaf in shapes(half)["params"].values()} == {np.dtype(np.float32)}

    exact = SSD(64, 2, width=0.125).apply(variables, images)
    # One operation at a time: XLA on the CPU (jaxlib 0.12.0) fuses pooling and convolution in
    # bfloat16 into a kernel that reads what is not there, and gives NaN.
    rounded, state = half.apply(
        variables, images, capture_intermediates=lambda module, _: module.name == "conv6_2"
    )

    assert state["intermediates"]["conv6_2"]["__call__"][0].dtype == jnp.bfloat16
    for ours, reference in zip(rounded, exact, strict=True):
        assert ours.dtype == np.float32
        error = np.abs(ours - reference).max() / reference.std()
        assert 1e-5 < error < 0.1


def test_float64_stays_float64():
    model = SSD(300, 2, width=0.125, dtype=None)
    with jax.enable_x64(True):
        variables = jax.tree.map(
            lambda leaf: jax.ShapeDtypeStruct(leaf.shape, np.float64), filled(model)
        )
        images = jax.ShapeDtypeStruct((1, 300, 300, 3), np.float64)
        outputs = jax.eval_shape(model.apply, variables, images)
    assert [leaf.dtype for leaf in outputs] == [np.float64, np.float64]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((320, 21), "image_size is 320; use 300 or 512"),
        ((300, 1), "num_classes = 1, width = 1.0"),
        ((300, 21, False, 0.0), "width = 0.0"),
        ((300, 21, False, float("nan")), "width = nan"),
    ],
)
def test_wrong_sizes_are_usage_errors(arguments, message):
    with pytest.raises(UsageError, match=message):
        SSD(*arguments)


@pytest.mark.parametrize(
    ("shape", "dtype", "message"),
    [
        ((300, 300, 3), np.float32, "give floating point"),
        ((1, 300, 300, 3), np.uint8, r"images are uint8 \(1, 300, 300, 3\); give floating"),
        ((1, 512, 512, 3), np.float32, "resize to 300 x 300 px, 3 channels"),
        ((1, 3, 300, 300), np.float32, "resize to 300 x 300 px, 3 channels"),
    ],
)
def test_wrong_images_are_usage_errors(shape, dtype, message):
    images = jax.ShapeDtypeStruct(shape, dtype)
    with pytest.raises(UsageError, match=message):
        jax.eval_shape(SSD(300, 2).init, jax.random.key(0), images)
