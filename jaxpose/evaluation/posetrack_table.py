"""PoseTrack scores as text, as the row of a LaTeX table and as JSON."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from jaxpose.skeletons import POSETRACK17

# Joints that the columns of PoseTrack's tables average.
PARTS = {
    "Head": ("head_top", "head_bottom", "nose"),
    "Shou": ("right_shoulder", "left_shoulder"),
    "Elb": ("right_elbow", "left_elbow"),
    "Wri": ("right_wrist", "left_wrist"),
    "Hip": ("right_hip", "left_hip"),
    "Knee": ("right_knee", "left_knee"),
    "Ankl": ("right_ankle", "left_ankle"),
}
COLUMNS = (*PARTS, "Total")
_MEASURES = ("ap", "precision", "recall")


def columns(values: np.ndarray) -> dict[str, float]:
    """The eight columns of a table from the values [15] of the joints in PoseTrack17's order.

    As in poseval, a column is nan if one of its joints is, while Total is the mean over the joints
    that are not (nan if all are): Head enters it with three joints, the others with two.
    """
    index = POSETRACK17.joints.index
    table = {name: float(values[list(map(index, j))].mean()) for name, j in PARTS.items()}
    known = values[~np.isnan(values)]
    return table | {"Total": float(known.mean()) if known.size else float("nan")}


def text_table(scores: Mapping[str, Any]) -> list[str]:
    """Lines of AP, precision and recall by part, percent, and of what was scored.

    Args:
      scores: as `posetrack.evaluate` returns them.
    """
    lines = [" " * 9 + "".join(f"{name:>7}" for name in COLUMNS)]
    for measure in _MEASURES:
        row = columns(np.asarray(scores[measure], np.float64))
        label = "AP" if measure == "ap" else measure
        lines.append(f"{label:9}" + "".join(f"{row[name]:7.1f}" for name in COLUMNS))
    lines.append(
        f"{scores['gt_persons']} annotated and {scores['pred_persons']} predicted people in "
        f"{scores['frames_evaluated']} labelled frames"
    )
    return lines


def latex_rows(scores: Mapping[str, Any]) -> list[str]:
    """Header and AP row of a LaTeX table, character by character as poseval prints them."""
    header = "&" + " &".join(f" {name:4}" for name in COLUMNS) + r"\\"
    row = "&" + " &".join(f"{scores[name]:5.1f}" for name in COLUMNS) + r" \\"
    return [header, row]


def json_scores(scores: Mapping[str, Any]) -> dict[str, Any]:
    """The scores as JSON holds them: lists in the order of `joints`, null for nan."""
    return {name: _plain(np.asarray(value).tolist()) for name, value in scores.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and np.isnan(value) else value
