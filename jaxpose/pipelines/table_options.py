"""Whether scores were made by the protocol of the report's tables, and what was chosen freely."""

from collections.abc import Mapping
from typing import Any

from jaxpose.inference.options import Options
from jaxpose.pipelines.detection_report import DIFFICULT
from jaxpose.pipelines.report_tables import Row
from jaxpose.pipelines.system_protocol import NO_BOXES

# VOC2007's measure, by which the report scores its detectors.
_DETECTION: Mapping[str, Any] = {
    "classes": ["person"],
    "iou_threshold": 0.5,
    "rule": "11point",
    "plus_one": True,
    "inclusive": True,
    "difficult": DIFFICULT["ignore"],
}
# What the report does not name of its systems.
_FREE = ("nms_iou", "oks_nms", "max_persons", "joint_score", "keypoint_threshold", "flip_test")
# Videos of the splits of PoseTrack 2017 that are public.
_VIDEOS = {"validation": 50}


def wrong_options(protocol: Mapping[str, Any], row: Row) -> list[str]:
    """Options of a protocol that the row's table does not have, as text."""
    of_system = {"boxes": "detector", "det_threshold": row.threshold}
    if row.detector is None:
        of_system = {"boxes": NO_BOXES}
    wanted = _DETECTION if row.pose is None else of_system
    wrong = [
        f"{name} {protocol.get(name, 'unknown')} where the table has {value}"
        for name, value in wanted.items()
        if protocol.get(name) != value
    ]
    if row.pose is None and row.threshold not in protocol.get("score_thresholds", ()):
        wrong.append(f"no score threshold {row.threshold:g}")
    return wrong


def free_choices(protocol: Mapping[str, Any]) -> list[str]:
    """A system's options that the report leaves open, as text; the default beside another value."""
    listed = []
    for name in _FREE:
        value, default = protocol.get(name), Options._field_defaults[name]
        if value is None:  # none was applied, or there is no detector
            continue
        listed.append(f"{name} {value}" + ("" if value == default else f" (default {default})"))
    return listed


def amount_note(videos: int | None, split: str) -> list[str]:
    """A line where other than all videos of the split were scored; none where nothing is known."""
    expected = _VIDEOS.get(split)
    if videos is None or expected is None or videos == expected:
        return []
    return [f"ATTENTION: not the amount of data of the report ({videos} of {expected} videos)"]
