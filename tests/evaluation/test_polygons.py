from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from jaxpose.evaluation.polygons import strictly_inside

GOLDEN = Path(__file__).parent.parent / "golden" / "polygon_contains.npz"
SQUARE = [(0, 0), (4, 0), (4, 4), (0, 4)]


def twin(point, polygon):
    """By rational numbers alone: on no edge, and an odd number of edges crossed upwards in y."""
    x, y = map(Fraction, point)
    inside = False
    for a, b in zip(polygon, polygon[1:] + polygon[:1], strict=True):
        (ax, ay), (bx, by) = (tuple(map(Fraction, corner)) for corner in (a, b))
        between = min(ax, bx) <= x <= max(ax, bx) and min(ay, by) <= y <= max(ay, by)
        if between and (bx - ax) * (y - ay) == (by - ay) * (x - ax):
            return False
        if (ax <= x) != (bx <= x):
            inside ^= ay + (by - ay) * (x - ax) / (bx - ax) > y
    return inside


@pytest.mark.parametrize("closed", [False, True])
@pytest.mark.parametrize("order", [1, -1])
def test_square_by_hand(closed, order):
    square = SQUARE[::order] + (SQUARE[::order][:1] if closed else [])
    inside = [(2, 2), (np.nextafter(0, 1), 2), (2, np.nextafter(4, 0))]
    outside = [(0, 2), (4, 2), (2, 0), (2, 4), (0, 0), (4, 4), (-1, 2), (5, 4), (np.nan, 2)]
    assert strictly_inside(inside, square).all()
    assert not strictly_inside(outside, square).any()


def test_a_notch_and_a_crossing():
    arrow = [(0, 0), (4, 2), (0, 4), (1, 2)]
    assert strictly_inside([(2, 2), (0.5, 2), (1, 2), (0.5, 0.5)], arrow).tolist() == [
        True, False, False, True,
    ]  # fmt: skip
    # Both lobes of a bow tie are inside; the middle of a pentagram is enclosed twice, so outside.
    assert strictly_inside([(1, 2), (3, 2), (2, 1)], [(0, 0), (4, 4), (4, 0), (0, 4)]).tolist() == [
        True, True, False,
    ]  # fmt: skip
    angles = np.arange(5) * 4 * np.pi / 5
    star = np.stack([np.cos(angles), np.sin(angles)], 1)
    assert strictly_inside([(0, 0), (0.9, 0)], star).tolist() == [False, True]


@pytest.mark.parametrize("polygon", [[], [(1, 1)], [(0, 0), (2, 2)], [(0, 0), (2, 2), (1, 1)]])
def test_without_area_there_is_no_inside(polygon):
    assert strictly_inside([(1, 1), (0.5, 0.25)], polygon).tolist() == [False, False]


def test_equals_shapely():
    """Answers of shapely 2.2 (GEOS 3.14); 29 of the 60 polygons cross or touch themselves."""
    golden = np.load(GOLDEN)
    for number in range(60):
        polygon = golden["polygon"][golden["polygon_of"] == number]
        own = golden["point_of"] == number
        found = strictly_inside(golden["point"][own], polygon)
        np.testing.assert_array_equal(found, golden["contains"][own])


GRID = st.tuples(st.integers(0, 5), st.integers(0, 5))
# Tiny steps off a grid: orientations that rounding gets wrong.
NEAR_GRID = st.builds(
    lambda corner, steps: tuple(c + s * 2.0**-50 for c, s in zip(corner, steps, strict=True)),
    GRID,
    st.tuples(st.integers(-3, 3), st.integers(-3, 3)),
)
ANYWHERE = st.tuples(*[st.floats(-1e6, 1e6, allow_nan=False, allow_infinity=False)] * 2)


@pytest.mark.parametrize("corners", [GRID, NEAR_GRID, ANYWHERE], ids=["grid", "near", "any"])
def test_equals_the_rational_twin(corners):
    @given(st.lists(corners, min_size=1, max_size=8), st.lists(corners, min_size=1, max_size=8))
    @example([(0.0, 0.0), (1.0, 0.0), (0.0, 5e-324)], [(0.5, 5e-324), (0.1, 2.5e-309)])
    @example([(0, 0), (3, 0), (3, 3)], [(1, 1), (2, 1), (3, 1), (0, 0)])
    def check(polygon, points):
        middles = [((a[0] + b[0]) / 2, (a[1] + b[1]) / 2) for a, b in zip(polygon, points)]  # noqa: B905
        points = points + polygon + middles
        expected = [twin(point, polygon) for point in points]
        assert strictly_inside(points, polygon).tolist() == expected

    check()
