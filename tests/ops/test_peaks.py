import jax
import numpy as np
import pytest

from jaxpose.ops import peaks

find_peaks = jax.jit(peaks.find_peaks, static_argnames=("threshold", "max_peaks", "subpixel"))


def found(image, **options):
    """Peaks (x, y) of one map, as a list."""
    result = find_peaks(np.asarray(image, np.float32)[None, None], **options)
    return np.asarray(result.points)[0, 0][np.asarray(result.valid)[0, 0]].tolist()


def test_peaks_are_above_the_threshold_and_no_neighbour_exceeds_them():
    image = np.zeros((5, 6))
    image[1, 1], image[1, 2], image[3, 4], image[4, 0], image[0, 5] = 0.5, 0.4, 0.9, 0.2, 0.1
    # A diagonal neighbour may be higher; borders count as pixels do.
    image[2, 3] = 0.3
    assert found(image, threshold=0.15, max_peaks=8) == [[4, 3], [1, 1], [3, 2], [0, 4]]
    assert found(image, threshold=0.05, max_peaks=8)[-1] == [5, 0]
    assert found(image, threshold=0.2, max_peaks=8)[-1] == [3, 2]


def test_the_highest_stay_where_there_is_no_room():
    image = np.zeros((5, 5))
    image[0, 0], image[2, 2], image[4, 4] = 0.3, 0.9, 0.6
    assert found(image, threshold=0.1, max_peaks=2) == [[2, 2], [4, 4]]
    result = find_peaks(image[None, None], threshold=0.5, max_peaks=30)
    assert result.points.shape == (1, 1, 30, 2) and int(result.valid.sum()) == 2
    assert not np.asarray(result.points)[0, 0, 2:].any()


def test_a_plateau_is_one_peak():
    image = np.zeros((6, 6))
    image[2:4, 3:5] = 0.5
    assert found(image, threshold=0.1, max_peaks=8) == [[4, 3]]


def test_peaks_of_the_padding_are_left_out():
    image = np.zeros((1, 1, 6, 6), np.float32)
    image[..., 1, 1], image[..., 4, 1], image[..., 1, 4] = 0.5, 0.6, 0.7
    for width, height, count in ((6, 6, 3), (4, 6, 2), (6, 4, 2), (4, 4, 1), (4.5, 4.5, 3)):
        result = find_peaks(image, 0.1, 8, np.array([[width, height]], np.float32))
        assert int(result.valid.sum()) == count, (width, height)


def test_refined_to_the_vertex_of_a_parabola():
    y, x = np.mgrid[:7, :9]
    vertex = np.array([4.3, 2.6])
    image = 1 - 0.05 * (x - vertex[0]) ** 2 - 0.03 * (y - vertex[1]) ** 2
    options = {"threshold": 0.5, "max_peaks": 3}
    assert found(image, **options) == [[4, 3]]
    (refined,) = found(image, **options, subpixel=True)
    assert refined == pytest.approx(vertex, abs=1e-4)
    slope = np.tile(np.arange(9) / 10, (7, 1)) * (1 - 0.01 * (y - 3) ** 2)
    assert found(slope, threshold=0.5, max_peaks=1, subpixel=True) == [[8, 3]]  # at the border
