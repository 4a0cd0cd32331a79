"""Weights for inference in which BatchNorm is part of the convolution before it.

Where a convolution feeds nothing but a BatchNorm, that only scales and shifts its outputs, and so
may kernel and bias. Of an SSD with BatchNorm that is every one; of the hourglass, whose residuals
normalise before they convolve, two in three of each residual's, the stem's and `linear_bn`.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from jax.typing import DTypeLike

_EPSILON = 1e-5  # of every BatchNorm of this project
# Convolution and the number of the BatchNorm that follows it, within a residual of the hourglass.
_RESIDUAL = {"conv1": "bn2", "conv2": "bn3"}


def folded_into(norm: str, names: Iterable[str]) -> str | None:
    """Path of the convolution that feeds the BatchNorm at path `norm` alone; None if there is none.

    Args:
      norm: path of a BatchNorm, such as 'vgg/conv1_1_bn' or 'stem/res1/bn2'.
      names: paths of all layers.
    """
    parent, _, name = norm.rpartition("/")
    after = {bn: conv for conv, bn in _RESIDUAL.items()} | {"linear_bn": "linear_conv"}
    if match := re.fullmatch(r"(.+)_bn", name):
        conv = after.get(name, match[1])
    else:
        conv = "conv" if norm == "stem/bn" else after.get(name, "")
    path = f"{parent}/{conv}" if parent else conv
    return path if conv and path in set(names) else None


def fold_batch_norm(
    params: Mapping[str, Any], batch_stats: Mapping[str, Any], dtype: DTypeLike = np.float64
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Parameters and statistics without the BatchNorms that fold.

    Args:
      params: path -> array of an SSD or a StackedHourglass, such as 'stem/conv/kernel'; NumPy's, or
        jax's that are traced.
      batch_stats: path -> running mean or variance.
      dtype: to compute in; float32 where jax traces, which has no float64.

    Returns:
      the same for `SSD(batch_norm=False)` or `StackedHourglass(folded=True)`, float32.
    """
    params, batch_stats = dict(params), dict(batch_stats)
    layers = {name.rpartition("/")[0] for name in params}
    for norm in sorted({name.rpartition("/")[0] for name in batch_stats}):
        conv = folded_into(norm, layers)
        if conv is None:
            continue
        scale, shift = (params.pop(f"{norm}/{name}").astype(dtype) for name in ("scale", "bias"))
        mean, variance = (batch_stats.pop(f"{norm}/{n}").astype(dtype) for n in ("mean", "var"))
        factor = scale / (variance + _EPSILON) ** 0.5
        bias = params[f"{conv}/bias"].astype(dtype) if f"{conv}/bias" in params else 0.0
        kernel = params[f"{conv}/kernel"].astype(dtype) * factor
        params[f"{conv}/kernel"] = kernel.astype(np.float32)
        params[f"{conv}/bias"] = ((bias - mean) * factor + shift).astype(np.float32)
    return params, batch_stats
