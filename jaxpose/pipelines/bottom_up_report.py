"""How scores of bottom-up networks came about, and how they are printed."""

from typing import Any

from jaxpose.config import skeleton_of
from jaxpose.pipelines.prepare import Records
from jaxpose.skeletons import conversion

COLUMNS = ("head", "shou", "elb", "wri", "hip", "knee", "ankl", "total")


def protocol(records: Records) -> dict[str, Any]:
    """Everything that a comparison must agree on, beside data and checkpoint."""
    config, manifest = records.config, records.validation_set
    shared = int((conversion(manifest.skeleton, skeleton_of(config)) >= 0).sum())
    network, data = skeleton_of(config).size, manifest.skeleton.size
    return {
        "boxes": "none: whole frames, no detector",
        "joints": f"{shared} common (network {network}, data set {data})",
        "posetrack": "poseval's AP over PoseTrack17's 15 joints, frames without people left out; "
        "ignore regions as their bounding boxes",
        "oks": "pycocotools, 10 thresholds from 0.50 to 0.95, sigmas of the joint set, over the "
        "common joints",
        "frame_size": list(config.eval.input_size),
        "flip_test": bool(config.eval.flip_test),
        "grouping": config.grouping.to_dict(),
    }


def table(report: dict[str, Any], records: Records) -> list[str]:
    """The scores as lines of text: PoseTrack's columns, OKS AP, counts."""
    lines = []
    if "posetrack_total" in report:
        lines.append("".join(f"{name.capitalize():>7s}" for name in COLUMNS))
        values = [report.get(f"posetrack_{name}", float("nan")) for name in COLUMNS]
        lines.append("".join(f"{value:7.2f}" for value in values))
    measured = [name for name in report if name.startswith("oks_a")]  # AP and AR
    lines += [f"{name}: {report[name]:.2f}" for name in measured]
    data = records.config.data
    lines.append(
        f"{report['people']} people, {report['found']} found in {report['images']} images of "
        f"{data.eval} {data.eval_split}, step {report['protocol']['checkpoint_step']}, joints "
        f"{report['protocol']['joints']}"
    )
    return lines
