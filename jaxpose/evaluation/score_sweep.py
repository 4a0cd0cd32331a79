"""Mean average precision over confidence thresholds, as in Tables 1 to 5 of the report."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jaxpose.evaluation.precision_recall import Curve, Rule, mean_of_curves

REPORT_THRESHOLDS = (0.15, 0.3, 0.5)  # Tables 1 to 4; Table 5 has 0.1, 0.2, 0.4


def sweep_table(
    result: Mapping[str, Any],
    score_thresholds: Sequence[float] = REPORT_THRESHOLDS,
    overlap_threshold: float | None = None,
) -> list[str]:
    """The sweep as lines of text in the layout of the report's Tables 1 to 5.

    Args:
      result: metrics of `DetectionEvaluator.result` or `.sweep`, percent.
      score_thresholds: one line each; mAP as a fraction, N/A where nothing was detected.
      overlap_threshold: of training; a first column, as in Table 5.
    """
    first = "" if overlap_threshold is None else "overlap threshold  "
    cell = "" if overlap_threshold is None else f"{overlap_threshold:<{len(first)}g}"
    lines = [f"{first}confidence threshold  mAP"]
    for threshold in score_thresholds:
        value = result.get(sweep_name(threshold))
        score = "N/A" if value is None else f"{value / 100:.2f}"
        lines.append(f"{cell}{threshold:<20g}  {score}")
    return lines


def sweep(
    curves: Mapping[str, Curve], rule: Rule, score_thresholds: Sequence[float]
) -> dict[str, float]:
    """`map@<t>` in percent of the detections with a score higher than each threshold t.

    Absent where no class has a detection above t, or where nothing is annotated.
    """
    result = {}
    for threshold in score_thresholds:
        above = {name: curve.above(threshold) for name, curve in curves.items()}
        mean = mean_of_curves(above, rule)
        if mean.detected and np.isfinite(mean.value):
            result[sweep_name(threshold)] = 100 * mean.value
    return result


def sweep_name(threshold: float) -> str:
    """Name of the mAP over the detections with scores above a threshold."""
    return f"map@{threshold:g}"
