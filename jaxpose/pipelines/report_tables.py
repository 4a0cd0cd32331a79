"""Tables 1 to 15 of the SCUT-Samsung report as data: what was scored, and the published figures.

Source: "The SCUT-Samsung Team's Technical Report on the PoseTrack Challenge" (Shen, Sun, Cai, Li,
Jia). Detection is VOC's mAP at IoU 0.5 as a fraction, pose is PoseTrack's AP in percent.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from jaxpose.evaluation.posetrack_table import COLUMNS

DATA_SET = "posetrack17"
MAP = "mAP"
# Section 3: "In all experiments, we set the confidence threshold of SSD as 0.15".
DET_THRESHOLD = 0.15


class Network(NamedTuple):
    """A network of the report and the run that stands for it.

    Attributes:
      run: name that `train` gives its folder, made of the config's file name and variant.
      config: as `train --config` takes it.
      title: what the report calls it.
      task: `detection`, `pose` or `bottom_up`.
      facts: fields of the run's config that make it this network; `a.b` is field b of a.
    """

    run: str
    config: str
    title: str
    task: str
    facts: Mapping[str, Any]


class Row(NamedTuple):
    """One row of a table.

    Attributes:
      published: figure by column; None where the report has N/A.
      detector, pose: networks that make it; no detector in OpenPose's rows, no pose in detection's.
      threshold: least confidence of a person box; None in OpenPose's rows.
    """

    published: Mapping[str, float | None]
    detector: Network | None = None
    pose: Network | None = None
    threshold: float | None = DET_THRESHOLD


class Table(NamedTuple):
    """A table of the report.

    Attributes:
      number: 1 to 15.
      title: what it scores.
      rows: at least one.
      split: of PoseTrack 2017 that is scored.
      openpose: what the OpenPose of Tables 6 and 7 was trained on, '' elsewhere.
      overlaps: whether the rows differ in the overlap threshold of training, as in Table 5.
    """

    number: int
    title: str
    rows: tuple[Row, ...]
    split: str = "validation"
    openpose: str = ""
    overlaps: bool = False

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the figures of each row."""
        return tuple(self.rows[0].published)


def _ssd(
    name: str,
    title: str,
    train: tuple[str, ...],
    variant: str = "",
    side: int = 300,
    overlap: float = 0.5,
) -> Network:
    facts = {
        "data.train": train,
        "input_size": (side, side),
        "matching.overlap_threshold": overlap,
        "model.width": 1.0,
    }
    config = f"configs/{name}.py" + f":{variant}" * bool(variant)
    run = "_".join(filter(None, (name, variant.replace("=", ""))))
    return Network(run, config, f"SSD{side} ({title})", "detection", facts)


def _overlap(at: float) -> Network:
    title, variant = f"PoseTrack, overlap {at:g}", f"overlap={at:g}"
    return _ssd("ssd300_posetrack", title, ("posetrack17",), variant, overlap=at)


def _hourglass(name: str, title: str, train: tuple[str, ...]) -> Network:
    size = {"model.stacks": 2, "model.blocks": 4, "model.features": 256}
    facts = {"data.train": train, "input_size": (256, 256)} | size
    return Network(name, f"configs/{name}.py", f"Hourglass ({title})", "pose", facts)


def _bottom_up(name: str, title: str, train: tuple[str, ...]) -> Network:
    size = {"input_size": (368, 368), "model.stages": 6, "model.width": 1.0}
    facts = {"data.train": train} | size
    return Network(name, f"configs/{name}.py", f"OpenPose ({title})", "bottom_up", facts)


_COCO, _MPII_POSETRACK = ("coco_detection",), ("mpii", "posetrack17")
SSD_POSETRACK = _ssd("ssd300_posetrack", "PoseTrack", ("posetrack17",))
SSD_VOC = _ssd("ssd300_voc", "VOC 07/12", ("voc",))
SSD_COCO = _ssd("ssd300_coco", "COCO", _COCO)
SSD_BOTH = _ssd("ssd300_mpii_posetrack", "MPII and PoseTrack", _MPII_POSETRACK)
SSD512_COCO = _ssd("ssd512_coco", "COCO", _COCO, side=512)
POSE_POSETRACK = _hourglass("hourglass_posetrack", "PoseTrack", ("posetrack17",))
POSE_MPII = _hourglass("hourglass_mpii", "MPII", ("mpii",))
POSE_BOTH = _hourglass("hourglass_mpii_posetrack", "MPII and PoseTrack", _MPII_POSETRACK)
OPENPOSE_MPII = _bottom_up("openpose_mpii", "MPII", ("mpii",))
OPENPOSE_POSETRACK = _bottom_up("openpose_posetrack", "PoseTrack", ("posetrack17",))
OVERLAPS = {at: _overlap(at) for at in (0.6, 0.7, 0.8)}


