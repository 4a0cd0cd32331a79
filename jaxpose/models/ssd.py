"""SSD300 and SSD512, the person detector (Liu et al. 2016), after weiliu89/caffe (branch ssd).

An input of 64 px makes a miniature of four source maps, for tests and trials.

Layers are named as in the Caffe models: conv6_1 to conv9_2 (conv10_2) follow the base, and every
source map i feeds the heads loc_i and conf_i.
"""

import re
from collections.abc import Mapping
from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

from jaxpose.errors import UsageError
from jaxpose.models.convolution import Conv
from jaxpose.models.vgg import HE_NORMAL, VGG16, conv_relu, scaled
from jaxpose.ops.default_boxes import BOXES_PER_CELL

# Extra layers (ssd_pascal.py `AddExtraLayers`): channels of the 1x1 convolution, then channels,
# kernel size, stride and padding of the one that makes the source map.
_HALVE_512, _HALVE_256 = (256, 512, 3, 2, 1), (128, 256, 3, 2, 1)
EXTRAS = {
    64: (_HALVE_512, _HALVE_256),
    300: (_HALVE_512, _HALVE_256, (128, 256, 3, 1, 0), (128, 256, 3, 1, 0)),
    512: (_HALVE_512, _HALVE_256, _HALVE_256, _HALVE_256, (128, 256, 4, 1, 1)),
}
FIRST_EXTRA = 6  # the layers of EXTRAS are conv6_1, conv6_2, conv7_1, ...
L2NORM_SCALE = 20.0
HEAD_INIT_STD = 0.01
_EPSILON = 1e-10  # caffe.proto, NormalizeParameter
_NEW_INIT = nn.initializers.normal(HEAD_INIT_STD)


