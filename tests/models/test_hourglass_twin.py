"""The network against an independent one written in NumPy."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.traverse_util import flatten_dict, unflatten_dict

from jaxpose.models.hourglass import StackedHourglass

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


class Twin:
    """The network of pose-hg-train in plain NumPy, written as the recursion of hg.lua."""

    def __init__(self, variables, model, train):
        self.variables, self.model, self.train = variables, model, train
        self.updated = {}

    def layer(self, collection, path):
        return functools.reduce(lambda tree, key: tree[key], path, self.variables[collection])

    def conv(self, x, *path, stride=1):
        kernel, bias = (self.layer("params", path)[name] for name in ("kernel", "bias"))
        size = kernel.shape[0]
        pad = size // 2
        height, width = (x.shape[1] // stride, x.shape[2] // stride)
        x = np.pad(x, ((0, 0), (pad, pad), (pad, pad), (0, 0)))
        out = np.zeros((x.shape[0], height, width, kernel.shape[3])) + bias
        for i in range(size):
            for j in range(size):
                rows = slice(i, i + stride * (height - 1) + 1, stride)
                columns = slice(j, j + stride * (width - 1) + 1, stride)
                out += x[:, rows, columns] @ kernel[i, j]
        return out

    def norm_relu(self, x, *path):
        params, stats = self.layer("params", path), self.layer("batch_stats", path)
        mean, var = stats["mean"], stats["var"]
        if self.train:
            flat = x.reshape(-1, x.shape[-1])
            batch = {"mean": flat.mean(0), "var": flat.var(0)}
            for name, value in batch.items():
                self.updated[*path, name] = 0.9 * stats[name] + 0.1 * value
            mean, var = batch["mean"], batch["var"]
        x = (x - mean) / np.sqrt(var + 1e-5) * params["scale"] + params["bias"]
        return np.maximum(x, 0)

    def residual(self, x, *path):
        y = self.conv(self.norm_relu(x, *path, "bn1"), *path, "conv1")
        y = self.conv(self.norm_relu(y, *path, "bn2"), *path, "conv2")
        y = self.conv(self.norm_relu(y, *path, "bn3"), *path, "conv3")
        return y + (self.conv(x, *path, "skip") if x.shape[-1] != y.shape[-1] else x)

    def residuals(self, x, *path):
        for block in range(self.model.blocks):
            x = self.residual(x, *path, f"block{block}")
        return x

    def pool(self, x):
        batch, height, width, channels = x.shape
        return x.reshape(batch, height // 2, 2, width // 2, 2, channels).max((2, 4))

    def hourglass(self, x, level, *path):
        def branch(y, name):
            return self.residuals(y, *path, f"level{level}_{name}")

        low1 = branch(self.pool(x), "low1")
        innermost = level == self.model.depth
        low2 = branch(low1, "low2") if innermost else self.hourglass(low1, level + 1, *path)
        enlarged = np.kron(branch(low2, "low3"), np.ones((1, 2, 2, 1)))
        return branch(x, "up1") + enlarged

    def __call__(self, x):
        x = self.norm_relu(self.conv(x, "stem", "conv", stride=2), "stem", "bn")
        x = self.pool(self.residual(x, "stem", "res1"))
        x = self.residual(self.residual(x, "stem", "res2"), "stem", "res3")
        maps = []
        for stack in (f"stack{index}" for index in range(self.model.stacks)):
            y = self.hourglass(x, 1, stack, "hourglass")
            y = self.conv(self.residuals(y, stack, "features"), stack, "linear_conv")
            y = self.norm_relu(y, stack, "linear_bn")
            maps.append(self.conv(y, stack, "heatmaps"))
            if len(maps) < self.model.stacks:
                x = x + self.conv(y, stack, "merge_features")
                x = x + self.conv(maps[-1], stack, "merge_heatmaps")
        return np.stack(maps)


@pytest.mark.parametrize(
    ("train", "stem"), [(False, "pytorch_pose"), (True, "pose_hg_train")], ids=["eval", "train"]
)
def test_equals_a_numpy_twin_in_float64_on_a_wide_image(train, stem):
    model = StackedHourglass(**SMALL, stem=stem)
    variables = random_variables(model)
    image = np.random.default_rng(1).uniform(size=(2, 32, 48, 3))
    twin = Twin(variables, model, train)

    with jax.enable_x64(True):
        apply = functools.partial(model.apply, train=train, mutable=["batch_stats"])
        maps, updated = quick_jit(apply)(variables, image)
        maps, updated = jax.tree.map(np.asarray, (maps, updated))

    assert maps.shape == (2, 2, 8, 12, 3) and maps.dtype == np.float64
    np.testing.assert_allclose(maps, twin(image), rtol=1e-8, atol=1e-10)
    expected = twin.updated if train else flatten_dict(variables["batch_stats"])
    updated = flatten_dict(updated["batch_stats"])
    assert updated.keys() == expected.keys()
    for path, value in updated.items():
        np.testing.assert_allclose(value, expected[path], rtol=1e-8, atol=1e-10, err_msg=str(path))
