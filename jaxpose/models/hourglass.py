"""Stacked hourglass network (Newell, Yang, Deng 2016) after princeton-vl/pose-hg-train.

Stem 'pose_hg_train' is that of hg.lua, 'pytorch_pose' the wider one of bearpaw/pytorch-pose. Names
follow hg.lua: at every level `up1` keeps the resolution, `low1` follows the pooling, `low2` is the
next level (residuals at the innermost one), `low3` precedes the upsampling. Level 1 is outermost.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

from jaxpose.errors import UsageError
from jaxpose.models.pooling import max_pool
from jaxpose.models.residual import Residuals, conv, norm_relu, residual

# Output widths of the three residuals of the stem, in quarters of `features`.
STEM_QUARTERS = {"pose_hg_train": (2, 2, 4), "pytorch_pose": (2, 4, 4)}


def _upsample_nearest(x: jax.Array) -> jax.Array:
    return jnp.repeat(jnp.repeat(x, 2, axis=1), 2, axis=2)


class Stem(nn.Module):
    """From the image to the resolution of the heat maps, [B,H,W,3] -> [B,H/4,W/4,features]."""

    stem: str
    features: int
    dtype: DTypeLike | None = None
    folded: bool = False
    remat: bool = False

    @nn.compact
    def __call__(self, x: jax.Array, train: bool = False) -> jax.Array:
        """Strided 7x7 convolution, residual, pooling, two residuals."""
        quarter, options = self.features // 4, (self.dtype, self.folded)
        block = residual(self.remat)
        width1, width2, width3 = (quarter * n for n in STEM_QUARTERS[self.stem])
        x = conv(quarter, 7, self.dtype, "conv", stride=2)(x)
        x = norm_relu(x, train, self.dtype, "bn", self.folded)
        x = block(width1, *options, name="res1")(x, train)
        x = block(width2, *options, name="res2")(max_pool(x), train)
        return block(width3, *options, name="res3")(x, train)


class Hourglass(nn.Module):
    """One hourglass of `depth` levels, [B,h,w,features] -> [B,h,w,features]."""

    blocks: int
    features: int
    depth: int
    dtype: DTypeLike | None = None
    folded: bool = False
    remat: bool = False

    @nn.compact
    def __call__(self, x: jax.Array, train: bool = False) -> jax.Array:
        """Down to the innermost level and back, adding the `up1` branch of every level."""

        def residuals(level: int, branch: str, y: jax.Array) -> jax.Array:
            options = (self.dtype, self.folded, self.remat)
            made = Residuals(self.blocks, self.features, *options, name=f"level{level}_{branch}")
            return made(y, train)

        levels = range(1, self.depth + 1)
        kept = []
        for level in levels:
            kept.append(residuals(level, "up1", x))
            x = residuals(level, "low1", max_pool(x))
        x = residuals(self.depth, "low2", x)
        for level in reversed(levels):
            x = kept.pop() + _upsample_nearest(residuals(level, "low3", x))
        return x


class Stack(nn.Module):
    """[B,h,w,features] -> (heat maps [B,h,w,K], input of the next stack unless `last`)."""

    num_joints: int
    blocks: int
    features: int
    depth: int
    last: bool
    dtype: DTypeLike | None = None
    folded: bool = False
    remat: bool = False

    @nn.compact
    def __call__(self, x: jax.Array, train: bool = False) -> tuple[jax.Array, jax.Array]:
        """Heat maps are float32, or float64 where computed in it."""
        options = (self.dtype, self.folded, self.remat)
        y = Hourglass(self.blocks, self.features, self.depth, *options, name="hourglass")(x, train)
        y = Residuals(self.blocks, self.features, *options, name="features")(y, train)
        y = conv(self.features, 1, self.dtype, "linear_conv")(y)
        y = norm_relu(y, train, self.dtype, "linear_bn", self.folded)
        # The maps are never bfloat16: its 8 bits would give ties around the maximum.
        wide = None if self.dtype is None else jnp.promote_types(self.dtype, jnp.float32)
        maps = conv(self.num_joints, 1, wide, "heatmaps")(y)
        if not self.last:
            x = x + conv(self.features, 1, self.dtype, "merge_features")(y)
            x = x + conv(self.features, 1, self.dtype, "merge_heatmaps")(maps)
        return maps, x


class StackedHourglass(nn.Module):
    """`stacks` hourglasses, each refining the heat maps of the one before it.

    Attributes:
      num_joints: number of heat maps K.
      stacks: hourglasses in a row, each with its own heat maps.
      blocks: residuals at every location of an hourglass (`nModules` of pose-hg-train).
      features: channels of the hourglasses, divisible by 4; the stem has 1/4, then 1/2 of them.
      stem: 'pose_hg_train' or 'pytorch_pose'.
      depth: levels of an hourglass; the sides of the input are divisible by 4 * 2**depth.
      dtype: of the computation; None follows images and parameters (so float64 stays float64).
        With bfloat16 the parameters, the BatchNorm statistics and the heat maps stay float32.
      folded: without the BatchNorms that follow a convolution, for weights of `folding.py`; for
        inference only.
      remat: keep the outputs of residuals only and compute what lies inside them again in the
        backward pass: less memory for a third more work.

    Raises:
      UsageError: an unknown stem or a size without meaning.
    """

    num_joints: int
    stacks: int = 2
    blocks: int = 4
    features: int = 256
    stem: str = "pose_hg_train"
    depth: int = 4
    dtype: DTypeLike | None = None
    folded: bool = False
    remat: bool = False

    def __post_init__(self) -> None:
        if self.stem not in STEM_QUARTERS:
            known = ", ".join(STEM_QUARTERS)
            raise UsageError(f"StackedHourglass: unknown stem {self.stem!r}; use one of: {known}")
        sizes = (self.num_joints, self.stacks, self.blocks, self.depth, self.features)
        if min(sizes) < 1 or self.features % 4:
            raise UsageError(
                f"StackedHourglass: num_joints, stacks, blocks, depth, features = {sizes}; "
                "all must be 1 or more, and features a multiple of 4"
            )
        super().__post_init__()

    @property
    def divisor(self) -> int:
        """What the sides of the input must be divisible by, in pixels."""
        return 4 * 2**self.depth

    @nn.compact
    def __call__(self, images: jax.Array, train: bool = False) -> jax.Array:
        """Predict heat maps.

        Args:
          images: floating point [B,H,W,C], H and W divisible by `divisor`; pose-hg-train feeds
            RGB in 0..1 without subtracting a mean.
          train: normalise with the statistics of this batch and update the running ones
            (collection `batch_stats`, which must then be mutable).

        Returns:
          Heat maps of all stacks [stacks,B,H/4,W/4,K], float32 (float64 where computed in it).

        Raises:
          UsageError: images of another rank, type or size.
        """
        _check_images(images, self.divisor)
        sizes = (self.num_joints, self.blocks, self.features, self.depth)
        options = (self.dtype, self.folded, self.remat)
        x = Stem(self.stem, self.features, *options, name="stem")(images, train)
        maps = []
        for index in range(self.stacks):
            last = index + 1 == self.stacks
            y, x = Stack(*sizes, last, *options, name=f"stack{index}")(x, train)
            maps.append(y)
        return jnp.stack(maps)


def _check_images(images: jax.Array, divisor: int) -> None:
    found = f"StackedHourglass: images are {images.dtype} {tuple(images.shape)}"
    if images.ndim != 4 or not jnp.issubdtype(images.dtype, jnp.floating):
        raise UsageError(f"{found}; give floating point [batch, height, width, 3]")
    if images.shape[1] % divisor or images.shape[2] % divisor:
        raise UsageError(f"{found}; height and width must be divisible by {divisor}: resize or pad")


def initial_value(path: str, shape: tuple[int, ...], generator: np.random.Generator) -> np.ndarray:
    """Starting value of one parameter or BatchNorm statistic, filled on the host.

    Kernels are U(-1/sqrt(fan_in), 1/sqrt(fan_in)), Torch7's default that pose-hg-train trains
    from. Biases are zero where Torch7 draws them from the same range: most stand before a
    BatchNorm, which removes any constant, and the path alone does not tell their fan_in.

    Args:
      path: names joined by '/' without the collection ('stem/conv/kernel', 'stem/bn/mean').
      shape: of the float32 result; kernels are [height, width, in, out].
      generator: source of random numbers; only kernels draw from it.

    Raises:
      ValueError: the path does not end in a name of this network.
    """
    match path.rpartition("/")[2]:
        case "kernel":
            bound = np.float32(1 / np.sqrt(np.prod(shape[:-1])))
            return (generator.random(shape, np.float32) * 2 - 1) * bound
        case "bias" | "mean":
            return np.zeros(shape, np.float32)
        case "scale" | "var":
            return np.ones(shape, np.float32)
    raise ValueError(f"initial_value: {path!r} names no parameter or statistic of an hourglass")
