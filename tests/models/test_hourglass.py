import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.traverse_util import flatten_dict, unflatten_dict

from jaxpose.errors import UsageError
from jaxpose.models.hourglass import StackedHourglass, initial_value
from jaxpose.models.residual import Residual

# Compiling takes longer than running here; LLVM's optimisations are two thirds of it.
quick_jit = functools.partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})

SMALL = {"num_joints": 3, "stacks": 2, "blocks": 1, "features": 8, "depth": 2}


def abstract_variables(model):
    image = jax.ShapeDtypeStruct((1, model.divisor, model.divisor, 3), jnp.float32)
    return jax.eval_shape(model.init, jax.random.key(0), image)


def random_variables(model, seed=0):
    """All values random, BatchNorm statistics too, so that no two layers are alike."""
    rng = np.random.default_rng(seed)
    values = {}
    for path, leaf in flatten_dict(abstract_variables(model)).items():
        noise = rng.normal(size=leaf.shape)
        if path[-1] == "kernel":
            noise *= np.sqrt(1 / np.prod(leaf.shape[:-1]))
        values[path] = {"scale": 1 + 0.1 * noise, "var": 1 + 0.2 * np.abs(noise)}.get(
            path[-1], noise if path[-1] == "kernel" else 0.1 * noise
        )
    return unflatten_dict(values)


def test_bfloat16_computes_with_float32_parameters_statistics_and_maps():
    sizes = SMALL | {"depth": 1}
    model = StackedHourglass(**sizes)
    narrow = StackedHourglass(**sizes, dtype=jnp.bfloat16)
    variables = jax.tree.map(np.float32, random_variables(model))
    image = np.random.default_rng(1).uniform(size=(4, 64, 64, 3)).astype(np.float32)

    def run(model):
        apply = functools.partial(model.apply, train=True, mutable=["batch_stats"])
        maps, updated = quick_jit(apply)(variables, image)
        return np.asarray(maps), updated["batch_stats"]

    (maps, stats), (narrow_maps, narrow_stats) = run(model), run(narrow)

    for leaf in jax.tree.leaves((abstract_variables(narrow), narrow_stats)):
        assert leaf.dtype == np.float32
    assert maps.dtype == narrow_maps.dtype == np.float32
    error = (narrow_maps - maps).std(axis=(1, 2, 3, 4)) / maps.std(axis=(1, 2, 3, 4))
    assert (error > 1e-4).all(), "nothing was computed in bfloat16"
    assert (error < 0.1).all()
    assert len(np.unique(narrow_maps)) > 0.9 * maps.size, "maps were rounded to bfloat16"
    stem, narrow_stem = stats["stem"]["bn"], narrow_stats["stem"]["bn"]
    # A mean of 4,096 values accumulated in bfloat16 would be off by percents.
    np.testing.assert_allclose(narrow_stem["mean"], stem["mean"], atol=1e-4)
    np.testing.assert_allclose(narrow_stem["var"], stem["var"], rtol=1e-4)


@pytest.mark.parametrize(
    ("stem", "stacks", "count"),
    [
        ("pose_hg_train", 2, 6_570_400),
        ("pose_hg_train", 8, 25_434_112),
        ("pytorch_pose", 2, 6_730_912),
    ],
)
def test_published_numbers_of_parameters(stem, stacks, count):
    # Four blocks (24,590,752 and 24,751,264) are counted where their weights are loaded.
    model = StackedHourglass(16, stacks=stacks, blocks=1, stem=stem)
    params = abstract_variables(model)["params"]
    assert sum(leaf.size for leaf in jax.tree.leaves(params)) == count


