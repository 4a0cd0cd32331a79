"""Joint sets and their conversion by name."""

import numpy as np
import pytest

from jaxpose import skeletons
from jaxpose.skeletons import (
    COCO,
    KNOWN,
    LSP,
    MPII,
    NO_JOINTS,
    POSETRACK17,
    POSETRACK18,
    convert_keypoints,
)


@pytest.mark.parametrize(
    ("skeleton", "size"), [(POSETRACK17, 15), (POSETRACK18, 17), (MPII, 16), (COCO, 17), (LSP, 14)]
)
def test_sizes_and_involution(skeleton, size):
    assert skeleton.size == size == len(set(skeleton.joints))
    flip = skeleton.flip_order
    np.testing.assert_array_equal(flip[flip], np.arange(size))
    for joint, other in zip(skeleton.joints, np.array(skeleton.joints)[flip], strict=True):
        if joint.startswith("left_"):
            assert other == joint.replace("left_", "right_")
    assert skeleton.limb_indices.max() < size
    assert (skeleton.sigmas > 0).all()


def test_mpii_flip_pairs_are_the_published_ones():
    pairs = [(0, 5), (1, 4), (2, 3), (10, 15), (11, 14), (12, 13)]
    expected = np.arange(16)
    for a, b in pairs:
        expected[a], expected[b] = b, a
    np.testing.assert_array_equal(MPII.flip_order, expected)


def test_coco_sigmas_are_those_of_pycocotools():
    from pycocotools.cocoeval import Params

    np.testing.assert_allclose(COCO.sigmas, Params("keypoints").kpt_oks_sigmas)


def test_mpii_to_posetrack_masks_the_nose_and_takes_the_upper_neck():
    index = skeletons.conversion(MPII, POSETRACK17)
    by_name = dict(zip(POSETRACK17.joints, index, strict=True))
    assert by_name["nose"] == -1
    assert MPII.joints[by_name["head_bottom"]] == "upper_neck"
    for joint in set(POSETRACK17.joints) - {"nose", "head_bottom"}:
        assert MPII.joints[by_name[joint]] == joint
    taken = set(index.tolist())
    assert MPII.joints.index("pelvis") not in taken and MPII.joints.index("thorax") not in taken


def test_coco_has_no_posetrack_head():
    index = dict(zip(POSETRACK17.joints, skeletons.conversion(COCO, POSETRACK17), strict=True))
    assert index["head_bottom"] == index["head_top"] == -1
    assert sum(i >= 0 for i in index.values()) == 13


@pytest.mark.parametrize("source", KNOWN.values(), ids=lambda s: s.name)
@pytest.mark.parametrize("target", KNOWN.values(), ids=lambda s: s.name)
def test_conversion_there_and_back_keeps_shared_joints(source, target):
    rng = np.random.default_rng(0)
    keypoints = rng.uniform(1, 9, (2, source.size, 3))
    there = skeletons.convert_keypoints(keypoints, source, target)
    back = skeletons.convert_keypoints(there, target, source)
    shared = skeletons.conversion(target, source) >= 0
    np.testing.assert_array_equal(back[:, shared], keypoints[:, shared])
    assert not back[:, ~shared].any()


def test_a_set_without_joints_converts_to_absent_joints():
    assert NO_JOINTS.size == 0 and NO_JOINTS.name not in KNOWN
    for array in (NO_JOINTS.flip_order, NO_JOINTS.sigmas, NO_JOINTS.limb_indices):
        assert len(array) == 0
    converted = convert_keypoints(np.zeros((4, 0, 3), np.float32), NO_JOINTS, COCO)
    assert converted.shape == (4, 17, 3) and converted.dtype == np.float32 and not converted.any()
    assert convert_keypoints(np.ones((4, 17, 3)), COCO, NO_JOINTS).shape == (4, 0, 3)


@pytest.mark.parametrize("skeleton", KNOWN.values(), ids=lambda s: s.name)
def test_known_names_give_the_known_set(skeleton):
    assert skeletons.skeleton_of(skeleton.joints) is skeleton


def test_other_names_get_the_limbs_of_the_nearest_known_set():
    joints = ("neck", "left_knee", "tail", "left_ankle", "left_shoulder", "left_hip")
    found = skeletons.skeleton_of(joints)
    assert found.name == "custom" and found.joints == joints
    assert set(map(frozenset, found.limbs)) == {
        frozenset(("left_knee", "left_ankle")), frozenset(("left_knee", "left_hip")),
        frozenset(("left_shoulder", "left_hip")), frozenset(("neck", "left_shoulder")),
    }  # fmt: skip
    assert skeletons.skeleton_of(("a", "b")).limbs == ()
