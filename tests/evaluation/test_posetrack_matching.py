"""The rules of poseval against a twin that goes person by person and joint by joint."""

import math

import numpy as np
import pytest

from jaxpose.annotations.schema import Frame, Person
from jaxpose.evaluation.posetrack import PoseTrackEvaluator
from jaxpose.evaluation.posetrack_matching import MISSING_SCORE, assign, match_frame
from jaxpose.skeletons import COCO, MPII, POSETRACK17, POSETRACK18, convert_keypoints


def twin_assignment(share):
    """Rule 5 of poseval, spelled out: prediction of every annotated person, or None."""
    stands_for = []
    for row in share:
        best = 0
        for g in range(1, len(row)):
            if row[g] > row[best]:
                best = g
        stands_for.append(best)
    taken = {}
    for g in range(len(share[0])):
        best, value = None, 0.0
        for p, row in enumerate(share):
            if stands_for[p] == g and row[g] > value:
                best, value = p, row[g]
        if best is not None:
            taken[best] = g
    return [taken.get(p, -1) for p in range(len(share))]


def twin_frame(truth, found):
    """(joint, score, correct) of every predicted joint, and the annotated joints."""
    true = [{j: k[:2] for j, k in enumerate(p.keypoints) if k[2]} for p in truth.persons]
    pred = [{j: k[:2] for j, k in enumerate(p.keypoints) if k[2]} for p in found.persons]
    close = {}
    for g, annotated in enumerate(true):
        x1, y1, x2, y2 = truth.persons[g].head_box
        size = 0.6 * math.sqrt((x2 - x1) ** 2 + (y2 - y1) ** 2)
        for p, predicted in enumerate(pred):
            close[p, g] = {
                j
                for j, (x, y) in predicted.items()
                if j in annotated
                and math.sqrt((x - annotated[j][0]) ** 2 + (y - annotated[j][1]) ** 2) / size <= 0.5
            }
    share = [
        [len(close[p, g]) / len(true[g]) if true[g] else 0.0 for g in range(len(true))]
        for p in range(len(pred))
    ]
    assigned = twin_assignment(share) if true and pred else [-1] * len(pred)
    rows = [
        (j, found.persons[p].scores[j], assigned[p] >= 0 and j in close[p, assigned[p]])
        for p, predicted in enumerate(pred)
        for j in predicted
    ]
    return assigned, rows, [j for annotated in true for j in annotated]


def twin_ap(rows, positives):
    """Area under the highest precision at each recall or a greater one."""
    if not rows:
        return 0.0
    if not positives:
        return math.nan
    ranked = sorted(enumerate(rows), key=lambda row: (row[1][1], row[0]), reverse=True)
    points, hits = [], 0
    for rank, (_, (_, _, correct)) in enumerate(ranked, 1):
        hits += correct
        points.append((hits / positives, hits / rank))
    area, reached = 0.0, 0.0
    for recall in sorted({r for r, _ in points}):
        area += (recall - reached) * max(p for r, p in points if r >= recall)
        reached = recall
    return 100 * area


def random_frames(seed, coarse):
    """Frames with 0..4 people on either side; coarse ones are full of ties and exact distances."""
    rng = np.random.default_rng(seed)
    for number in range(int(rng.integers(1, 6))):
        truth = [_random_person(rng, coarse) for _ in range(rng.integers(0, 5))]
        found = [_random_person(rng, coarse) for _ in range(rng.integers(0, 5))]
        for person in truth:
            if rng.random() < 0.7:  # so that there is something to match
                moved = person.keypoints.copy()
                step = rng.integers(-3, 4, (15, 2)) if coarse else rng.normal(0, 2, (15, 2))
                moved[:, :2] += step
                moved[rng.random(15) < 0.2] = 0
                found.append(_person(moved, rng, coarse))
        yield (
            Frame(f"{number}", f"{number}", persons=tuple(truth)),
            Frame("", "", persons=tuple(found)),
        )


def _random_person(rng, coarse):
    xy = rng.integers(1, 6, (15, 2)) * 1.0 if coarse else rng.uniform(0, 12, (15, 2))
    present = rng.random((15, 1)) < rng.choice([0.0, 0.3, 0.8], p=[0.1, 0.4, 0.5])
    return _person(np.where(present, np.column_stack([xy, np.full(15, 2.0)]), 0.0), rng, coarse)


def _person(keypoints, rng, coarse):
    keypoints[keypoints[:, 2] == 0] = 0
    scale = float(rng.integers(1, 3))  # head sizes 3 and 6: half of them are whole distances
    scores = rng.integers(0, 4, 15) / 4 if coarse else rng.random(15)
    return Person(keypoints, head_box=np.array([0, 0, 3, 4]) * scale, scores=scores)