def test_paths_and_widths_of_parameters():
    model = StackedHourglass(5, stacks=2, blocks=1, features=16, depth=1)
    shapes = {
        "/".join(path): leaf.shape
        for path, leaf in flatten_dict(abstract_variables(model)["params"]).items()
    }
    assert shapes["stem/conv/kernel"] == (7, 7, 3, 4)
    assert shapes["stem/res1/skip/kernel"] == (1, 1, 4, 8)
    assert "stem/res2/skip/kernel" not in shapes
    assert shapes["stem/res3/conv3/kernel"] == (1, 1, 8, 16)
    assert shapes["stack1/hourglass/level1_low2/block0/conv2/kernel"] == (3, 3, 8, 8)
    assert shapes["stack1/heatmaps/bias"] == (5,)
    assert shapes["stack0/merge_heatmaps/kernel"] == (1, 1, 5, 16)
    assert not any(path.startswith("stack1/merge") for path in shapes)


@pytest.mark.parametrize(
    ("shape", "dtype", "words"),
    [
        ((1, 256, 250, 3), np.float32, "(1, 256, 250, 3); height and width .* divisible by 64"),
        ((1, 96, 64, 3), np.float32, "divisible by 64"),
        ((256, 256, 3), np.float32, "floating point [batch"),
        ((1, 256, 256, 3), np.uint8, "uint8 .*floating point"),
    ],
)
def test_unfit_images_are_refused(shape, dtype, words):
    pattern = words.replace("(", r"\(").replace(")", r"\)").replace("[", r"\[")
    with pytest.raises(UsageError, match=pattern):
        StackedHourglass(16).apply({}, np.zeros(shape, dtype))


def test_the_divisor_follows_the_depth():
    model = StackedHourglass(2, stacks=1, blocks=1, features=4, depth=1)
    shape = jax.eval_shape(
        lambda x: model.init_with_output(jax.random.key(0), x)[0], jnp.zeros((1, 8, 24, 3))
    ).shape
    assert shape == (1, 1, 2, 6, 2)
    with pytest.raises(UsageError, match="divisible by 8"):
        model.apply({}, np.zeros((1, 8, 20, 3), np.float32))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"stem": "lua"}, "unknown stem 'lua'; use one of: pose_hg_train, pytorch_pose"),
        ({"features": 254}, "multiple of 4"),
        ({"blocks": 0}, "1 or more"),
        ({"depth": 0}, "1 or more"),
    ],
)
def test_senseless_sizes_are_refused(options, words):
    with pytest.raises(UsageError, match=words):
        StackedHourglass(16, **options)


def test_initial_kernels_are_uniform_by_fan_in():
    kernel = initial_value("stem/conv/kernel", (3, 3, 64, 50), np.random.default_rng(3))
    bound = 1 / np.sqrt(3 * 3 * 64)
    assert kernel.shape == (3, 3, 64, 50) and kernel.dtype == np.float32
    assert 0.99 * bound < kernel.max() <= bound and -bound <= kernel.min() < -0.99 * bound
    assert kernel.mean() == pytest.approx(0, abs=0.02 * bound)
    assert kernel.std() == pytest.approx(bound / np.sqrt(3), rel=0.02)
    again = initial_value("stem/conv/kernel", (3, 3, 64, 50), np.random.default_rng(3))
    np.testing.assert_array_equal(kernel, again)


def test_every_variable_has_an_initial_value():
    rng = np.random.default_rng(0)
    for path, leaf in flatten_dict(abstract_variables(StackedHourglass(**SMALL))).items():
        value = initial_value("/".join(path[1:]), leaf.shape, rng)
        assert value.shape == leaf.shape and value.dtype == np.float32
        if path[-1] != "kernel":
            assert (value == {"bias": 0, "mean": 0, "scale": 1, "var": 1}[path[-1]]).all()
    with pytest.raises(ValueError, match="stem/conv/weight"):
        initial_value("stem/conv/weight", (3,), rng)


def test_linen_initialises_kernels_in_the_same_range():
    init = quick_jit(Residual(32).init)
    params = init(jax.random.key(0), jnp.zeros((1, 2, 2, 16)))["params"]
    for name, fan_in in (("conv1", 16), ("conv2", 9 * 16), ("conv3", 16), ("skip", 16)):
        bound = 1 / np.sqrt(fan_in)
        assert 0.95 * bound < np.abs(params[name]["kernel"]).max() <= bound
