import numpy as np

from jaxpose.annotations.people import (
    BOX_OFFSETS,
    box_rule,
    head_size,
    head_size_rule,
    keypoint_extent,
    person_box,
)
from jaxpose.annotations.schema import Person

KEYPOINTS = np.array([[10, 20, 2], [50, 40, 1], [0, 0, 0], [30, 120, 2]], float)
NOBODY = np.zeros((4, 3))


def test_extent_counts_annotated_joints_only():
    np.testing.assert_array_equal(keypoint_extent(KEYPOINTS), [10, 20, 50, 120])
    assert np.isnan(keypoint_extent(NOBODY)).all()


def test_box_from_keypoints_is_their_extent_times_1_3():
    box, source = person_box(Person(KEYPOINTS))
    assert source == "keypoints"
    np.testing.assert_allclose(box, [4, 5, 56, 135])  # 40 x 100 grows by 6 and 15 on each side


def test_the_offsets_beyond_the_extent_may_be_others():
    offsets = (0.25, 0.3, 0.1, 0.0)  # of 40 x 100
    box, _ = person_box(Person(KEYPOINTS), offsets)
    np.testing.assert_allclose(box, [0, -10, 54, 120])
    assert box_rule(offsets) == "keypoint extent and 0.25 left 0.3 top 0.1 right 0 bottom"
    assert box_rule(BOX_OFFSETS) == "keypoint extent x 1.3"


def test_annotated_box_wins():
    box, source = person_box(
        Person(KEYPOINTS, box_xyxy=np.array([1.0, 2, 3, 4])), (0.5, 0.5, 0.5, 0.5)
    )
    assert source == "annotated"
    np.testing.assert_array_equal(box, [1, 2, 3, 4])


def test_box_of_nobody_is_nan():
    box, source = person_box(Person(NOBODY))
    assert source == "keypoints" and np.isnan(box).all()


def test_box_equals_posetrack18s_own():
    # Annotation 1009473000000 of PoseTrack18's 009473_mpii_test.
    extent = np.array([[672, 254.4751892, 2], [942, 832.5, 2]])
    box, _ = person_box(Person(extent))
    np.testing.assert_allclose(
        box, [631.5, 167.77146758, 982.5, 167.77146758 + 751.43225404], atol=1e-6
    )


def test_head_size_prefers_the_head_box():
    head = np.array([10.0, 10, 40, 50])
    assert head_size(Person(KEYPOINTS, head_box=head, scale=2.0)) == 30.0
    assert head_size(Person(KEYPOINTS, scale=2.0)) == 50.0
    assert np.isnan(head_size(Person(KEYPOINTS)))


def test_the_rule_of_the_head_size_is_told():
    head = np.array([10.0, 10, 40, 50])
    assert head_size_rule(Person(KEYPOINTS, head_box=head, scale=2.0)) == "head_box"
    assert head_size_rule(Person(KEYPOINTS, scale=2.0)) == "scale"
    assert head_size_rule(Person(KEYPOINTS)) == ""