class L2Norm(nn.Module):
    """Unit length over channels times a learnt scale per channel, [B,h,w,C] -> [B,h,w,C].

    Caffe's normalize_layer: the epsilon stands below the root, sqrt(sum x^2 + 1e-10), so the
    gradient is finite where all channels are zero. Computed in float32 at least.
    """

    dtype: DTypeLike | None = jnp.float32
    param_dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Normalise every location by itself."""
        init = nn.initializers.constant(L2NORM_SCALE)
        scale = self.param("scale", init, (x.shape[-1],), self.param_dtype)
        wide = x.astype(jnp.promote_types(x.dtype, jnp.float32))
        norm = jnp.sqrt(jnp.sum(wide * wide, axis=-1, keepdims=True) + _EPSILON)
        y = wide / norm * scale
        return y if self.dtype is None else y.astype(self.dtype)


class SSD(nn.Module):
    """SSD300 or SSD512 with a VGG16 base.

    At 21 classes they have 26,285,486 and 27,188,676 parameters.

    Attributes:
      image_size: side of the square network input: 300, 512, or 64 for the miniature.
      num_classes: C of the class logits, background (0) included.
      batch_norm: normalise after every convolution of base and extra layers: for training without
        ImageNet weights.
      width: multiplier of all channels (rounded to multiples of 8) but those of the heads' outputs.
      dtype: of the computation; None follows images and parameters. With bfloat16 the parameters,
        BatchNorm statistics, L2Norm and heads stay float32.
      param_dtype: of the parameters.
      remat: of `VGG16`; for larger batches. Values and names are the same.

    Raises:
      UsageError: another image size, fewer than two classes or a width that is not positive.
    """

    image_size: int
    num_classes: int
    batch_norm: bool = False
    width: float = 1.0
    dtype: DTypeLike | None = jnp.float32
    param_dtype: DTypeLike = jnp.float32
    remat: bool = False

    def __post_init__(self) -> None:
        if self.image_size not in EXTRAS:
            raise UsageError(f"SSD: image_size is {self.image_size!r}; use 300 or 512 (or 64)")
        if self.num_classes < 2 or not self.width > 0:
            raise UsageError(
                f"SSD: num_classes = {self.num_classes}, width = {self.width}; give 2 classes or "
                "more (background included) and a width above 0"
            )
        super().__post_init__()

    @nn.compact
    def __call__(self, images: jax.Array, train: bool = False) -> tuple[jax.Array, jax.Array]:
        """Class logits and box offsets of all default boxes.

        Args:
          images: floating point [B,S,S,3], S = image_size: 0..255 minus the mean, in the channel
            order of the weights (see `load_named_weights`).
          train: normalise with the statistics of this batch and update the running ones (with
            `batch_norm`; collection `batch_stats` must then be mutable).

        Returns:
          Class logits [B,P,C] and offsets [B,P,4] (encoded with the variances), float32 (float64
          where computed in it). P runs over level, row, column, default box of the cell, as in
          `default_boxes(image_size)`.

        Raises:
          UsageError: images of another rank, type or size.
        """
        _check_images(images, self.image_size)
        logits, offsets = [], []
        for level, x in enumerate(self._source_maps(images, train)):
            boxes = BOXES_PER_CELL[self.image_size][level]
            logits.append(self._head(x, f"conf_{level}", boxes, self.num_classes))
            offsets.append(self._head(x, f"loc_{level}", boxes, 4))
        return jnp.concatenate(logits, axis=1), jnp.concatenate(offsets, axis=1)

    def _source_maps(self, images: jax.Array, train: bool) -> list[jax.Array]:
        dtype, param_dtype = self.dtype, self.param_dtype
        init = HE_NORMAL if self.batch_norm else _NEW_INIT
        base = VGG16(self.batch_norm, self.width, dtype, param_dtype, init, self.remat, name="vgg")
        conv4_3, x = base(images, train)
        maps = [L2Norm(dtype, param_dtype, name="l2norm")(conv4_3), x]
        conv = partial(
            conv_relu,
            train=train,
            batch_norm=self.batch_norm,
            dtype=dtype,
            param_dtype=param_dtype,
            kernel_init=init,
        )
        for number, layer in enumerate(EXTRAS[self.image_size], start=FIRST_EXTRA):
            narrow, channels, size, stride, padding = layer
            x = conv(x, scaled(narrow, self.width), 1, name=f"conv{number}_1")
            x = conv(
                x,
                scaled(channels, self.width),
                size,
                stride=stride,
                padding=padding,
                name=f"conv{number}_2",
            )
            maps.append(x)
        return maps

    def _head(self, x: jax.Array, name: str, boxes: int, values: int) -> jax.Array:
        """[B,h,w,C] -> [B,h*w*boxes,values]."""
        # Never bfloat16: its 8 bits would tie scores and move boxes by whole pixels.
        wide = None if self.dtype is None else jnp.promote_types(self.dtype, jnp.float32)
        head = Conv(
            boxes * values,
            (3, 3),
            padding=1,
            dtype=wide,
            param_dtype=self.param_dtype,
            kernel_init=_NEW_INIT,
            name=name,
        )
        return head(x).reshape(x.shape[0], -1, values)


def _check_images(images: jax.Array, size: int) -> None:
    wanted = (size, size, 3)
    if images.ndim != 4 or not jnp.issubdtype(images.dtype, jnp.floating):
        problem = "give floating point [batch, height, width, 3]"
    elif images.shape[1:] != wanted:
        problem = f"resize to {size} x {size} px, 3 channels"
    else:
        return
    raise UsageError(f"SSD: images are {images.dtype} {tuple(images.shape)}; {problem}")


def initial_value(
    path: str,
    shape: tuple[int, ...],
    generator: np.random.Generator,
    *,
    head_init: str = "normal",
    head_init_std: float = HEAD_INIT_STD,
    batch_norm: bool = False,
    base: Mapping[str, np.ndarray] | None = None,
) -> np.ndarray:
    """Starting value of one parameter, filled on the host.

    The base (conv1_1 to conv5_3) is He normal. The heads, the extra layers, fc6 and fc7 follow
    `head_init`; with `batch_norm` only the heads do and the rest is He normal, since the small
    values would only shrink the variances that BatchNorm divides by. Biases are zero, scales of
    L2Norm 20. 'xavier' is Caffe's filler.hpp, U(-sqrt(3/fan_in), sqrt(3/fan_in)).

    Args:
      path: names joined by '/' without the collection ('vgg/conv1_1/kernel', 'loc_0/bias').
      shape: of the float32 result; kernels are [height, width, in, out].
      generator: source of random numbers; only kernels draw from it.
      head_init: 'normal' or 'xavier'.
      head_init_std: standard deviation of 'normal'.
      batch_norm: that of the network.
      base: path -> value that is known (see `vgg_base_weights`); taken as it is.

    Raises:
      UsageError: unknown `head_init`.
      ValueError: the path does not end in a name of this network.
    """
    if head_init not in ("normal", "xavier"):
        raise UsageError(f"head_init: unknown {head_init!r}; use normal or xavier")
    if base is not None and path in base:
        return np.array(base[path], np.float32)
    *_, layer, tensor = ("", *path.split("/"))
    if tensor == "kernel":
        std = head_init_std if head_init == "normal" else None
        return _initial_kernel(layer, shape, generator, std, batch_norm)
    constants = {"bias": 0.0, "mean": 0.0, "var": 1.0, "scale": 1.0}
    if layer == "l2norm":
        constants = {"scale": L2NORM_SCALE}
    if tensor not in constants:
        raise ValueError(f"initial_value: {path!r} names no parameter or statistic of an SSD")
    return np.full(shape, constants[tensor], np.float32)


def _initial_kernel(
    layer: str,
    shape: tuple[int, ...],
    generator: np.random.Generator,
    std: float | None,
    batch_norm: bool,
) -> np.ndarray:
    """`std` None stands for 'xavier'."""
    fan_in = np.prod(shape[:-1])
    is_head = layer.startswith(("loc_", "conf_"))
    if not is_head and (batch_norm or re.fullmatch(r"conv[1-5]_\d", layer)):
        return generator.standard_normal(shape, np.float32) * np.float32(np.sqrt(2 / fan_in))
    if std is None:
        bound = np.float32(np.sqrt(3 / fan_in))
        return (generator.random(shape, np.float32) * 2 - 1) * bound
    return generator.standard_normal(shape, np.float32) * np.float32(std)
