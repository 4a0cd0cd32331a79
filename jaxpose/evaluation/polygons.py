"""Exact test of points against polygons (NumPy)."""

from fractions import Fraction

import numpy as np
from numpy.typing import ArrayLike

# Rounding error of a 2x2 determinant of differences, relative to the sum of its two products
# (Shewchuk 1997, section 4.1: below 3.0001 units of 2^-53), with room to spare; and underflow.
_RELATIVE_ERROR = 4 * float(np.finfo(np.float64).eps)
_UNDERFLOW = 1e-300


def strictly_inside(points: ArrayLike, polygon: ArrayLike) -> np.ndarray:
    """Which points lie inside a polygon; those on its boundary do not, as in shapely's `contains`.

    Decided by the parity of the edges that a ray crosses, so that for a ring that crosses itself
    the twice enclosed part is outside. Exact for the given float64 coordinates: where rounding
    could matter, rational numbers decide.

    Args:
      points: [N, 2]; a point that is not finite is outside.
      polygon: [V, 2] vertices in order, finite, closed or not. With fewer than three there is no
        inside.

    Returns:
      bool [N].
    """
    points = np.asarray(points, np.float64).reshape(-1, 2)
    start = np.asarray(polygon, np.float64).reshape(-1, 2)
    inside = np.zeros(len(points), bool)
    if not len(start):
        return inside
    near = ((points > start.min(0)) & (points < start.max(0))).all(1)
    if near.any():
        end = np.roll(start, -1, axis=0)
        edges = (start != end).any(1)
        inside[near] = _inside(points[near], start[edges], end[edges])
    return inside


def _inside(points: np.ndarray, start: np.ndarray, end: np.ndarray) -> np.ndarray:
    side = _sides(points, start, end)
    n, e = np.nonzero(side == 0)
    low, high = np.minimum(start, end)[e], np.maximum(start, end)[e]
    on_boundary = n[((points[n] >= low) & (points[n] <= high)).all(1)]
    # The ray to greater x crosses rising edges that have the point on their left, and falling ones
    # that have it on their right. A vertex at the height of the ray counts as below it.
    rises = end[:, 1] > start[:, 1]
    y = points[:, 1:]
    spans = (start[:, 1] > y) != (end[:, 1] > y)
    inside = (spans & np.where(rises, side > 0, side < 0)).sum(1) % 2 == 1
    inside[on_boundary] = False
    return inside


def _sides(points: np.ndarray, start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Side of each point on the line of each edge [N, E]: 1 left (y up), 0 on it, -1 right."""
    edge, offset = end - start, points[:, None] - start
    one, other = edge[:, 0] * offset[..., 1], edge[:, 1] * offset[..., 0]
    side = np.sign(one - other)
    doubtful = np.abs(one - other) <= _RELATIVE_ERROR * (np.abs(one) + np.abs(other)) + _UNDERFLOW
    for n, e in zip(*np.nonzero(doubtful), strict=True):
        side[n, e] = _exact_side(points[n], start[e], end[e])
    return side


def _exact_side(point: np.ndarray, start: np.ndarray, end: np.ndarray) -> int:
    (px, py), (ax, ay), (bx, by) = (map(Fraction, xy.tolist()) for xy in (point, start, end))
    cross = (bx - ax) * (py - ay) - (by - ay) * (px - ax)
    return (cross > 0) - (cross < 0)
