"""Grouping as OpenPose's ports do it: candidates and people of three frames that one of them made.

The network is shown a frame of 368 x 432 px at half size; its stub returned drawn maps with noise.
"""

from pathlib import Path

import jax
import numpy as np
import pytest

from jaxpose.ops.assembly import NO_PEAK, assemble
from jaxpose.ops.grouping import Scale, find_candidates

GOLDEN = Path(__file__).parent.parent / "golden" / "l_grouping.npz"
FRAMES = (0, 1, 2, 3)
SIZE, PARTS = (368, 432), 18
LIMBS = np.array(
    [[2, 3], [2, 6], [3, 4], [4, 5], [6, 7], [7, 8], [2, 9], [9, 10], [10, 11], [2, 12], [12, 13],
     [13, 14], [2, 1], [1, 15], [15, 17], [1, 16], [16, 18], [3, 17], [6, 18]]
) - 1  # fmt: skip
# The field of each limb.
PLACES = np.array([6, 10, 7, 8, 11, 12, 0, 1, 2, 3, 4, 5, 14, 15, 17, 16, 18, 9, 13])


@pytest.fixture(scope="module")
def golden():
    return np.load(GOLDEN)


@pytest.fixture(scope="module")
def found(golden):
    maps, fields = (
        np.stack([golden[f"{name}{frame}"] for frame in FRAMES]).transpose(0, 2, 3, 1)
        for name in ("heat", "paf")
    )
    channels = (2 * PLACES[:, None] + [0, 1]).ravel()
    scale = Scale(maps[..., :PARTS], fields[..., channels], 0.5)
    run = jax.jit(lambda scale: find_candidates([scale._replace(scale=0.5)], LIMBS, SIZE))
    return jax.tree.map(np.asarray, run(scale))


def in_reading_order(points, scores):
    """Rows (x, y, score) of all parts as the port lists them, and the place of each peak there."""
    rows, place = [], {}
    for part in range(PARTS):
        peaks = np.flatnonzero(scores[part])
        for peak in peaks[np.lexsort(points[part, peaks].T)].tolist():
            place[part, peak] = len(rows)
            rows.append([*points[part, peak], scores[part, peak]])
    return np.array(rows), place


@pytest.mark.parametrize("row", range(len(FRAMES)))
def test_candidates_and_people_are_the_ports(golden, found, row):
    wanted = golden[f"candidates{FRAMES[row]}"]
    candidates, place = in_reading_order(found.points[row], found.scores[row])
    np.testing.assert_array_equal(candidates[:, :2], wanted[:, :2])
    np.testing.assert_allclose(candidates[:, 2], wanted[:, 2], rtol=0, atol=1e-5)

    subset = golden[f"subset{FRAMES[row]}"]
    people = assemble(found.scores[row], found.limb_scores[row], LIMBS)
    peaks = [
        [place.get((part, peak), NO_PEAK) for part, peak in enumerate(person)]
        for person in people.peaks.tolist()
    ]
    np.testing.assert_array_equal(peaks, subset[:, :PARTS])
    np.testing.assert_array_equal(people.counts, subset[:, -1])
    np.testing.assert_allclose(people.scores, subset[:, -2], rtol=0, atol=1e-4)


def test_there_is_room_for_more_peaks(found):
    assert found.points.shape == (4, PARTS, 64, 2) and found.limb_scores.shape == (4, 19, 64, 64)
    assert (found.scores[..., 8:] == 0).all() and (found.scores[..., 0] > 0).any()
