"""Average precision of multi-person poses in video, exactly as PoseTrack's poseval computes it.

After `evaluateAP.py` and `eval_helpers.py` of github.com/leonid-pishchulin/poseval: the scores of
PoseTrack's Challenges 1 and 2. The rules are in `posetrack_matching`.
"""

from pathlib import Path
from typing import Any

import numpy as np
from absl import logging

from jaxpose.annotations.schema import Frame
from jaxpose.errors import DataError
from jaxpose.evaluation.posetrack_files import common_format, paired_files, read_pairs
from jaxpose.evaluation.posetrack_matching import JOINTS, MISSING_SCORE, FrameMatch, match_frame
from jaxpose.evaluation.posetrack_table import columns
from jaxpose.evaluation.precision_recall import Curve
from jaxpose.skeletons import POSETRACK17, Skeleton


def evaluate(ground_truth_dir: str | Path, predictions_dir: str | Path) -> dict[str, Any]:
    """Score a folder of predictions against a folder of ground truth.

    Both hold one JSON file a video, of PoseTrack17 or PoseTrack18, both the same format. Files pair
    by name and frames by position; further prediction files are left alone.

    Returns:
      The scores of `PoseTrackEvaluator.result`: `Head` .. `Total`, per-joint `ap`, `precision` and
      `recall`, counts.

    Raises:
      DataError: a folder, a video or a frame is missing, formats are mixed, a file is damaged, a
        predicted person has no track_id or that of another, no frame is labelled, or nobody has a
        head box. Where poseval gives a number, either this is the number or such an error says why.
    """
    files = paired_files(ground_truth_dir, predictions_dir)
    skeleton = common_format([*files, *files.values()])
    evaluator = PoseTrackEvaluator(skeleton, skeleton)
    for truth_file, found_file in files.items():
        for truth, found in read_pairs(truth_file, found_file):
            evaluator.add(truth, found)
    result = evaluator.result()
    if result["unscored_joints"]:
        logging.warning(
            "%s: %d of %d predicted joints have no score; they rank last, as with poseval",
            predictions_dir, result["unscored_joints"], result["n_pred_joints"].sum(),
        )  # fmt: skip
    if result["gt_persons_without_head"]:
        logging.warning(
            "%s: %d of %d annotated people have no head box or one of zero size; nothing matches "
            "their joints",
            ground_truth_dir, result["gt_persons_without_head"], result["gt_persons"],
        )  # fmt: skip
    return result


class PoseTrackEvaluator:
    """Collects the frames of a split; scores all of them together, at the end."""

    def __init__(
        self, truth_skeleton: Skeleton = POSETRACK17, found_skeleton: Skeleton = POSETRACK17
    ) -> None:
        """Joint sets of annotated and predicted keypoints; both become PoseTrack17's by name."""
        self._skeletons = truth_skeleton, found_skeleton
        self._matches: list[FrameMatch] = []
        self._headless = 0

    def add(self, truth: Frame, found: Frame) -> FrameMatch | None:
        """Take an annotated frame and what was predicted in it.

        A frame where nobody is annotated is not labelled and costs nothing, whatever was predicted.
        One whose people have no joints counts: all that was predicted in it is wrong.

        Returns:
          What became of each joint; None of a frame that is not labelled.
        """
        if not truth.persons:
            return None
        match = match_frame(truth, found, *self._skeletons)
        self._matches.append(match)
        for person, annotated in zip(truth.persons, match.annotated, strict=True):
            self._headless += person.head_box is None and bool(annotated.any())
        return match

    def curves(self) -> dict[str, Curve]:
        """Precision, recall and score thresholds of each joint, by its name.

        Of joints with equal scores, which poseval ranks arbitrarily, the later ones come first.
        """
        scores, correct, predicted = (
            np.concatenate([np.zeros((0, len(JOINTS))), *(getattr(m, name) for m in self._matches)])
            for name in ("scores", "correct", "predicted")
        )
        annotated = self._annotated()
        curves = {}
        for joint, name in enumerate(JOINTS):
            rows = np.flatnonzero(predicted[:, joint])
            rows = rows[np.argsort(scores[rows, joint], kind="stable")[::-1]]
            hits = correct[rows, joint] > 0
            curves[name] = Curve(scores[rows, joint], hits, ~hits, int(annotated[joint]))
        return curves

    def _annotated(self) -> np.ndarray:
        """int [15]: annotated joints."""
        none = np.zeros(len(JOINTS), np.int64)
        return np.sum([none, *(match.annotated.sum(0) for match in self._matches)], axis=0)

    def result(self) -> dict[str, Any]:
        """The scores in percent, and counts.

        Returns:
          Head, Shou, Elb, Wri, Hip, Knee, Ankl, Total: AP; means over joints, Total over all 15.
          joints: the 15 names. ap, precision, recall: float64 [15] in their order; precision and
            recall are those over all predictions. As in poseval all three are 0 of a joint that was
            never predicted, else ap and recall are nan of one that is never annotated.
          total_precision, total_recall: means over the joints that have them.
          frames_evaluated: labelled frames. gt_persons, pred_persons: people with joints in them,
            outside of the ignore regions. n_gt_joints, n_pred_joints, n_tp: int64 [15].
          unscored_joints: predicted joints without a score. gt_persons_without_head: people whose
            joints nothing can match.

        Raises:
          DataError: no frame is labelled, or no annotated person has a head box.
        """
        if not self._matches:
            raise DataError("no frame of the ground truth has annotated people: nothing to score")
        persons = sum(int(match.annotated.any(1).sum()) for match in self._matches)
        if persons and self._headless == persons:
            raise DataError(
                f"none of {persons} annotated people has a head box (x1, y1, x2, y2 or bbox_head): "
                "give the ground truth first, then the predictions"
            )
        curves = list(self.curves().values())
        measures = np.array([_measures(curve) for curve in curves]).T
        ap, precision, recall = measures
        return columns(ap) | {
            "joints": JOINTS,
            "ap": ap,
            "precision": precision,
            "recall": recall,
            "total_precision": columns(precision)["Total"],
            "total_recall": columns(recall)["Total"],
            "frames_evaluated": len(self._matches),
            "gt_persons": persons,
            "pred_persons": sum(int(match.predicted.any(1).sum()) for match in self._matches),
            "n_gt_joints": self._annotated(),
            "n_pred_joints": np.array([len(curve.scores) for curve in curves]),
            "n_tp": np.array([curve.hits.sum() for curve in curves]),
            "unscored_joints": sum(int((c.scores == MISSING_SCORE).sum()) for c in curves),
            "gt_persons_without_head": self._headless,
        }


def _measures(curve: Curve) -> tuple[float, float, float]:
    """AP, precision and recall in percent."""
    if not len(curve.scores):
        return 0.0, 0.0, 0.0
    if not curve.positives:
        return float("nan"), 0.0, float("nan")
    ap = curve.average_precision("area")
    return 100 * ap, 100 * float(curve.precision[-1]), 100 * float(curve.recall[-1])
