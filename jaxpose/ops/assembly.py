"""People from peaks and limbs, greedily, on the host (NumPy): loops over limbs and candidates only.

The rules are those of CMU's OpenPose as its ports keep them (Cao et al. 2017, section 2.3):

- Of each limb, pairs of peaks are taken by falling score; each peak is used once a limb.
- A pair whose peaks nobody has makes a person, unless the limb closes a circle of earlier ones.
- A pair whose first peak is somebody's gives that person the second; where the person has another
  there, that one is replaced and still counts.
- A pair whose second peak is somebody's gives nothing, but where the person has no first peak and
  the limb may begin people: then it gives that. CMU's list goes from the root of a tree outwards,
  where this cannot happen; so lists in any order work.
- A pair that belongs to two people makes them one where they have no part in common; where they
  have, the earlier one gets the second peak as above.
- A person's score is the sum of the scores of the peaks and pairs that were added.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

NO_PEAK = -1


class Assembled(NamedTuple):
    """People of one frame.

    Attributes:
      peaks: int [N, K], each part's peak, -1 without.
      scores: float [N], sum over peaks and limbs.
      counts: int [N], parts that were added; one that was replaced counts twice.
    """

    peaks: np.ndarray
    scores: np.ndarray
    counts: np.ndarray


@dataclass(eq=False)
class _Person:
    """Somebody who is being put together."""

    peaks: np.ndarray  # [K]
    score: float = 0.0
    count: int = 0

    def take(self, part: int, peak: int, score: float) -> None:
        self.peaks[part], self.score, self.count = peak, self.score + score, self.count + 1


class _Pair(NamedTuple):
    """Two peaks that make a limb, with their scores and that of the limb."""

    parts: tuple[int, int]
    peaks: tuple[int, int]
    scores: tuple[float, float]
    limb_score: float


def assemble(
    peak_scores: np.ndarray,
    limb_scores: np.ndarray,
    limbs: np.ndarray,
    min_parts: int = 4,
    min_mean_score: float = 0.4,
) -> Assembled:
    """Put the people of one frame together.

    Args:
      peak_scores: [K, P].
      limb_scores: [L, P, P] from peaks of the first part to peaks of the second; not above 0 where
        there is no limb.
      limbs: int [L, 2], pairs of parts in the order in which they are taken.
      min_parts: people of fewer are left out.
      min_mean_score: so are those whose score divided by their parts is lower.

    Returns:
      people in the order in which they were begun.
    """
    people: list[_Person] = []
    ends, pairs = peak_scores.astype(np.float64), limb_scores.astype(np.float64)
    pairs_of = zip(limbs.tolist(), begins_people(limbs), pairs, strict=True)
    for (first, second), begins, scores in pairs_of:
        for a, b in greedy_pairs(scores):
            found = float(ends[first, a]), float(ends[second, b])
            pair = _Pair((first, second), (a, b), found, float(scores[a, b]))
            owners = [p for p in people if p.peaks[first] == a or p.peaks[second] == b]
            if owners:
                _join(people, owners, pair, begins)
            elif begins:
                people.append(_begun(len(ends), pair))
    kept = [p for p in people if p.count >= min_parts and p.score >= min_mean_score * p.count]
    return Assembled(
        np.array([p.peaks for p in kept], np.int64).reshape(-1, len(ends)),
        np.array([p.score for p in kept], np.float64),
        np.array([p.count for p in kept], np.int64),
    )


def greedy_pairs(scores: np.ndarray) -> Iterator[tuple[int, int]]:
    """Pairs (row, column) of positive scores [P, P], the best first, no row or column twice.

    Of equal scores the earlier row, then the earlier column, goes first.
    """
    rows, columns = np.nonzero(scores > 0)
    order = np.argsort(-scores[rows, columns], kind="stable")
    used_rows, used_columns = set[int](), set[int]()
    for row, column in zip(rows[order].tolist(), columns[order].tolist(), strict=True):
        if row not in used_rows and column not in used_columns:
            used_rows.add(row)
            used_columns.add(column)
            yield row, column


def begins_people(limbs: np.ndarray) -> list[bool]:
    """Whether each limb [L, 2] may begin a person: those that earlier limbs do not connect yet.

    In CMU's list of COCO's limbs these are all but the last two, from shoulder to ear.
    """
    groups: list[set[int]] = []
    begins = []
    for limb in map(set, limbs.tolist()):
        touched = [group for group in groups if limb & group]
        begins.append(not any(limb <= group for group in touched))
        groups = [group for group in groups if not limb & group] + [limb.union(*touched)]
    return begins


def _begun(parts: int, pair: _Pair) -> _Person:
    person = _Person(np.full(parts, NO_PEAK))
    person.take(pair.parts[0], pair.peaks[0], pair.scores[0])
    person.take(pair.parts[1], pair.peaks[1], pair.scores[1] + pair.limb_score)
    return person


def _join(people: list[_Person], owners: list[_Person], pair: _Pair, begins: bool) -> None:
    """Give a pair to those who have one of its peaks; the earliest two where there are more."""
    (first, second), (a, b) = pair.parts, pair.peaks
    one, *others = owners
    if others and not ((one.peaks != NO_PEAK) & (others[0].peaks != NO_PEAK)).any():
        one.peaks = np.maximum(one.peaks, others[0].peaks)
        one.score += others[0].score + pair.limb_score
        one.count += others[0].count
        people.remove(others[0])
    elif others or one.peaks[second] != b:
        one.take(second, b, pair.scores[1] + pair.limb_score)
    elif begins and one.peaks[first] == NO_PEAK:
        one.take(first, a, pair.scores[0] + pair.limb_score)