@pytest.mark.parametrize("coarse", [False, True])
def test_equals_the_twin_on_random_frames(coarse):
    assigned_people = 0
    for seed in range(60):
        evaluator, rows, positives, labelled = PoseTrackEvaluator(), [], [], False
        for truth, found in random_frames(seed, coarse):
            match = evaluator.add(truth, found)
            if match is None:
                continue
            labelled = True
            assigned, joints, annotated = twin_frame(truth, found)
            assert match.assigned.tolist() == assigned
            rows += joints
            positives += annotated
            assigned_people += sum(g >= 0 for g in assigned)
        if not labelled:
            continue
        result = evaluator.result()
        assert result["n_tp"].sum() == sum(correct for *_, correct in rows)
        for joint in range(15):
            own = [row for row in rows if row[0] == joint]
            expected = twin_ap(own, positives.count(joint))
            assert result["ap"][joint] == pytest.approx(expected, abs=1e-9, nan_ok=True)
    assert assigned_people > 200


def test_assignment_by_hand():
    # Both predictions stand for person 0; the loser does not fall back to person 1.
    assert assign(np.array([[0.9, 0.0], [0.8, 0.7]])).tolist() == [0, -1]
    # The first of equals wins, on both sides.
    assert assign(np.array([[0.5, 0.5], [0.5, 0.5]])).tolist() == [0, -1]
    assert assign(np.array([[0.2, 0.3], [0.6, 0.1]])).tolist() == [1, 0]
    assert assign(np.zeros((2, 2))).tolist() == [-1, -1]
    assert assign(np.zeros((2, 0))).tolist() == [-1, -1]
    assert assign(np.zeros((0, 3))).tolist() == []


def test_assignment_equals_the_twin():
    rng = np.random.default_rng(3)
    for _ in range(300):
        share = rng.integers(0, 4, rng.integers(1, 6, 2)) / 3
        assert assign(share).tolist() == twin_assignment(share.tolist())


def test_head_sizes_bound_the_distance():
    keypoints = np.zeros((15, 3))
    keypoints[0] = 100, 100, 2
    for width, distance, correct in [(10, 3, True), (10, 3.001, False), (0, 0, False)]:
        box = np.array([0.0, 0, 0.6 * width, 0.8 * width]) if width else None
        moved = keypoints + np.array([distance, 0, 0])
        moved[1:] = 0
        frames = [Frame("", "", persons=(Person(k, head_box=box),)) for k in (keypoints, moved)]
        assert match_frame(*frames).correct[0, 0] == correct


def test_ignore_regions_take_joints_from_both_sides():
    keypoints = np.zeros((15, 3))
    keypoints[:3] = [[5, 5, 2], [10, 5, 2], [20, 5, 2]]
    square = np.array([[0.0, 0], [10, 0], [10, 10], [0, 10]])
    person = Person(keypoints, head_box=np.array([0, 0, 3, 4]))
    truth = Frame("", "", persons=(person,), ignore_polygons=(square,))
    match = match_frame(truth, Frame("", "", persons=(person,), ignore_polygons=(square + 15,)))
    # Joint 0 lies inside, joint 1 on the boundary; the regions of a prediction mean nothing.
    assert match.annotated[0, :3].tolist() == match.predicted[0, :3].tolist() == [False, True, True]
    assert match.correct.sum() == 2 and match.assigned.tolist() == [0]


@pytest.mark.parametrize("skeleton", [POSETRACK18, MPII, COCO])
def test_other_joint_sets_are_converted_by_name(skeleton):
    rng = np.random.default_rng(1)
    keypoints = np.column_stack(
        [rng.uniform(0, 500, (skeleton.size, 2)), np.full(skeleton.size, 2)]
    )
    own = Person(keypoints, scores=rng.random(skeleton.size))
    converted = convert_keypoints(keypoints, skeleton, POSETRACK17)
    truth = Frame("", "", persons=(Person(converted, head_box=np.array([0, 0, 3, 4.0])),))
    match = match_frame(truth, Frame("", "", persons=(own,)), found_skeleton=skeleton)
    np.testing.assert_array_equal(match.predicted, converted[None, :, 2] > 0)
    np.testing.assert_array_equal(match.correct, match.predicted)
    lacking = {POSETRACK18: 0, MPII: 1, COCO: 2}[skeleton]
    assert match.predicted.sum() == 15 - lacking
    left, name = POSETRACK17.joints.index("left_knee"), skeleton.joints.index("left_knee")
    assert match.scores[0, left] == own.scores[name]


def test_missing_and_undefined_scores_rank_last():
    keypoints = np.tile([1.0, 1, 2], (15, 1))
    unscored, undefined = Person(keypoints), Person(keypoints, scores=np.full(15, np.nan))
    match = match_frame(Frame("", ""), Frame("", "", persons=(unscored, undefined)))
    assert (match.scores == MISSING_SCORE).all() and match.assigned.tolist() == [-1, -1]
