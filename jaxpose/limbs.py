"""Limbs of part affinity fields as data: which joints a field connects, and in which channels.

The order is that in which persons are assembled, from the neck outwards (CMU's `limbSeq`). Apart
from `COCO_18`, whose two limbs from ear to shoulder are redundant, each list is a tree over its
joint set; `Skeleton.limbs` are what is drawn, and may have cycles.
"""

from dataclasses import dataclass

import numpy as np

from jaxpose.skeletons import COCO_18, MPII, POSETRACK17, Skeleton

Pairs = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class LimbSet:
    """The limbs of a joint set that have a field each.

    Attributes:
      joints: K joint names.
      pairs: L pairs of them, in the order of assembly; a field points from the first to the second.
      places: L numbers, which field holds each limb; () where that is its own place in `pairs`.
    """

    joints: tuple[str, ...]
    pairs: Pairs
    places: tuple[int, ...] = ()

    @property
    def size(self) -> int:
        """Number of limbs L; the fields have 2 L channels."""
        return len(self.pairs)

    @property
    def indices(self) -> np.ndarray:
        """int32 [L, 2]: joints of each limb, in the order of assembly."""
        pairs = [(self.joints.index(a), self.joints.index(b)) for a, b in self.pairs]
        return np.array(pairs, np.int32).reshape(-1, 2)

    @property
    def channels(self) -> np.ndarray:
        """int32 [L, 2]: channels of x and y of each limb, in the order of assembly."""
        places = np.array(self.places or range(self.size), np.int32)
        return 2 * places[:, None] + np.array([0, 1], np.int32)

    @property
    def by_field(self) -> np.ndarray:
        """int32 [L, 2]: joints of the limb that each field holds, field by field."""
        return self.indices[np.argsort(self.channels[:, 0])]

    def flip(self, flip_order: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """What a left/right flip of the image makes of the fields.

        Args:
          flip_order: int [K], `Skeleton.flip_order`.

        Returns:
          order int32 [L], the field to read for each field; direction float32 [L], -1 where the
          mirrored limb runs the other way (right hip to left hip), else 1.

        Raises:
          ValueError: a limb whose mirror image is no limb of the set.
        """
        limbs = [tuple(limb) for limb in self.by_field.tolist()]
        order, direction = [], []
        for a, b in limbs:
            mirrored = int(flip_order[a]), int(flip_order[b])
            forward = mirrored in limbs
            if not forward and mirrored[::-1] not in limbs:
                limb = f"{self.joints[a]} to {self.joints[b]}"
                raise ValueError(f"the mirror image of {limb} is none of the {self.size} limbs")
            order.append(limbs.index(mirrored if forward else mirrored[::-1]))
            direction.append(1.0 if forward else -1.0)
        return np.array(order, np.int32), np.array(direction, np.float32)


_SIDES = ("right", "left")


def _chain(start: str, *joints: str) -> Pairs:
    """start -> joint -> ... of the right side, then of the left."""
    pairs = []
    for side in _SIDES:
        names = (start, *(f"{side}_{joint}" for joint in joints))
        pairs += list(zip(names, names[1:], strict=False))
    return tuple(pairs)


_ARM, _LEG = ("shoulder", "elbow", "wrist"), ("hip", "knee", "ankle")

POSETRACK17_LIMBS = LimbSet(
    POSETRACK17.joints,
    (*_chain("head_bottom", *_ARM), *_chain("head_bottom", *_LEG),
     ("head_bottom", "nose"), ("nose", "head_top")),
)  # fmt: skip
MPII_LIMBS = LimbSet(
    MPII.joints,
    (*_chain("thorax", *_ARM), ("thorax", "pelvis"), *_chain("pelvis", *_LEG),
     ("thorax", "upper_neck"), ("upper_neck", "head_top")),
)  # fmt: skip
# CMU's order (`limbSeq` of pose_decoder, 1-based: 2-3 2-6 3-4 4-5 6-7 7-8 2-9 9-10 10-11 2-12 12-13
# 13-14 2-1 1-15 15-17 1-16 16-18 3-17 6-18) and its fields (`mapIdx`, less 19, halved).
COCO_18_LIMBS = LimbSet(
    COCO_18.joints,
    (("neck", "right_shoulder"), ("neck", "left_shoulder"),
     ("right_shoulder", "right_elbow"), ("right_elbow", "right_wrist"),
     ("left_shoulder", "left_elbow"), ("left_elbow", "left_wrist"),
     *_chain("neck", *_LEG), ("neck", "nose"),
     ("nose", "right_eye"), ("right_eye", "right_ear"),
     ("nose", "left_eye"), ("left_eye", "left_ear"),
     ("right_shoulder", "right_ear"), ("left_shoulder", "left_ear")),
    (6, 10, 7, 8, 11, 12, 0, 1, 2, 3, 4, 5, 14, 15, 17, 16, 18, 9, 13),
)  # fmt: skip

_KNOWN = {limbs.joints: limbs for limbs in (POSETRACK17_LIMBS, MPII_LIMBS, COCO_18_LIMBS)}


def limbs_of(skeleton: Skeleton) -> LimbSet:
    """The limbs of a known joint set; of any other those that are drawn."""
    return _KNOWN.get(skeleton.joints) or LimbSet(skeleton.joints, skeleton.limbs)
