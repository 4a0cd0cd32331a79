"""How pose scores came about, and how they are printed."""

from typing import Any

from jaxpose.config import skeleton_of
from jaxpose.pipelines.prepare import Records
from jaxpose.skeletons import conversion


def protocol(records: Records) -> dict[str, Any]:
    """Everything that a comparison of pose scores must agree on, beside data and checkpoint."""
    config, manifest = records.config, records.validation_set
    shared = int((conversion(manifest.skeleton, skeleton_of(config)) >= 0).sum())
    network, data = skeleton_of(config).size, manifest.skeleton.size
    return {
        "boxes": "ground truth: one crop a person, from its own annotation; see notes",
        "joints": f"{shared} common (network {network}, data set {data})",
        "flip_test": bool(config.eval.flip_test),
        "pckh": "distance <= 0.5 head sizes; see notes for the head sizes",
        "pck": "distance <= 0.2 x longer side of the person box",
        "mean": "unweighted over joints, without pelvis and thorax",
        "oks": "pycocotools, 10 thresholds from 0.50 to 0.95, sigmas of the joint set",
    }


def table(report: dict[str, Any], records: Records) -> list[str]:
    """The scores as lines of text: one a joint, then the means."""
    names = [name for name in ("pckh", "pck") if name in report]
    joints = [j for j in skeleton_of(records.config).joints if f"pck_{j}" in report]
    lines = ["joint             " + "".join(f"{name:>8s}" for name in names)]
    for label, suffix in [*((j, f"_{j}") for j in joints), ("mean", "")]:
        cells = "".join(f"{report.get(name + suffix, float('nan')):8.2f}" for name in names)
        lines.append(f"{label:18s}{cells}")
    lines += [f"{name}: {report[name]:.2f}" for name in report if name.startswith("oks_")]
    data = records.config.data
    lines.append(
        f"{report['people']} people of {data.eval} {data.eval_split}, step "
        f"{report['protocol']['checkpoint_step']}, joints {report['protocol']['joints']}"
    )
    return lines
