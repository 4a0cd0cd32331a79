"""VGG16 with fc6 and fc7 as convolutions, the base of SSD (Liu et al. 2016, section 3.1), and the
first ten layers of VGG19, that of OpenPose (Cao et al. 2017).

After `VGGNetBody(fully_conv, reduced, dilated)` of weiliu89/caffe (model_libs.py): every padding is
explicit, since 'SAME' pads strided and dilated convolutions differently.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax.typing import Initializer
from jax.typing import DTypeLike

from jaxpose.models.convolution import Conv
from jaxpose.models.pooling import max_pool

# Convolutions and channels of the five blocks; every block but the last ends in a 2x2 pooling.
BLOCKS = ((2, 64), (2, 128), (3, 256), (3, 512), (3, 512))
# The same of VGG19 up to conv4_2; no pooling after the last.
TRUNK_BLOCKS = ((2, 64), (2, 128), (4, 256), (2, 512))
FC_CHANNELS = 1024  # of fc6 and fc7, decimated from the classifier's 4096

HE_NORMAL = nn.initializers.variance_scaling(2.0, "fan_in", "normal")


def scaled(channels: int, width: float) -> int:
    """Channels of a layer at a width multiplier: a multiple of 8, at least 8."""
    return max(8, int(channels * width / 8 + 0.5) * 8)


def conv_relu(
    x: jax.Array,
    channels: int,
    size: int,
    *,
    name: str,
    train: bool,
    batch_norm: bool,
    dtype: DTypeLike | None,
    param_dtype: DTypeLike,
    kernel_init: Initializer = HE_NORMAL,
    stride: int = 1,
    padding: int = 0,
    dilation: int = 1,
) -> jax.Array:
    """Convolution `name`, BatchNorm `name`_bn (optional) and ReLU; call it in a compact method.

    With BatchNorm the convolution has no bias, which the normalisation would remove.
    """
    types: dict[str, Any] = {"dtype": dtype, "param_dtype": param_dtype}
    start: dict[str, Any] = {"use_bias": not batch_norm, "kernel_init": kernel_init, "name": name}
    window = (size, size)
    x = Conv(channels, window, stride, padding, kernel_dilation=dilation, **start, **types)(x)
    if batch_norm:
        # Flax reduces in float32 at least, whatever `dtype` is, and keeps float64 in float64.
        x = nn.BatchNorm(not train, momentum=0.9, epsilon=1e-5, name=f"{name}_bn", **types)(x)
    return nn.relu(x)


def _conv_of(module: "VGG16", train: bool) -> Callable[..., jax.Array]:
    # No method: Flax gives what methods return to those who ask for intermediate maps.
    return partial(
        conv_relu,
        train=train,
        batch_norm=module.batch_norm,
        dtype=module.dtype,
        param_dtype=module.param_dtype,
    )


class VGG16(nn.Module):
    """Convolutions conv1_1 to conv5_3, fc6 and fc7.

    Attributes:
      batch_norm: normalise after every convolution (there are no such ImageNet weights to load).
      width: multiplier of all channels, see `scaled`.
      dtype: of the computation; None follows images and parameters.
      param_dtype: of the parameters.
      fc_init: of the kernels of fc6 and fc7 under `init`.
      remat: keep only the inputs of the five blocks for the backward pass, and compute what lies
        between them again.
    """

    batch_norm: bool = False
    width: float = 1.0
    dtype: DTypeLike | None = jnp.float32
    param_dtype: DTypeLike = jnp.float32
    fc_init: Initializer = HE_NORMAL
    remat: bool = False

    @nn.compact
    def __call__(self, x: jax.Array, train: bool = False) -> tuple[jax.Array, jax.Array]:
        """Features of two strides.

        Args:
          x: images [B,H,W,3].
          train: normalise with the statistics of this batch (with `batch_norm`).

        Returns:
          conv4_3 after its ReLU [B,H/8,W/8,512] and fc7 after its ReLU [B,H/16,W/16,1024] (sides
          rounded up, channels times `width`).
        """
        block_maps = nn.remat(VGG16._block, static_argnums=(2, 3)) if self.remat else VGG16._block
        for block in range(1, 6):
            x = block_maps(self, x, block, train)
            if block == 4:
                conv4_3 = x
            if block < 5:
                x = max_pool(x)
        # The classifier is subsampled, so its pooling loses the stride and fc6 gains a dilation.
        x = nn.max_pool(x, window_shape=(3, 3), strides=(1, 1), padding=[(1, 1), (1, 1)])
        fc = partial(_conv_of(self, train), kernel_init=self.fc_init)
        x = fc(x, scaled(FC_CHANNELS, self.width), 3, padding=6, dilation=6, name="fc6")
        return conv4_3, fc(x, scaled(FC_CHANNELS, self.width), 1, name="fc7")

    def _block(self, x: jax.Array, block: int, train: bool) -> jax.Array:
        count, channels = BLOCKS[block - 1]
        for index in range(1, count + 1):
            name = f"conv{block}_{index}"
            x = _conv_of(self, train)(x, scaled(channels, self.width), 3, padding=1, name=name)
        return x


class VGG19Trunk(nn.Module):
    """Convolutions conv1_1 to conv4_2 of VGG19; attributes are those of `VGG16`."""

    batch_norm: bool = False
    width: float = 1.0
    dtype: DTypeLike | None = jnp.float32
    param_dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, train: bool = False) -> jax.Array:
        """Images [B,H,W,3] -> conv4_2 after its ReLU [B,H/8,W/8,512] (channels times `width`)."""
        for block, (count, channels) in enumerate(TRUNK_BLOCKS, start=1):
            x = max_pool(x) if block > 1 else x
            for index in range(1, count + 1):
                x = conv_relu(
                    x,
                    scaled(channels, self.width),
                    3,
                    padding=1,
                    name=f"conv{block}_{index}",
                    train=train,
                    batch_norm=self.batch_norm,
                    dtype=self.dtype,
                    param_dtype=self.param_dtype,
                )
        return x