def _sweep(detector: Network, figures: Mapping[float, float | None]) -> tuple[Row, ...]:
    return tuple(Row({MAP: value}, detector, None, at) for at, value in figures.items())


def _detection(number: int, detector: Network, figures: Mapping[float, float | None]) -> Table:
    return Table(number, f"person detection, {detector.title}", _sweep(detector, figures))


def _columns(figures: str) -> dict[str, float | None]:
    return dict(zip(COLUMNS, map(float, figures.split()), strict=True))


def _openpose(number: int, trained: str, network: Network, figures: str) -> Table:
    row = Row(_columns(figures), pose=network, threshold=None)
    return Table(number, f"pose estimation, {network.title}", (row,), openpose=trained)


def _system(
    number: int, detector: Network, pose: Network, figures: str, split: str = "validation"
) -> Table:
    row = Row(_columns(figures), detector, pose)
    return Table(number, f"pose estimation, {detector.title} + {pose.title}", (row,), split)


_TABLE_5: dict[float, dict[float, float | None]] = {
    0.6: {0.1: 0.45, 0.2: 0.45, 0.4: 0.33},
    0.7: {0.1: 0.01, 0.2: 0.01, 0.4: 0.08},
    0.8: {0.1: 0.19, 0.2: 0.19, 0.4: None},
}
TABLES = (
    _detection(1, SSD_POSETRACK, {0.15: 0.47, 0.3: 0.45, 0.5: 0.40}),
    _detection(2, SSD_VOC, {0.15: 0.43, 0.3: 0.43, 0.5: 0.39}),
    _detection(3, SSD_COCO, {0.15: 0.46, 0.3: 0.52, 0.5: 0.40}),
    _detection(4, SSD_BOTH, {0.15: 0.52, 0.3: 0.50, 0.5: 0.43}),
    Table(
        5,
        "person detection, SSD300 (PoseTrack) trained with overlap thresholds above 0.5",
        tuple(row for at, figures in _TABLE_5.items() for row in _sweep(OVERLAPS[at], figures)),
        overlaps=True,
    ),
    _openpose(6, "mpii", OPENPOSE_MPII, "61.2 59.0 50.1 37.7 51.3 42.6 37.4 49.3"),
    _openpose(7, "posetrack", OPENPOSE_POSETRACK, "55.7 43.9 32.5 21.3 30.0 24.3 20.1 34.1"),
    _system(8, SSD_VOC, POSE_POSETRACK, "51.9 47.1 41.9 34.4 36.2 33.1 24.4 39.3"),
    _system(9, SSD_POSETRACK, POSE_POSETRACK, "55.2 49.3 45.4 35.7 38.5 36.3 25.3 41.8"),
    _system(10, SSD_POSETRACK, POSE_MPII, "53.2 52.6 48.9 43.4 43.6 44.0 39.2 46.9"),
    _system(11, SSD_BOTH, POSE_POSETRACK, "58.4 50.8 46.9 38.0 39.0 37.5 26.6 43.5"),
    _system(12, SSD_BOTH, POSE_BOTH, "62.1 61.7 60.0 53.4 54.1 51.7 44.3 55.8"),
    _system(13, SSD_COCO, POSE_BOTH, "67.0 66.8 63.6 56.5 55.6 54.6 47.7 59.4"),
    _system(14, SSD512_COCO, POSE_BOTH, "69.3 68.5 65.4 57.7 57.9 55.8 50.3 61.3"),
    _system(15, SSD512_COCO, POSE_BOTH, "66.6 65.8 62.3 56.4 54.1 53.7 48.2 58.7", "test"),
)
NETWORKS = {
    network.run: network
    for table in TABLES
    for row in table.rows
    for network in (row.detector, row.pose)
    if network is not None
}
