"""Peaks and limbs of whole frames from a network's maps, for `assembly` to make people of.

Everything here is jitted, over fixed shapes, batched. Cao et al. 2017, sections 2.2 and 2.3, with
the details of OpenPose's ports: maps enlarged cubically to the frame's pixels and averaged over
scales, peaks of the smoothed confidence maps, their scores from the maps before smoothing.
"""

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from jaxpose.ops.limb_scores import limb_scores
from jaxpose.ops.peaks import find_peaks
from jaxpose.ops.resampling import enlarging_matrix, gaussian_matrix, resampled, resampled_at


class Candidates(NamedTuple):
    """What people can be made of.

    Attributes:
      points: float [B, K, P, 2], px of the frames; peaks of each part, by falling height.
      scores: float [B, K, P], the confidence map there; 0 where there is no peak.
      limb_scores: float [B, L, P, P], see `limb_scores.limb_scores`.
    """

    points: jax.Array
    scores: jax.Array
    limb_scores: jax.Array


class Scale(NamedTuple):
    """The maps of a network that was shown the frames at one scale.

    Attributes:
      parts: [B, h, w, K], confidence maps without background.
      fields: [B, h, w, 2 L], x and y of each limb in turn, in the order of the limbs.
      scale: pixels of the network's input per pixel of the frame.
    """

    parts: jax.Array
    fields: jax.Array
    scale: float = 1.0


def find_candidates(
    scales: Sequence[Scale],
    limbs: np.ndarray,
    size: tuple[int, int],
    sizes: jax.Array | None = None,
    *,
    stride: int = 8,
    sigma: float = 3.0,
    peak_threshold: float = 0.1,
    max_peaks: int = 64,
    subpixel: bool = False,
    samples: int = 10,
    sample_threshold: float = 0.05,
    sample_share: float = 0.8,
    long_limb: float = 0.5,
) -> Candidates:
    """Peaks of each part and scores of all limbs between them.

    Args:
      scales: one or more, which are averaged.
      limbs: int [L, 2], the parts that each limb connects.
      size: (H, W) of the frames that the maps show; smaller ones lie at the top left.
      sizes: [B, 2], width and height of each frame; `size` without.
      stride: pixels of the network's input per cell of its maps.
      sigma: px of the frame, of the smoothing before peaks are looked for.
      peak_threshold, max_peaks, subpixel: see `peaks.find_peaks`.
      samples, sample_threshold, sample_share, long_limb: see `limb_scores.limb_scores`.
    """
    if sizes is None:
        sizes = jnp.broadcast_to(jnp.array(size[::-1]), (len(scales[0].parts), 2))
    enlarged = [partial(_matrices, size=size, stride=stride, scale=each) for each in scales]
    smoothed = [resampled(each.parts, *f(sigma)) for each, f in zip(scales, enlarged, strict=True)]
    peaks = find_peaks(_mean(smoothed), peak_threshold, max_peaks, sizes, subpixel)
    scores = _mean(
        [resampled_at(s.parts, *f(0), peaks.pixels) for s, f in zip(scales, enlarged, strict=True)]
    )
    fields = _mean([resampled(s.fields, *f(0)) for s, f in zip(scales, enlarged, strict=True)])
    found = limb_scores(
        fields, peaks.points, peaks.valid, limbs, sizes[:, 1],
        samples, sample_threshold, sample_share, long_limb,
    )  # fmt: skip
    return Candidates(peaks.points, jnp.where(peaks.valid, scores, 0), found)


def flip_fields(fields: jax.Array, order: ArrayLike, direction: ArrayLike) -> jax.Array:
    """Fields [B, h, w, 2 L] mirrored left/right, with left and right limbs swapped.

    Args:
      fields: x and y of each limb in turn.
      order, direction: [L], see `limbs.LimbSet.flip`.
    """
    mirrored = fields[:, :, ::-1].reshape(*fields.shape[:3], -1, 2)
    swapped = jnp.take(mirrored, jnp.asarray(order), axis=3)
    signs = jnp.asarray(direction, fields.dtype)[:, None] * jnp.array([-1, 1], fields.dtype)
    return (swapped * signs).reshape(fields.shape)


def _matrices(
    sigma: float, *, size: tuple[int, int], stride: int, scale: Scale
) -> tuple[np.ndarray, np.ndarray]:
    """For the rows and the columns: enlarged to the frame, and smoothed."""
    cells = scale.parts.shape[1:3]
    rows, columns = (
        gaussian_matrix(length, sigma) @ enlarging_matrix(length, count, stride, scale.scale)
        for length, count in zip(size, cells, strict=True)
    )
    return rows, columns


def _mean(maps: Sequence[jax.Array]) -> jax.Array:
    return sum(maps[1:], maps[0]) / len(maps)
