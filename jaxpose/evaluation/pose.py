"""The pose evaluator: every score that the ground truth of a batch stream allows."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from jaxpose.evaluation.coco import oks_ap
from jaxpose.evaluation.pckh import pck, pckh
from jaxpose.skeletons import Skeleton

# MPII's protocol leaves these two out of the mean (eval_PCKh.py masks indices 6 and 7).
NOT_IN_MEAN = ("pelvis", "thorax")
_FIELDS = ("keypoints", "joint_mask", "head_size", "box_xyxy", "area")


class PoseEvaluator:
    """Collects predicted and annotated joints in source px; scores them once, at the end.

    PCKh@0.5 where head sizes are known, PCK@0.2 of the person box's longer side, and OKS AP where
    areas are known (over the joints that network and data set share).
    """

    def __init__(self, skeleton: Skeleton) -> None:
        self._skeleton = skeleton
        self._rows: dict[str, list[np.ndarray]] = {}
        self._images: list[str] = []

    def add(self, batch: Mapping[str, Any], predictions: Mapping[str, np.ndarray]) -> None:
        """Take a host batch and its `points` [B, K, 2] and `scores` [B, K]; mask 0 is padding."""
        real = np.asarray(batch["mask"]) > 0
        for name in _FIELDS:
            self._rows.setdefault(name, []).append(np.asarray(batch[name])[real])
        for name in ("points", "scores"):
            self._rows.setdefault(name, []).append(np.asarray(predictions[name])[real])
        self._images += [str(name).rpartition("#")[0] for name in np.asarray(batch["id"])[real]]

    def result(self) -> dict[str, Any]:
        """Metrics in percent, absent ones left out; `people`, and how many joints were scored."""
        if not self._images:
            return {"people": 0}
        rows = {name: np.concatenate(parts) for name, parts in self._rows.items()}
        valid = (rows["keypoints"][..., 2] > 0) & (rows["joint_mask"] > 0)
        in_mean = np.array([joint not in NOT_IN_MEAN for joint in self._skeleton.joints])
        truth = rows["keypoints"][..., :2]
        result: dict[str, Any] = {
            "people": len(self._images),
            "joints": int((rows["joint_mask"] > 0).any(0).sum()),
        }
        with_head = np.isfinite(rows["head_size"])
        if with_head.any():
            result["pckh_people"] = int(with_head.sum())
            scores = pckh(rows["points"], truth, valid, rows["head_size"], mean_joints=in_mean)
            result |= self._named("pckh", scores)
        scores = pck(rows["points"], truth, valid, rows["box_xyxy"], mean_joints=in_mean)
        result |= self._named("pck", scores)
        with_area = np.isfinite(rows["area"])
        if with_area.any():
            result["oks_people"] = int(with_area.sum())
            result |= self._oks({n: v[with_area] for n, v in rows.items()}, valid, with_area)
        return result

    def _named(self, name: str, scores: Mapping[str, Any]) -> dict[str, float]:
        joints = {
            f"{name}_{joint}": float(value)
            for joint, value in zip(self._skeleton.joints, scores["per_joint"], strict=True)
            if np.isfinite(value)
        }
        return {name: float(scores["mean"])} | joints

    def _oks(
        self, rows: Mapping[str, np.ndarray], valid: np.ndarray, chosen: np.ndarray
    ) -> dict[str, float]:
        # A diverged network scores badly; it is no damaged data.
        finite = {name: np.nan_to_num(rows[name]) for name in ("points", "scores")}
        truth, results = coco_records(
            dict(rows) | finite, valid[chosen], np.array(self._images)[chosen].tolist()
        )
        stats = oks_ap(truth, results, self._skeleton.sigmas)
        # pycocotools says -1 where nobody is of that size.
        return {f"oks_{name.lower()}": 100 * v for name, v in stats.items() if v >= 0}


def coco_records(
    rows: Mapping[str, np.ndarray], valid: np.ndarray, images: list[str]
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Ground truth and results as COCO dicts; joints outside `valid` [N, K] are v = 0.

    Args:
      rows: keypoints [N, K, 3], points [N, K, 2], scores [N, K], box_xyxy [N, 4], area [N].
      images: N image names.
    """
    numbers = {name: i + 1 for i, name in enumerate(dict.fromkeys(images))}
    annotations, results = [], []
    for row, name in enumerate(images):
        flags = np.where(valid[row], np.maximum(rows["keypoints"][row, :, 2], 1), 0)
        points = np.where(valid[row][:, None], rows["keypoints"][row, :, :2], 0)
        x1, y1, x2, y2 = rows["box_xyxy"][row].tolist()
        common = {"image_id": numbers[name], "category_id": 1, "bbox": [x1, y1, x2 - x1, y2 - y1]}
        annotations.append(
            common
            | {
                "id": row + 1,
                "keypoints": np.concatenate([points, flags[:, None]], 1).ravel().tolist(),
                "num_keypoints": int(valid[row].sum()),
                "area": float(rows["area"][row]),
                "iscrowd": 0,
            }
        )
        scored = np.concatenate([rows["points"][row], rows["scores"][row][:, None]], 1)
        person_score = float(rows["scores"][row].mean())
        results.append(common | {"keypoints": scored.ravel().tolist(), "score": person_score})
    truth = {
        "images": [{"id": number} for number in numbers.values()],
        "annotations": annotations,
        "categories": [{"id": 1, "name": "person"}],
    }
    return truth, results
