"""Weights for inference in which BatchNorm is part of the convolution before it.

Where a convolution feeds nothing but a BatchNorm, that only scales and shifts its outputs, and so
may kernel and bias. Of an SSD with BatchNorm that is every one; of the hourglass, whose residuals
normalise before they convolve, two in three of each residual's, the stem's and `linear_bn`.
"""

import re
from collections.abc import Iterable, Mapping

import numpy as np

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
    params: Mapping[str, np.ndarray], batch_stats: Mapping[str, np.ndarray]
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Parameters and statistics without the BatchNorms that fold; computed in float64.

    Args:
      params: path -> array of an SSD or a StackedHourglass, such as 'stem/conv/kernel'.
      batch_stats: path -> running mean or variance.

    Returns:
      the same for `SSD(batch_norm=False)` or `StackedHourglass(folded=True)`, float32.
    """
    params, batch_stats = dict(params), dict(batch_stats)
    layers = {name.rpartition("/")[0] for name in params}
    for norm in sorted({name.rpartition("/")[0] for name in batch_stats}):
        conv = folded_into(norm, layers)
        if conv is None:
            continue
        scale, shift = (np.float64(params.pop(f"{norm}/{name}")) for name in ("scale", "bias"))
        mean, variance = (np.float64(batch_stats.pop(f"{norm}/{name}")) for name in ("mean", "var"))
        factor = scale / np.sqrt(variance + _EPSILON)
        bias = np.float64(params.get(f"{conv}/bias", 0.0))
        kernel = np.asarray(params[f"{conv}/kernel"], np.float64)
        params[f"{conv}/kernel"] = np.asarray(kernel * factor, np.float32)
        params[f"{conv}/bias"] = np.asarray((bias - mean) * factor + shift, np.float32)
    return params, batch_stats
