"""How detection scores came about, and how they are printed."""

from typing import Any

from jaxpose.evaluation.detection import sweep_table
from jaxpose.pipelines.prepare import Records

USUAL_OVERLAP = 0.5
# What a protocol says of difficult boxes, by `config.eval.difficult`.
DIFFICULT = {
    "ignore": "neither positives nor errors; crowds likewise",
    "count": "positives like others; crowds neither positives nor errors",
}


def protocol(records: Records) -> dict[str, Any]:
    """Everything that a comparison of AP must agree on, beside data and checkpoint."""
    config = records.config
    above = ">=" if config.eval.inclusive else ">"
    widths = "+ 1 px" if config.eval.plus_one else "as they are"
    return {
        "classes": list(config.eval.classes),
        "detector_classes": list(config.classes),
        "map": f"VOC AP at IoU {above} {config.eval.iou_threshold:g}, widths {widths}, "
        f"rule {config.eval.rule}, mean of classes",
        "rule": config.eval.rule,
        "iou_threshold": config.eval.iou_threshold,
        "plus_one": bool(config.eval.plus_one),
        "inclusive": bool(config.eval.inclusive),
        "difficult": DIFFICULT[config.eval.difficult],
        "ignore_regions": "detections with more than half their area in one are left out, unless "
        "they match an annotated box",
        "sweep": "map over the detections with scores above each threshold",
        "coco": "pycocotools, 10 thresholds from 0.50 to 0.95, sizes by annotated areas, of boxes "
        "where there is none, crowds ignored",
        "detection": config.detect.to_dict(),
        "trained_overlap_threshold": config.matching.overlap_threshold,
        "score_thresholds": list(config.eval.score_thresholds),
    }


def table(report: dict[str, Any], records: Records) -> list[str]:
    """The scores as lines of text: the report's sweep, AP of each class, COCO's AP."""
    config = records.config
    trained = config.matching.overlap_threshold
    # Table 5, of detectors trained with another threshold, has a column for it.
    column = None if trained == USUAL_OVERLAP else trained
    lines = sweep_table(report, tuple(config.eval.score_thresholds), column)
    for name in config.eval.classes:
        if f"ap_{name}" in report:
            lines.append(f"AP {name}: {report[f'ap_{name}']:.2f}")
    for name in ("map_11point", "map_area", "coco_ap", "coco_ap50", "coco_ap75"):
        if name in report:
            lines.append(f"{name}: {report[name]:.2f}")
    data = config.data
    lines.append(
        f"{report['boxes']} boxes in {report['images']} images of {data.eval} {data.eval_split}, "
        f"step {report['protocol']['checkpoint_step']} "
        f"({report['protocol']['checkpoint_choice']})"
    )
    return lines
