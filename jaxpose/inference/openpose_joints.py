"""The joint sets of OpenPose's models and what they mean in terms of the project's names."""

import numpy as np

from jaxpose.skeletons import COCO, COCO_18, POSETRACK17, Skeleton, convert_keypoints

_ARMS = ("right_shoulder", "right_elbow", "right_wrist", "left_shoulder", "left_elbow",
         "left_wrist")  # fmt: skip
_LEGS = ("right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle")
_FACE = ("right_eye", "left_eye", "right_ear", "left_ear")
_FEET = ("left_big_toe", "left_small_toe", "left_heel", "right_big_toe", "right_small_toe",
         "right_heel")  # fmt: skip

# In the orders of OpenPose's output documentation; the number of joints tells the model. Its neck
# counts as head_bottom (see `skeletons.ALIASES`), the head of its MPI model is MPII's head_top.
BODY_25 = Skeleton(
    "body_25", ("nose", "neck", *_ARMS, "mid_hip", *_LEGS, *_FACE, *_FEET), COCO.limbs
)
MPI_15 = Skeleton("mpi_15", ("head_top", "neck", *_ARMS, *_LEGS, "chest"))
MODELS = {model.size: model for model in (BODY_25, COCO_18, MPI_15)}

# Head top = nose + this part of the way from the middle of the shoulders (OpenPose's neck) to the
# nose. Median and least squares over the 24 persons of annotated PoseTrack frames with all five
# joints are 0.67 and 0.56; a head bent forward or back is off either way.
HEAD_TOP_BEYOND_NOSE = 0.6


def with_mid_hip(slots: np.ndarray, filled: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """BODY_25 slots [25, 3] and filled [25] with the mean of the hips, if both are there."""
    right, left, middle = (BODY_25.joints.index(j) for j in ("right_hip", "left_hip", "mid_hip"))
    if filled[right] and filled[left]:
        slots, filled = slots.copy(), filled.copy()
        slots[middle], filled[middle] = (slots[right] + slots[left]) / 2, True
    return slots, filled


def to_posetrack(joints: np.ndarray, model: Skeleton, head_top: bool = False) -> np.ndarray:
    """PoseTrack's 15 joints of one OpenPose person.

    Args:
      joints: float [S, 3], x, y in px and confidence, 0 where OpenPose found none.
      model: one of `MODELS`.
      head_top: extrapolate the top of the head where the model has none, see
        `HEAD_TOP_BEYOND_NOSE`; its confidence is the lower one of neck and nose.

    Returns:
      float64 [15, 3], zeros where there is no such joint.
    """
    converted = convert_keypoints(np.asarray(joints, np.float64), model, POSETRACK17)
    nose, neck, top = (POSETRACK17.joints.index(j) for j in ("nose", "head_bottom", "head_top"))
    lacking = "head_top" not in model.joints
    if head_top and lacking and converted[nose, 2] > 0 and converted[neck, 2] > 0:
        way = HEAD_TOP_BEYOND_NOSE * (converted[nose, :2] - converted[neck, :2])
        converted[top, :2] = converted[nose, :2] + way
        converted[top, 2] = min(converted[nose, 2], converted[neck, 2])
    return converted
