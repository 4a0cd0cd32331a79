"""The evaluator of bottom-up networks: people are assembled, then scored as whole frames.

PoseTrack's AP where head sizes are known, OKS AP where areas are.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from jaxpose.annotations.people import HEAD_SIZE_PER_DIAGONAL
from jaxpose.annotations.schema import Frame, Person
from jaxpose.evaluation.coco import oks_ap
from jaxpose.evaluation.posetrack import PoseTrackEvaluator
from jaxpose.limbs import LimbSet
from jaxpose.ops.assembly import NO_PEAK, assemble
from jaxpose.skeletons import Skeleton

_FIELDS = ("keypoints", "joint_mask", "head_size", "area", "boxes", "labels", "crowd", "ignore")


class FramePeople(NamedTuple):
    """People of one frame.

    Attributes:
      keypoints: float [N, K, 3], x and y in px of the frame and score; zeros where absent.
      scores: float [N], sums over peaks and limbs.
    """

    keypoints: np.ndarray
    scores: np.ndarray


def assembled_people(
    candidates: Mapping[str, np.ndarray], limbs: LimbSet, **thresholds: Any
) -> FramePeople:
    """People from one frame's candidates.

    Args:
      candidates: points [K, P, 2], scores [K, P] and limb_scores [L, P, P], as
        `ops.grouping.Candidates` without the batch axis.
      limbs: in the order of assembly.
      thresholds: min_parts and min_mean_score of `assemble`.
    """
    peak_scores = np.asarray(candidates["scores"])
    found = assemble(
        peak_scores, np.asarray(candidates["limb_scores"]), limbs.indices, **thresholds
    )
    parts = np.arange(len(peak_scores))
    peaks = np.maximum(found.peaks, 0)
    points = np.asarray(candidates["points"])[parts, peaks]
    keypoints = np.concatenate([points, peak_scores[parts, peaks][..., None]], -1)
    keypoints = np.where((found.peaks == NO_PEAK)[..., None], 0, keypoints.astype(np.float64))
    return FramePeople(keypoints, found.scores)


class BottomUpEvaluator:
    """Collects the people of frames in source px; scores them once, at the end.

    Ignore regions are the bounding boxes that a batch holds, where poseval takes polygons.
    """

    def __init__(self, skeleton: Skeleton, limbs: LimbSet, **thresholds: Any) -> None:
        """Arguments are those of `assembled_people`; the joints are the network's."""
        self._skeleton, self._limbs, self._thresholds = skeleton, limbs, thresholds
        self._posetrack = PoseTrackEvaluator(skeleton, skeleton)
        self._images, self._people, self._headed = 0, 0, 0
        self._truth: list[dict[str, Any]] = []
        self._found: list[dict[str, Any]] = []
        self._scored = np.zeros(skeleton.size, bool)

    def add(self, batch: Mapping[str, Any], predictions: Mapping[str, np.ndarray]) -> None:
        """Take a host batch and its candidates; rows with mask 0 are padding.

        Args:
          batch: keypoints [B, N, K, 3] source px, joint_mask [B, K], head_size and area [B, N],
            boxes [B, N, 4] source px (zeros: none), labels [B, N] (0: nobody), crowd [B, N],
            ignore [B, I, 4] (zeros: none), mask [B].
          predictions: points [B, K, P, 2] source px, scores [B, K, P], limb_scores [B, L, P, P].
        """
        names = ("points", "scores", "limb_scores")
        for row in np.flatnonzero(np.asarray(batch["mask"]) > 0).tolist():
            truth = {name: np.asarray(batch[name][row]) for name in _FIELDS}
            candidates = {name: predictions[name][row] for name in names}
            found = assembled_people(candidates, self._limbs, **self._thresholds)
            known = truth["joint_mask"] > 0
            found.keypoints[:, ~known] = 0  # nobody can say whether they are right
            self._scored |= known
            self._images += 1
            there = (truth["labels"] > 0) & ~truth["crowd"].astype(bool)
            annotated = there & (truth["keypoints"][..., 2] > 0).any(-1)
            self._people += int(annotated.sum())
            self._add_posetrack(truth, found, annotated)
            self._add_coco(truth, found)

    def _add_posetrack(
        self, truth: Mapping[str, np.ndarray], found: FramePeople, annotated: np.ndarray
    ) -> None:
        people = [
            Person(truth["keypoints"][i].astype(np.float64), head_box=_head(truth["head_size"][i]))
            for i in np.flatnonzero(annotated)
        ]
        self._headed += sum(person.head_box is not None for person in people)
        regions = [r for r in truth["ignore"].astype(float) if (r[2:] > r[:2]).all()]
        polygons = tuple(_corners(region) for region in regions)
        frame = Frame("", "", persons=tuple(people), ignore_polygons=polygons)
        predicted = [
            Person(np.where(joints[:, 2:] > 0, joints, 0), scores=joints[:, 2])
            for joints in found.keypoints
        ]
        self._posetrack.add(frame, Frame("", "", persons=tuple(predicted)))

    def _add_coco(self, truth: Mapping[str, np.ndarray], found: FramePeople) -> None:
        common = {"image_id": self._images, "category_id": 1}
        for i in np.flatnonzero(truth["labels"] > 0):
            x1, y1, x2, y2 = truth["boxes"][i].tolist()
            self._truth.append(
                common
                | {
                    "keypoints": truth["keypoints"][i].ravel().tolist(),
                    "bbox": [x1, y1, x2 - x1, y2 - y1],
                    "area": float(truth["area"][i]),
                    "iscrowd": int(truth["crowd"][i]),
                }
            )
        for joints, score in zip(found.keypoints, found.scores.tolist(), strict=True):
            self._found.append(common | {"keypoints": joints.ravel().tolist(), "score": score})

    def result(self) -> dict[str, Any]:
        """Metrics in percent, absent ones left out, and counts.

        `posetrack_head` .. `posetrack_ankl`, `posetrack_total` and `ap_<joint>` (poseval), `oks_*`
        (pycocotools, over the joints that network and data set share). Counts: images, people
        (annotated ones), found; oks_people, those beside OKS AP.
        """
        result: dict[str, Any] = {
            "images": self._images,
            "people": self._people,
            "found": len(self._found),
        }
        if self._headed:
            scores = self._posetrack.result()
            for name in ("Head", "Shou", "Elb", "Wri", "Hip", "Knee", "Ankl", "Total"):
                result[f"posetrack_{name.lower()}"] = float(scores[name])
            result |= {
                f"ap_{joint}": float(ap)
                for joint, ap in zip(scores["joints"], scores["ap"], strict=True)
                if np.isfinite(ap)
            }
        areas = np.array([entry["area"] for entry in self._truth])
        if len(areas) and np.isfinite(areas).all():
            result |= {"oks_people": self._people} | self._oks()
        return result

    def _oks(self) -> dict[str, float]:
        truth = {
            "images": [{"id": number} for number in range(1, self._images + 1)],
            "annotations": self._truth,
            "categories": [{"id": 1, "name": "person"}],
        }
        joints = np.flatnonzero(self._scored).tolist()
        stats = oks_ap(truth, self._found, self._skeleton.sigmas, joints)
        # pycocotools says -1 where nobody is of that size.
        return {f"oks_{name.lower()}": 100 * v for name, v in stats.items() if v >= 0}


def _head(size: float) -> np.ndarray | None:
    """A head box [4] of this head size, which alone counts; None where it is unknown."""
    known = np.isfinite(size) and size > 0
    return np.array([0, 0, size / HEAD_SIZE_PER_DIAGONAL, 0]) if known else None


def _corners(region: np.ndarray) -> np.ndarray:
    """The corners [4, 2] of a box xyxy in edge coordinates, at pixel centres."""
    x1, y1, x2, y2 = region - 0.5
    return np.array([[x1, y1], [x2, y1], [x2, y2], [x1, y2]])
