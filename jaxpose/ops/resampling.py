"""Cubic enlarging and Gaussian smoothing of maps, as one product with a matrix along each axis.

Both are linear and act on rows and columns separately, so what OpenPose's ports do one after the
other (enlarge by the stride, cut the padding off, resize to the frame, smooth) is one [H, h] matrix
from the right of the other. `jax.image.resize` is no substitute: its cubic kernel has another
parameter (-0.5; OpenCV: -0.75), and it renormalises at the borders where OpenCV repeats them.
"""

import jax
import jax.numpy as jnp
import numpy as np

# Of OpenCV's INTER_CUBIC (Keys 1981, equation 4, a).
_CUBIC = -0.75
# scipy.ndimage.gaussian_filter cuts its kernel off at so many sigmas.
_TRUNCATE = 4.0


def cubic_matrix(length: int, source: int, step: float) -> np.ndarray:
    """The matrix of `cv2.resize(..., interpolation=INTER_CUBIC)` along one axis.

    Sample i lies at (i + 0.5) * step - 0.5 of the source, whose border pixels are repeated. As in
    OpenCV nothing is averaged where the source is reduced (step > 1).

    Args:
      length: samples.
      source: pixels.
      step: source pixels per sample.

    Returns:
      float64 [length, source]; its rows sum to 1.
    """
    position = (np.arange(length) + 0.5) * step - 0.5
    first = np.floor(position).astype(int)
    matrix = np.zeros((length, source))
    for tap in (-1, 0, 1, 2):
        pixel = np.clip(first + tap, 0, source - 1)
        np.add.at(matrix, (np.arange(length), pixel), _keys(position - (first + tap)))
    return matrix


def gaussian_matrix(length: int, sigma: float) -> np.ndarray:
    """The matrix of `scipy.ndimage.gaussian_filter` along one axis, borders mirrored.

    Args:
      length: pixels.
      sigma: px; 0 smooths nothing.

    Returns:
      float64 [length, length]; its rows sum to 1.
    """
    if sigma == 0:
        return np.eye(length)
    radius = int(_TRUNCATE * sigma + 0.5)
    weights = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
    mirrored = np.pad(np.arange(length), radius, mode="symmetric")
    matrix = np.zeros((length, length))
    for tap, weight in enumerate(weights / weights.sum()):
        np.add.at(matrix, (np.arange(length), mirrored[tap : tap + length]), weight)
    return matrix


def enlarging_matrix(length: int, cells: int, stride: int, scale: float = 1.0) -> np.ndarray:
    """From the cells of a network's map to the pixels of the frame that it was shown.

    As OpenPose's ports: enlarged by the stride to the network's input, cut to the part of it that
    shows the frame, then resized to the frame.

    Args:
      length: pixels of the frame.
      cells: of the map.
      stride: pixels of the network's input per cell.
      scale: pixels of the network's input per pixel of the frame.

    Returns:
      float64 [length, cells].
    """
    shown = min(max(1, round(length * scale)), cells * stride)
    to_input = cubic_matrix(cells * stride, cells, 1 / stride)[:shown]
    return to_input if scale == 1 else cubic_matrix(length, shown, scale) @ to_input


def resampled(maps: jax.Array, rows: np.ndarray, columns: np.ndarray) -> jax.Array:
    """Maps [B, h, w, C] as [B, C, H, W], by the matrices [H, h] of rows and [W, w] of columns."""
    rows, columns = (matrix.astype(maps.dtype) for matrix in (rows, columns))
    # Accelerators would round to TF32 or bfloat16, and the peaks of near-equal pixels would move.
    product = jax.lax.Precision.HIGHEST
    narrow = jnp.einsum("Hh,bhwc->bcHw", rows, maps, precision=product)
    return jnp.einsum("Ww,bcHw->bcHW", columns, narrow, precision=product)


def resampled_at(
    maps: jax.Array, rows: np.ndarray, columns: np.ndarray, points_xy: jax.Array
) -> jax.Array:
    """Values [B, C, P] of the resampled maps at whole pixels [B, C, P, 2] alone."""
    across = jnp.asarray(columns, maps.dtype)[points_xy[..., 0]]
    down = jnp.asarray(rows, maps.dtype)[points_xy[..., 1]]
    product = jax.lax.Precision.HIGHEST
    lines = jnp.einsum("bcph,bhwc->bcpw", down, maps, precision=product)
    return (lines * across).sum(-1)


def _keys(distance: np.ndarray) -> np.ndarray:
    """Keys' cubic convolution kernel at distances [N] of less than 2 px."""
    d, a = np.abs(distance), _CUBIC
    near = ((a + 2) * d - (a + 3)) * d**2 + 1
    far = ((a * d - 5 * a) * d + 8 * a) * d - 4 * a
    return np.where(d <= 1, near, np.where(d < 2, far, 0.0))
