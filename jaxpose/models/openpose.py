"""OpenPose's network: part confidence maps and part affinity fields, refined over stages.

After Cao et al. 2017 (section 2.1) and CMU's `pose_deploy.prototxt` of the COCO model: the first
ten layers of VGG19, two layers of its own (conv4_3_CPM, conv4_4_CPM), then stages of two branches.
Branch `fields` is L1 there, `maps` L2. A ReLU follows every convolution but the last of a branch;
one public port has one after the maps of the last stage, by a misspelt layer name.
"""

import re
from collections.abc import Mapping
from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

from jaxpose.errors import UsageError
from jaxpose.models.convolution import Conv
from jaxpose.models.vgg import VGG19Trunk, conv_relu, scaled

# Channels and kernel sizes of a branch before its 1x1 output, in stage 1 and in those after it.
FIRST_STAGE = ((128, 3),) * 3 + ((512, 1),)
LATER_STAGES = ((128, 7),) * 5 + ((128, 1),)
OWN_LAYERS = (("conv4_3_CPM", 256), ("conv4_4_CPM", 128))
STRIDE = 8
BRANCHES = ("fields", "maps")

_OUTPUT_STD = 0.01
_OUTPUTS = re.compile(
    rf"stage1/(fields|maps)/conv{len(FIRST_STAGE) + 1}"
    rf"|stage\d+/(fields|maps)/conv{len(LATER_STAGES) + 1}"
)


class Branch(nn.Module):
    """One branch of a stage, [B,h,w,C] -> [B,h,w,outputs] without a final ReLU."""

    layers: tuple[tuple[int, int], ...]
    outputs: int
    batch_norm: bool
    width: float
    dtype: DTypeLike | None
    param_dtype: DTypeLike

    @nn.compact
    def __call__(self, x: jax.Array, train: bool = False) -> jax.Array:
        """Outputs are float32, or float64 where computed in it."""
        for index, (channels, size) in enumerate(self.layers, start=1):
            x = conv_relu(
                x,
                scaled(channels, self.width),
                size,
                padding=size // 2,
                name=f"conv{index}",
                train=train,
                batch_norm=self.batch_norm,
                dtype=self.dtype,
                param_dtype=self.param_dtype,
            )
        # Never bfloat16: its 8 bits would give ties around the maxima.
        wide = None if self.dtype is None else jnp.promote_types(self.dtype, jnp.float32)
        output = Conv(
            self.outputs,
            (1, 1),
            dtype=wide,
            param_dtype=self.param_dtype,
            kernel_init=nn.initializers.normal(_OUTPUT_STD),
            name=f"conv{len(self.layers) + 1}",
        )
        return output(x)


class Stage(nn.Module):
    """Both branches on the same input: fields [B,h,w,2L] and maps [B,h,w,K+1]."""

    layers: tuple[tuple[int, int], ...]
    num_parts: int
    num_limbs: int
    batch_norm: bool
    width: float
    dtype: DTypeLike | None
    param_dtype: DTypeLike

    @nn.compact
    def __call__(self, x: jax.Array, train: bool = False) -> tuple[jax.Array, jax.Array]:
        """Neither branch sees the other's output of its own stage."""
        how = (self.batch_norm, self.width, self.dtype, self.param_dtype)
        fields = Branch(self.layers, 2 * self.num_limbs, *how, name="fields")(x, train)
        maps = Branch(self.layers, self.num_parts + 1, *how, name="maps")(x, train)
        return fields, maps


