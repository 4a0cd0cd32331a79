import numpy as np
import pytest

from jaxpose.ops.assembly import assemble, begins_people, greedy_pairs

CHAIN = np.array([[0, 1], [1, 2], [2, 3]])
CIRCLE = np.array([[0, 1], [1, 2], [2, 3], [0, 3]])


def people(limbs, *pairs, parts=4, peaks=3, min_parts=2, min_mean_score=0.0, peak_score=0.5):
    """People as lists of peaks, from pairs (limb, first peak, second peak, score)."""
    scores = np.zeros((len(limbs), peaks, peaks))
    for limb, first, second, score in pairs:
        scores[limb, first, second] = score
    return assemble(np.full((parts, peaks), peak_score), scores, limbs, min_parts, min_mean_score)


def test_pairs_by_falling_score_each_peak_once():
    scores = np.array([[0.5, 0.9, 0.1], [0.4, 0.8, 0.0], [0.5, 0.2, -1.0]])
    assert list(greedy_pairs(scores)) == [(0, 1), (2, 0)]
    assert list(greedy_pairs(np.full((2, 2), 0.3))) == [(0, 0), (1, 1)]
    assert list(greedy_pairs(np.zeros((3, 2)))) == []


def test_which_limbs_begin_people():
    cmu = "2-3 2-6 3-4 4-5 6-7 7-8 2-9 9-10 10-11 2-12 12-13 13-14 2-1 1-15 15-17 1-16 16-18 3-17 "
    limbs = np.array([pair.split("-") for pair in (cmu + "6-18").split()]).astype(int) - 1
    assert begins_people(limbs) == [True] * 17 + [False] * 2
    assert begins_people(np.array([[0, 1], [2, 3], [1, 2], [0, 3], [4, 0]])) == [
        True, True, True, False, True,
    ]  # fmt: skip
    assert begins_people(np.zeros((0, 2), int)) == []


def test_a_chain_is_a_person_and_the_scores_add_up():
    found = people(CHAIN, (0, 1, 2, 0.9), (1, 2, 0, 0.8), (2, 0, 1, 0.7))
    assert found.peaks.tolist() == [[1, 2, 0, 1]] and found.counts.tolist() == [4]
    assert found.scores[0] == pytest.approx(4 * 0.5 + 0.9 + 0.8 + 0.7)


def test_two_who_share_nothing_become_one():
    # The limbs in the middle come last.
    limbs = np.array([[0, 1], [2, 3], [1, 2]])
    found = people(limbs, (0, 0, 0, 0.9), (1, 1, 1, 0.8), (2, 0, 1, 0.7))
    assert found.peaks.tolist() == [[0, 0, 1, 1]] and found.counts.tolist() == [4]
    assert found.scores[0] == pytest.approx(4 * 0.5 + 0.9 + 0.8 + 0.7)


def test_two_who_share_a_part_stay_two_and_the_first_takes_the_second_peak():
    limbs = np.array([[0, 1], [2, 3], [2, 1], [0, 3]])
    found = people(
        limbs, (0, 0, 0, 0.9), (1, 1, 1, 0.8), (2, 0, 0, 0.7), (3, 0, 1, 0.6), peak_score=0.5
    )
    # 2-1 gives the first person peak 0 of part 2; so 0-3 finds two who both have part 2.
    assert found.peaks.tolist() == [[0, 0, 0, 1], [-1, -1, 1, 1]]
    assert found.counts.tolist() == [4, 2]


def test_a_limb_that_closes_a_circle_begins_nobody_but_may_replace():
    assert len(people(CIRCLE, (3, 0, 0, 0.9)).scores) == 0
    found = people(CIRCLE, (0, 0, 0, 0.9), (1, 0, 0, 0.9), (2, 0, 0, 0.9), (3, 0, 1, 0.9))
    assert found.peaks.tolist() == [[0, 0, 0, 1]] and found.counts.tolist() == [5]
    # Nor does it give a first peak to whom the second belongs.
    found = people(CIRCLE, (1, 0, 0, 0.9), (2, 0, 0, 0.9), (3, 0, 0, 0.9))
    assert found.peaks.tolist() == [[-1, 0, 0, 0]]


def test_lists_in_any_order_lose_no_first_peak():
    limbs = np.array([[1, 2], [0, 1]])  # towards the root
    found = people(limbs[:, ::-1], (0, 0, 0, 0.9), (1, 0, 2, 0.8), parts=3)
    assert found.peaks.tolist() == [[2, 0, 0]] and found.counts.tolist() == [3]
    found = people(np.array([[1, 2], [0, 2]]), (0, 0, 0, 0.9), (1, 1, 0, 0.8), parts=3)
    assert found.peaks.tolist() == [[1, 0, 0]] and found.counts.tolist() == [3]


def test_small_and_doubtful_people_are_left_out():
    pairs = [(0, 0, 0, 0.3), (1, 0, 0, 0.3), (2, 0, 0, 0.3), (0, 1, 1, 0.9), (1, 1, 1, 0.9)]
    found = people(CHAIN, *pairs, peak_score=0.1, min_parts=3)
    assert found.peaks.tolist() == [[1, 1, 1, -1], [0, 0, 0, 0]]  # 0.7 and 0.325 a part
    assert people(CHAIN, *pairs, peak_score=0.1, min_parts=4).counts.tolist() == [4]
    assert people(CHAIN, *pairs, peak_score=0.1, min_mean_score=0.4).counts.tolist() == [3]


def test_nobody():
    found = people(CHAIN)
    assert found.peaks.shape == (0, 4) and found.scores.shape == found.counts.shape == (0,)
