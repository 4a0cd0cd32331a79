"""The sweep over confidences, printed as in the report."""

from jaxpose.evaluation.score_sweep import sweep_table


def test_the_table_has_the_reports_layout():
    result = {"map@0.1": 100.0, "map@0.2": 54.5454}
    assert sweep_table(result, (0.1, 0.2, 0.4)) == [
        "confidence threshold  mAP",
        "0.1                   1.00",
        "0.2                   0.55",
        "0.4                   N/A",
    ]
    assert sweep_table(result, (0.1, 0.4), overlap_threshold=0.8) == [
        "overlap threshold  confidence threshold  mAP",
        "0.8                0.1                   1.00",
        "0.8                0.4                   N/A",
    ]