class OpenPose(nn.Module):
    """VGG19 trunk and `stages` stages of two branches.

    The published COCO network (18 parts, 19 limbs) has 52,311,446 parameters.

    Attributes:
      num_parts: K; the maps have a channel more, background, which is the last.
      num_limbs: L; the fields have 2 L channels.
      stages: 1 or more; each later one sees the image features and the outputs before it.
      batch_norm: normalise after every hidden convolution: for training without ImageNet weights.
      width: multiplier of the hidden channels (rounded to multiples of 8).
      dtype: of the computation; None follows images and parameters. With bfloat16 the parameters,
        the statistics and the outputs stay float32.
      param_dtype: of the parameters.
      remat: keep only the outputs of trunk and stages for the backward pass, and compute their
        insides again, one at a time: the whole trunk is one of them.

    Raises:
      UsageError: a size without meaning.
    """

    num_parts: int
    num_limbs: int
    stages: int = 6
    batch_norm: bool = False
    width: float = 1.0
    dtype: DTypeLike | None = jnp.float32
    param_dtype: DTypeLike = jnp.float32
    remat: bool = False

    def __post_init__(self) -> None:
        sizes = (self.num_parts, self.num_limbs, self.stages)
        if min(sizes) < 1 or not self.width > 0:
            raise UsageError(
                f"OpenPose: num_parts, num_limbs, stages = {sizes}, width = {self.width}; "
                "all must be 1 or more, the width above 0"
            )
        super().__post_init__()

    @property
    def divisor(self) -> int:
        """What the sides of the input must be divisible by, in pixels."""
        return STRIDE

    @nn.compact
    def __call__(self, images: jax.Array, train: bool = False) -> tuple[jax.Array, jax.Array]:
        """Predict fields and maps.

        Args:
          images: floating point [B,H,W,3], H and W divisible by 8; CMU's weights take BGR, x / 256
            - 0.5 of 0..255.
          train: normalise with the statistics of this batch (with `batch_norm`; collection
            `batch_stats` must then be mutable).

        Returns:
          Affinity fields [stages,B,H/8,W/8,2L] and confidence maps [stages,B,H/8,W/8,K+1] of all
          stages, float32 (float64 where computed in it).

        Raises:
          UsageError: images of another rank, type or size.
        """
        _check_images(images)
        how = (self.batch_norm, self.width, self.dtype, self.param_dtype)
        trunk_type: type[VGG19Trunk] = _kept_outside(VGG19Trunk) if self.remat else VGG19Trunk
        stage_type: type[Stage] = _kept_outside(Stage) if self.remat else Stage
        features = trunk_type(*how, name="vgg")(images, train)
        conv = partial(
            conv_relu,
            padding=1,
            train=train,
            batch_norm=self.batch_norm,
            dtype=self.dtype,
            param_dtype=self.param_dtype,
        )
        for name, channels in OWN_LAYERS:
            features = conv(features, scaled(channels, self.width), 3, name=name)
        fields, maps, x = [], [], features
        for number in range(1, self.stages + 1):
            stage = stage_type(
                FIRST_STAGE if number == 1 else LATER_STAGES,
                self.num_parts,
                self.num_limbs,
                *how,
                name=f"stage{number}",
            )
            outputs = stage(x, train)
            fields.append(outputs[0])
            maps.append(outputs[1])
            x = jnp.concatenate([*(one.astype(features.dtype) for one in outputs), features], -1)
        return jnp.stack(fields), jnp.stack(maps)


def _kept_outside(layers: Any) -> Any:
    return nn.remat(layers, static_argnums=(2,))  # `train`; the names of parameters stay


def _check_images(images: jax.Array) -> None:
    found = f"OpenPose: images are {images.dtype} {tuple(images.shape)}"
    if images.ndim != 4 or not jnp.issubdtype(images.dtype, jnp.floating):
        raise UsageError(f"{found}; give floating point [batch, height, width, 3]")
    if images.shape[1] % STRIDE or images.shape[2] % STRIDE:
        raise UsageError(f"{found}; height and width must be divisible by {STRIDE}: resize or pad")


def initial_value(
    path: str,
    shape: tuple[int, ...],
    generator: np.random.Generator,
    *,
    base: Mapping[str, np.ndarray] | None = None,
) -> np.ndarray:
    """Starting value of one parameter or BatchNorm statistic, filled on the host.

    Hidden kernels are He normal: CMU's N(0, 0.01) fades away in networks of reduced width. The
    outputs of the branches are N(0, 0.01), all biases zero.

    Args:
      path: names joined by '/' without the collection ('vgg/conv1_1/kernel').
      shape: of the float32 result; kernels are [height, width, in, out].
      generator: source of random numbers; only kernels draw from it.
      base: path -> value that is known (see `vgg19_base_weights`); taken as it is.

    Raises:
      ValueError: the path does not end in a name of this network.
    """
    if base is not None and path in base:
        return np.array(base[path], np.float32)
    layer, _, tensor = path.rpartition("/")
    match tensor:
        case "kernel":
            std = _OUTPUT_STD if _OUTPUTS.fullmatch(layer) else np.sqrt(2 / np.prod(shape[:-1]))
            return generator.standard_normal(shape, np.float32) * np.float32(std)
        case "bias" | "mean":
            return np.zeros(shape, np.float32)
        case "scale" | "var":
            return np.ones(shape, np.float32)
    raise ValueError(f"initial_value: {path!r} names no parameter or statistic of an OpenPose")
