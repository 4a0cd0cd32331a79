"""Which predicted joints of a frame are correct, by the rules of PoseTrack's poseval (NumPy).

After `assignGTmulti` and `removeIgnoredPoints` of poseval's eval_helpers.py.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from jaxpose.annotations.people import head_size
from jaxpose.annotations.schema import Frame, Person
from jaxpose.evaluation.polygons import strictly_inside
from jaxpose.skeletons import POSETRACK17, Skeleton, conversion, convert_keypoints

JOINTS = POSETRACK17.joints
# A joint is correct within this many head sizes.
DISTANCE = 0.5
# What poseval ranks a joint without a score by.
MISSING_SCORE = -9999.0


class FrameMatch(NamedTuple):
    """Predictions of one frame against its ground truth; J = 15 joints in PoseTrack17's order.

    Attributes:
      assigned: int [P], index of the annotated person that a prediction is assigned to, or -1.
      annotated: bool [G, J] and predicted: bool [P, J], joints outside of the ignore regions.
      correct: bool [P, J], predicted joints that are true positives; the others are false ones.
      scores: float64 [P, J], joint scores.
    """

    assigned: np.ndarray
    annotated: np.ndarray
    predicted: np.ndarray
    correct: np.ndarray
    scores: np.ndarray


def match_frame(
    truth: Frame,
    found: Frame,
    truth_skeleton: Skeleton = POSETRACK17,
    found_skeleton: Skeleton = POSETRACK17,
) -> FrameMatch:
    """Compare the people of two frames; persons keep their order.

    Args:
      truth: annotated people with head boxes (without one nothing can match), and the ignore
        regions: joints of either side that lie strictly inside of one do not count.
      found: predicted people; joint scores that are missing or nan become `MISSING_SCORE`.
      truth_skeleton, found_skeleton: joint sets of their keypoints. Converted to PoseTrack17's by
        name: ears and other joints are dropped, joints that a set lacks are absent.
    """
    true_points, annotated = _joints(truth.persons, truth_skeleton, truth.ignore_polygons)
    points, predicted = _joints(found.persons, found_skeleton, truth.ignore_polygons)
    sizes = np.array([head_size(person) for person in truth.persons])
    offset = points[:, None] - true_points
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        distance = np.sqrt((offset**2).sum(-1)) / sizes[:, None]
        close = (distance <= DISTANCE) & predicted[:, None] & annotated
    share = close.sum(-1) / np.maximum(annotated.sum(-1), 1)
    assigned = assign(share)
    matched = np.flatnonzero(assigned >= 0)
    correct = np.zeros_like(predicted)
    correct[matched] = close[matched, assigned[matched]]
    scores = _scores(found.persons, found_skeleton)
    return FrameMatch(assigned, annotated, predicted, correct, scores)


def assign(share: np.ndarray) -> np.ndarray:
    """The annotated person of each prediction, int [P]; -1 where there is none.

    A prediction stands for the one person of whose joints it has the largest share, then every
    person takes the best prediction that stands for it: greedy, a prediction that loses does not
    fall back to its second best. The first of equals wins; joint scores play no part.

    Args:
      share: [P, G], correct joints of each pair divided by the annotated joints of the person.
    """
    assigned = np.full(share.shape[0], -1)
    if share.size:
        own = share.argmax(1)
        kept = np.where(np.arange(share.shape[1]) == own[:, None], share, 0.0)
        taken = np.flatnonzero(kept.max(0) > 0)
        assigned[kept.argmax(0)[taken]] = taken
    return assigned


def _joints(
    persons: Sequence[Person], skeleton: Skeleton, regions: Sequence[np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Points [N, J, 2] and which of them count [N, J]."""
    stacked = np.array([person.keypoints for person in persons], np.float64)
    keypoints = convert_keypoints(stacked.reshape(-1, skeleton.size, 3), skeleton, POSETRACK17)
    points, present = keypoints[..., :2], keypoints[..., 2] > 0
    for region in regions:
        present[present] = ~strictly_inside(points[present], region)
    return points, present


def _scores(persons: Sequence[Person], skeleton: Skeleton) -> np.ndarray:
    missing = np.full(skeleton.size, MISSING_SCORE)
    rows = [missing if person.scores is None else person.scores for person in persons]
    scores = np.array(rows, np.float64).reshape(-1, skeleton.size)
    scores = np.where(np.isnan(scores), MISSING_SCORE, scores)
    return scores[:, conversion(skeleton, POSETRACK17)]
