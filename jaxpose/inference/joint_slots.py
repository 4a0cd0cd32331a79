"""From the joints of a network to the joint slots of a file format, by name."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from jaxpose.inference.people import Person
from jaxpose.skeletons import Skeleton, conversion, skeleton_of

# Coordinates are written to a thousandth of a pixel, scores in full: ties would lose their order.
DECIMALS = 3


@dataclass(frozen=True, eq=False)
class JointSlots:
    """Which joint fills which slot.

    Attributes:
      joint_names: K joints of the network.
      target: the format's joint set, S slots.
      threshold: joints with a lower score leave their slot empty.
    """

    joint_names: tuple[str, ...]
    target: Skeleton
    threshold: float = 0.0

    @cached_property
    def index(self) -> np.ndarray:
        """int32 [S]: joint of each slot, -1 where the network has none."""
        return conversion(skeleton_of(self.joint_names), self.target)

    @property
    def missing(self) -> tuple[str, ...]:
        """Names of the slots that the network cannot fill."""
        return tuple(j for j, i in zip(self.target.joints, self.index, strict=True) if i < 0)

    @property
    def dropped(self) -> tuple[str, ...]:
        """Names of the joints that the format has no slot for."""
        used = set(self.index.tolist())
        return tuple(joint for n, joint in enumerate(self.joint_names) if n not in used)

    def fill(self, person: Person) -> tuple[np.ndarray, np.ndarray]:
        """The slots of one person.

        Returns:
          float64 [S, 3]: x, y in px and score, zeros in an empty slot; and bool [S]: filled. A
          joint that is not finite or scores below the threshold leaves its slot empty.

        Raises:
          ValueError: the person has other joints.
        """
        if tuple(person.joint_names) != self.joint_names:
            raise ValueError(f"joints {person.joint_names}, expected {self.joint_names}")
        points = np.round(np.asarray(person.keypoints, np.float64), DECIMALS)
        scores = np.asarray(person.keypoint_scores, np.float64)
        values = np.concatenate([points, scores[:, None]], 1)
        sound = np.isfinite(values).all(1) & (scores >= self.threshold)
        index = self.index
        filled = (index >= 0) & sound[index]
        return np.where(filled[:, None], values[index], 0.0), filled

    def note(self, *, absent: str = "written as 0,0,0", without: tuple[str, ...] = ()) -> str:
        """One line on slots that stay empty and joints that are dropped, '' if there are none.

        Args:
          absent: what becomes of an empty slot.
          without: slots not to be named.
        """
        missing = [joint for joint in self.missing if joint not in without]
        parts = []
        if missing:
            parts.append(f"the network has no {', '.join(missing)}: {absent}")
        if self.dropped:
            parts.append(f"no slot for {', '.join(self.dropped)}: dropped")
        return f"{self.target.name}: {'; '.join(parts)}" if parts else ""


def xywh(box_xyxy: np.ndarray) -> list[float]:
    """Top-left corner, width and height; zeros for a box that is not finite, as JSON has no nan."""
    x1, y1, x2, y2 = np.nan_to_num(np.asarray(box_xyxy, np.float64), posinf=0, neginf=0).tolist()
    return [round(value, DECIMALS) for value in (x1, y1, x2 - x1, y2 - y1)]
