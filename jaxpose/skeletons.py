"""Joint sets as data: names, left/right pairs, limbs, OKS sigmas; conversion by joint NAME.

Sources: poseval (PoseTrack17 order), PoseTrack18 and COCO category entries, the MPII and LSP
documentation. OKS sigmas of COCO are those of pycocotools; joints that COCO lacks take the values
that mmpose's posetrack18 configuration uses (head_bottom, head_top: as shoulders' neighbours).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

# One anatomical place has several names; the right-hand side is the one used for matching.
ALIASES = {"upper_neck": "head_bottom", "neck": "head_bottom"}

_SIGMAS = {
    "nose": 0.026, "eye": 0.025, "ear": 0.035, "head_bottom": 0.029, "head_top": 0.026,
    "shoulder": 0.079, "elbow": 0.072, "wrist": 0.062, "hip": 0.107, "knee": 0.087,
    "ankle": 0.089, "pelvis": 0.107, "thorax": 0.079,
}  # fmt: skip
_UNKNOWN_SIGMA = 0.079


@dataclass(frozen=True)
class Skeleton:
    """An ordered joint set.

    Attributes:
      name: short name, e.g. `posetrack17`.
      joints: K joint names in storage order; `left_`/`right_` prefixes mark sides.
      limbs: pairs of joint names to draw.
    """

    name: str
    joints: tuple[str, ...]
    limbs: tuple[tuple[str, str], ...] = ()

    @property
    def size(self) -> int:
        """Number of joints K."""
        return len(self.joints)

    @property
    def canonical(self) -> tuple[str, ...]:
        """Joint names with aliases resolved (`upper_neck` and `neck` are `head_bottom`)."""
        return tuple(ALIASES.get(joint, joint) for joint in self.joints)

    @property
    def flip_order(self) -> np.ndarray:
        """int32 [K]: joint to read for each place after a left/right flip; an involution."""
        names = list(self.joints)
        return np.array([names.index(_mirrored(j, names)) for j in names], np.int32)

    @property
    def limb_indices(self) -> np.ndarray:
        """int32 [L, 2]: joint indices of each limb."""
        pairs = [(self.joints.index(a), self.joints.index(b)) for a, b in self.limbs]
        return np.array(pairs, np.int32).reshape(-1, 2)

    @property
    def sigmas(self) -> np.ndarray:
        """float64 [K]: standard deviations of the OKS, COCO's convention."""
        bare = [_without_side(joint) for joint in self.canonical]
        return np.array([_SIGMAS.get(joint, _UNKNOWN_SIGMA) for joint in bare])


def _without_side(joint: str) -> str:
    return joint.removeprefix("left_").removeprefix("right_")


def _mirrored(joint: str, names: Sequence[str]) -> str:
    for side, other in (("left_", "right_"), ("right_", "left_")):
        if joint.startswith(side):
            mirrored = other + joint.removeprefix(side)
            return mirrored if mirrored in names else joint
    return joint


def conversion(source: Skeleton, target: Skeleton) -> np.ndarray:
    """Index of each target joint in the source set, by name.

    Returns:
      int32 [K_target]; -1 where the source lacks the joint. Such joints are masked, never guessed.
    """
    names = list(source.canonical)
    return np.array([names.index(j) if j in names else -1 for j in target.canonical], np.int32)


def convert_keypoints(keypoints: np.ndarray, source: Skeleton, target: Skeleton) -> np.ndarray:
    """Reorder keypoints [..., K_source, C] into [..., K_target, C]; missing joints are zeros."""
    index = conversion(source, target)
    if not source.size:
        return np.zeros((*keypoints.shape[:-2], target.size, keypoints.shape[-1]), keypoints.dtype)
    taken = np.take(keypoints, np.maximum(index, 0), axis=-2)
    return np.where((index >= 0)[:, None], taken, np.zeros_like(taken))


_BODY_LIMBS = (
    ("right_ankle", "right_knee"), ("right_knee", "right_hip"),
    ("left_ankle", "left_knee"), ("left_knee", "left_hip"),
    ("right_wrist", "right_elbow"), ("right_elbow", "right_shoulder"),
    ("left_wrist", "left_elbow"), ("left_elbow", "left_shoulder"),
    ("right_hip", "left_hip"),
)  # fmt: skip
_TORSO_SIDES = (("right_shoulder", "right_hip"), ("left_shoulder", "left_hip"))


