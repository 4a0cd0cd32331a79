"""Limbs of the fields: published orders and channels, trees, flips."""

import numpy as np
import pytest

from jaxpose.limbs import (
    COCO_18_LIMBS,
    MPII_LIMBS,
    POSETRACK17_LIMBS,
    LimbSet,
    limbs_of,
)
from jaxpose.skeletons import COCO, COCO_18, KNOWN, MPII, POSETRACK17, Skeleton

# CMU's limbs and the channels of their fields in the 57 maps, where the fields begin at 19.
LIMB_SEQ = (
    "2-3 2-6 3-4 4-5 6-7 7-8 2-9 9-10 10-11 2-12 12-13 13-14 2-1 1-15 15-17 1-16 16-18 3-17 6-18"
)
MAP_IDX = (31, 32, 39, 40, 33, 34, 35, 36, 41, 42, 43, 44, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28,
           29, 30, 47, 48, 49, 50, 53, 54, 51, 52, 55, 56, 37, 38, 45, 46)  # fmt: skip


def test_the_coco_limbs_are_cmus():
    wanted = [[int(joint) - 1 for joint in limb.split("-")] for limb in LIMB_SEQ.split()]
    np.testing.assert_array_equal(COCO_18_LIMBS.indices, wanted)
    np.testing.assert_array_equal(COCO_18_LIMBS.channels.ravel() + 19, MAP_IDX)
    by_field = COCO_18_LIMBS.by_field
    for limb, (x, y) in zip(COCO_18_LIMBS.indices, COCO_18_LIMBS.channels, strict=True):
        assert y == x + 1 and (by_field[x // 2] == limb).all()


@pytest.mark.parametrize(
    ("limbs", "skeleton", "count"),
    [(POSETRACK17_LIMBS, POSETRACK17, 14), (MPII_LIMBS, MPII, 15)],
)
def test_other_limbs_are_trees_from_the_root_outwards(limbs, skeleton, count):
    assert limbs_of(skeleton) is limbs and limbs.size == count == skeleton.size - 1
    reached = {limbs.pairs[0][0]}
    for start, end in limbs.pairs:
        assert start in reached and end not in reached
        reached.add(end)
    assert reached == set(skeleton.joints)
    np.testing.assert_array_equal(limbs.channels.ravel(), np.arange(2 * count))


@pytest.mark.parametrize("skeleton", KNOWN.values(), ids=lambda s: s.name)
def test_flips_of_limbs_are_involutions(skeleton):
    limbs = limbs_of(skeleton)
    order, direction = limbs.flip(skeleton.flip_order)
    np.testing.assert_array_equal(order[order], np.arange(limbs.size))
    mirrored = skeleton.flip_order[limbs.by_field]
    forward = np.where(direction[:, None] > 0, mirrored, mirrored[:, ::-1])
    np.testing.assert_array_equal(limbs.by_field[order], forward)


def test_any_joint_set_has_the_limbs_that_are_drawn():
    assert limbs_of(COCO).pairs == COCO.limbs and limbs_of(COCO_18) is COCO_18_LIMBS
    hips = LimbSet(POSETRACK17.joints, (("right_hip", "left_hip"),))
    assert hips.flip(POSETRACK17.flip_order)[1].tolist() == [-1]
    assert limbs_of(Skeleton("custom", ("nose",))).size == 0
    one_sided = LimbSet(POSETRACK17.joints, (("right_hip", "right_knee"),))
    with pytest.raises(ValueError, match="none of the"):
        one_sided.flip(POSETRACK17.flip_order)
