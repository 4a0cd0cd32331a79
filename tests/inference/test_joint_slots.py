"""From network joints to slots, by name."""

import numpy as np
import pytest

from jaxpose.inference.joint_slots import JointSlots, xywh
from jaxpose.inference.people import Person
from jaxpose.skeletons import COCO, MPII, POSETRACK17, POSETRACK18


def _person(names, scores=None):
    points = np.array([[10.0 + n, 20.0 + n] for n in range(len(names))])
    scores = np.full(len(names), 0.5) if scores is None else np.asarray(scores)
    return Person(np.array([0.0, 0, 50, 60]), 0.9, points, scores, names)


def test_joints_go_to_the_slot_of_their_name():
    person = _person(MPII.joints)
    values, filled = JointSlots(MPII.joints, POSETRACK17).fill(person)
    for slot, joint in enumerate(POSETRACK17.joints):
        source = "upper_neck" if joint == "head_bottom" else joint
        if joint == "nose":
            assert not filled[slot] and values[slot].tolist() == [0, 0, 0]
            continue
        n = MPII.joints.index(source)
        assert filled[slot] and values[slot].tolist() == [10 + n, 20 + n, 0.5]


def test_missing_and_dropped_joints_are_named_once():
    slots = JointSlots(MPII.joints, POSETRACK18)
    assert slots.missing == ("nose", "left_ear", "right_ear")
    assert slots.dropped == ("pelvis", "thorax")
    assert slots.note() == (
        "posetrack18: the network has no nose, left_ear, right_ear: written as 0,0,0; "
        "no slot for pelvis, thorax: dropped"
    )
    assert "nose" not in slots.note(without=("nose",))
    assert JointSlots(COCO.joints, COCO).note() == ""


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1)])
def test_low_scores_and_broken_numbers_leave_their_slot_empty(order):
    names = tuple(np.array(["nose", "left_eye", "right_eye"])[list(order)])
    person = _person(names, [0.3, 0.5, np.nan])
    _, filled = JointSlots(names, COCO, threshold=0.5).fill(person)
    assert [j for j, f in zip(COCO.joints, filled, strict=True) if f] == [names[1]]
    far = person._replace(keypoints=np.array([[np.inf, 0], [1.23456, 2], [np.nan, 1]]))
    values, filled = JointSlots(names, COCO).fill(far)
    assert filled.sum() == 1 and values[filled].tolist() == [[1.235, 2, 0.5]]
    assert np.isfinite(values).all()


def test_a_person_with_other_joints_is_a_mistake():
    with pytest.raises(ValueError, match="expected"):
        JointSlots(COCO.joints, COCO).fill(_person(MPII.joints))


def test_boxes_are_top_left_width_and_height():
    assert xywh(np.array([1.5, 2, 11.5, 22])) == [1.5, 2, 10, 20]
    assert xywh(np.full(4, np.nan)) == [0, 0, 0, 0]
