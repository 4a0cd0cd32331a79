"""What a training run says when it is through."""

import json
from collections.abc import Mapping
from pathlib import Path

# Metric -> how it is called, the metric that says on how many it was measured, and what these are.
TITLES = {
    "pckh": ("PCKh@0.5", "pckh_people", "people"),
    "posetrack_total": ("PoseTrack's Total AP", "people", "people"),
    "oks_ap": ("OKS AP", "oks_people", "people"),
    "pck": ("PCK@0.2 of the person box", "people", "people"),
    "map": ("mAP at IoU 0.5", "images", "images"),
}


def report_lines(folder: Path, metrics: Mapping[str, float], split: str) -> list[str]:
    """The closing lines of a run: scores of a split beside the baselines', and where things are."""
    metric = next((name for name in TITLES if name in metrics), None)
    lines = []
    if metric is not None:
        title, number, counted = TITLES[metric]
        rows: dict[str, Mapping[str, float]] = {"trained": metrics}
        if (folder / "baselines.json").exists():
            rows = json.loads((folder / "baselines.json").read_text()) | rows
        lines.append(f"{title} on {int(metrics[number])} {counted} of the {split} split:")
        lines += [
            f"  {label:10s} {scores[metric]:6.2f}"
            for label, scores in rows.items()
            if metric in scores
        ]
    lines.append(f"checkpoints, metrics.jsonl, TensorBoard events and pictures are in {folder}")
    lines.append(f"score it again: python -m jaxpose.evaluate --workdir={folder}")
    return lines
