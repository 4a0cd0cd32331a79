"""The pre-activation residual that hourglasses consist of, after pose-hg-train's Residual.lua."""

import flax.linen as nn
import jax
from jax.typing import DTypeLike

from jaxpose.models.convolution import Conv


def conv(features: int, size: int, dtype: DTypeLike | None, name: str, stride: int = 1) -> nn.Conv:
    """A square convolution that keeps the size divided by `stride`, with Torch7's initial range."""
    init = nn.initializers.variance_scaling(1 / 3, "fan_in", "uniform")  # as `initial_value`
    padding = size // 2  # 'SAME' would pad the strided convolution by (2, 3), Torch by (3, 3)
    return Conv(features, (size, size), stride, padding, dtype=dtype, kernel_init=init, name=name)


def norm_relu(
    x: jax.Array, train: bool, dtype: DTypeLike | None, name: str, folded: bool = False
) -> jax.Array:
    """BatchNorm `name` and ReLU; only ReLU where the former is `folded` into a convolution."""
    if folded:
        return nn.relu(x)
    # Flax reduces in float32 at least, whatever `dtype` is, and keeps float64 in float64.
    norm = nn.BatchNorm(not train, momentum=0.9, epsilon=1e-5, dtype=dtype, name=name)
    return nn.relu(norm(x))


class Residual(nn.Module):
    """Pre-activation bottleneck of pose-hg-train's Residual.lua, [B,h,w,C] -> [B,h,w,features].

    `folded` leaves out the BatchNorms that `folding.py` can multiply into a convolution: bn2 and
    bn3, which follow conv1 and conv2. The input of bn1 goes to other layers too.
    """

    features: int
    dtype: DTypeLike | None = None
    folded: bool = False

    @nn.compact
    def __call__(self, x: jax.Array, train: bool = False) -> jax.Array:
        """Three convolutions behind BatchNorm and ReLU, plus the input or its 1x1 projection."""
        y = x
        widths = (self.features // 2, self.features // 2, self.features)
        for index, (width, size) in enumerate(zip(widths, (1, 3, 1), strict=True), start=1):
            y = norm_relu(y, train, self.dtype, f"bn{index}", self.folded and index > 1)
            y = conv(width, size, self.dtype, f"conv{index}")(y)
        if x.shape[-1] != self.features:
            x = conv(self.features, 1, self.dtype, "skip")(x)
        return x + y


def residual(remat: bool) -> type[Residual]:
    """`Residual`, or one whose inner maps the backward pass computes again instead of keeping."""
    # static_argnums: `train`; the names of parameters stay.
    return nn.remat(Residual, static_argnums=(2,)) if remat else Residual


class Residuals(nn.Module):
    """A chain of `blocks` residuals, [B,h,w,C] -> [B,h,w,features]."""

    blocks: int
    features: int
    dtype: DTypeLike | None = None
    folded: bool = False
    remat: bool = False

    @nn.compact
    def __call__(self, x: jax.Array, train: bool = False) -> jax.Array:
        """Unrolled: lax.scan over four blocks made a training step on the CPU 5 times slower."""
        block = residual(self.remat)
        for index in range(self.blocks):
            x = block(self.features, self.dtype, self.folded, name=f"block{index}")(x, train)
        return x
