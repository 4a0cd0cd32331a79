"""The report's tables as data: figures typed from the report again, networks as the configs."""

from pathlib import Path

import pytest

from jaxpose.pipelines.report_tables import DATA_SET, MAP, NETWORKS, TABLES
from jaxpose.pipelines.table_runs import recipe_of

REPOSITORY = Path(__file__).parents[3]
TOTALS = {6: 49.3, 7: 34.1, 8: 39.3, 9: 41.8, 10: 46.9, 11: 43.5, 12: 55.8, 13: 59.4, 14: 61.3,
          15: 58.7}  # fmt: skip


def table(number):
    (found,) = (table for table in TABLES if table.number == number)
    return found


def test_tables_are_1_to_15_and_all_their_totals():
    assert [table.number for table in TABLES] == list(range(1, 16))
    columns = ("Head", "Shou", "Elb", "Wri", "Hip", "Knee", "Ankl", "Total")
    for number, total in TOTALS.items():
        (row,) = table(number).rows
        assert tuple(row.published) == columns and row.published["Total"] == total


def test_sweeps_of_the_detectors():
    published = {
        number: [(row.threshold, row.published[MAP]) for row in table(number).rows]
        for number in range(1, 6)
    }
    assert published[1] == [(0.15, 0.47), (0.3, 0.45), (0.5, 0.40)]
    assert published[2] == [(0.15, 0.43), (0.3, 0.43), (0.5, 0.39)]
    assert published[3] == [(0.15, 0.46), (0.3, 0.52), (0.5, 0.40)]
    assert published[4] == [(0.15, 0.52), (0.3, 0.50), (0.5, 0.43)]
    assert [value for _, value in published[5]] == [
        0.45, 0.45, 0.33, 0.01, 0.01, 0.08, 0.19, 0.19, None
    ]  # fmt: skip
    assert [at for at, _ in published[5]] == [0.1, 0.2, 0.4] * 3
    overlaps = [row.detector.facts["matching.overlap_threshold"] for row in table(5).rows]
    assert overlaps == [0.6] * 3 + [0.7] * 3 + [0.8] * 3


@pytest.mark.parametrize(
    ("number", "column", "value"),
    [
        (6, "Wri", 37.7), (7, "Hip", 30.0), (8, "Ankl", 24.4), (9, "Head", 55.2),
        (10, "Knee", 44.0), (11, "Shou", 50.8), (12, "Elb", 60.0), (13, "Wri", 56.5),
        (14, "Hip", 57.9), (15, "Ankl", 48.2),
    ],
)  # fmt: skip
def test_figures_within_a_row(number, column, value):
    assert table(number).rows[0].published[column] == value


def test_networks_of_the_systems():
    made = {t.number: tuple((t.rows[0].detector.run, t.rows[0].pose.run)) for t in TABLES[7:]}
    assert made == {
        8: ("ssd300_voc", "hourglass_posetrack"),
        9: ("ssd300_posetrack", "hourglass_posetrack"),
        10: ("ssd300_posetrack", "hourglass_mpii"),
        11: ("ssd300_mpii_posetrack", "hourglass_posetrack"),
        12: ("ssd300_mpii_posetrack", "hourglass_mpii_posetrack"),
        13: ("ssd300_coco", "hourglass_mpii_posetrack"),
        14: ("ssd512_coco", "hourglass_mpii_posetrack"),
        15: ("ssd512_coco", "hourglass_mpii_posetrack"),
    }
    assert [t.split for t in TABLES] == ["validation"] * 14 + ["test"]
    assert [t.openpose for t in TABLES if t.openpose] == ["mpii", "posetrack"]
    baselines = [row for t in TABLES if t.openpose for row in t.rows]
    assert [row.pose.run for row in baselines] == ["openpose_mpii", "openpose_posetrack"]
    assert not any(row.detector or row.threshold for row in baselines)
    assert {row.threshold for t in TABLES[7:] for row in t.rows} == {0.15}


@pytest.mark.parametrize("network", NETWORKS.values(), ids=NETWORKS)
def test_a_network_is_what_its_config_file_makes(network):
    recipe = recipe_of(network, REPOSITORY)
    assert recipe["task"] == network.task
    assert {name: recipe[name] for name in network.facts} == dict(network.facts)
    # What it needs to be built is its training sets, and PoseTrack for a baseline.
    scored = (DATA_SET,) if network.task == "bottom_up" else network.facts["data.train"]
    assert recipe["data.eval"] in scored


def test_networks_are_thirteen_and_no_two_alike():
    assert len(NETWORKS) == 13
    facts = [tuple(sorted(network.facts.items())) for network in NETWORKS.values()]
    assert len(set(facts)) == len(facts)