def _necked(neck: str) -> tuple[tuple[str, str], ...]:
    return ((neck, "right_shoulder"), (neck, "left_shoulder"))


POSETRACK17 = Skeleton(
    "posetrack17",
    ("right_ankle", "right_knee", "right_hip", "left_hip", "left_knee", "left_ankle",
     "right_wrist", "right_elbow", "right_shoulder", "left_shoulder", "left_elbow", "left_wrist",
     "head_bottom", "nose", "head_top"),
    _BODY_LIMBS + _TORSO_SIDES + _necked("head_bottom")
    + (("head_bottom", "nose"), ("nose", "head_top")),
)  # fmt: skip
POSETRACK18 = Skeleton(
    "posetrack18",
    ("nose", "head_bottom", "head_top", "left_ear", "right_ear", "left_shoulder",
     "right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist", "left_hip",
     "right_hip", "left_knee", "right_knee", "left_ankle", "right_ankle"),
    _BODY_LIMBS + _TORSO_SIDES + _necked("head_bottom")
    + (("head_bottom", "nose"), ("nose", "head_top")),
)  # fmt: skip
MPII = Skeleton(
    "mpii",
    ("right_ankle", "right_knee", "right_hip", "left_hip", "left_knee", "left_ankle", "pelvis",
     "thorax", "upper_neck", "head_top", "right_wrist", "right_elbow", "right_shoulder",
     "left_shoulder", "left_elbow", "left_wrist"),
    _BODY_LIMBS[:-1] + (("pelvis", "right_hip"), ("pelvis", "left_hip"), ("pelvis", "thorax"))
    + _necked("thorax") + (("thorax", "upper_neck"), ("upper_neck", "head_top")),
)  # fmt: skip
COCO = Skeleton(
    "coco",
    ("nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder", "right_shoulder",
     "left_elbow", "right_elbow", "left_wrist", "right_wrist", "left_hip", "right_hip",
     "left_knee", "right_knee", "left_ankle", "right_ankle"),
    _BODY_LIMBS + _TORSO_SIDES
    + (("left_shoulder", "right_shoulder"), ("nose", "left_eye"), ("nose", "right_eye"),
       ("left_eye", "left_ear"), ("right_eye", "right_ear"), ("left_ear", "left_shoulder"),
       ("right_ear", "right_shoulder")),
)  # fmt: skip
LSP = Skeleton(
    "lsp",
    ("right_ankle", "right_knee", "right_hip", "left_hip", "left_knee", "left_ankle",
     "right_wrist", "right_elbow", "right_shoulder", "left_shoulder", "left_elbow", "left_wrist",
     "neck", "head_top"),
    _BODY_LIMBS + _TORSO_SIDES + _necked("neck") + (("neck", "head_top"),),
)  # fmt: skip

# OpenPose's parts of its COCO model; the neck is the mean of the shoulders.
COCO_18 = Skeleton(
    "coco_18",
    ("nose", "neck", "right_shoulder", "right_elbow", "right_wrist", "left_shoulder", "left_elbow",
     "left_wrist", "right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle",
     "right_eye", "left_eye", "right_ear", "left_ear"),
    COCO.limbs,
)  # fmt: skip

# The joint set of data sets that annotate boxes alone.
NO_JOINTS = Skeleton("none", ())

KNOWN = {s.name: s for s in (POSETRACK17, POSETRACK18, MPII, COCO, LSP, COCO_18)}


@lru_cache
def skeleton_of(joints: tuple[str, ...]) -> Skeleton:
    """The known joint set of these names, else a `custom` one.

    A custom set gets the limbs of that known set which has most of its limbs among the joints.
    """
    places = {ALIASES.get(joint, joint): joint for joint in joints}
    best: tuple[tuple[str, str], ...] = ()
    for known in KNOWN.values():
        if known.joints == joints:
            return known
        pairs = [(ALIASES.get(a, a), ALIASES.get(b, b)) for a, b in known.limbs]
        limbs = tuple((places[a], places[b]) for a, b in pairs if a in places and b in places)
        best = max(best, limbs, key=len)
    return Skeleton("custom", joints, best)
