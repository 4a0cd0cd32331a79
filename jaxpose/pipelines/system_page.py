"""The scores of a system as one HTML file that needs nothing else: tables, curves and pictures."""

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element

import numpy as np

from jaxpose.evaluation.posetrack_table import COLUMNS, columns, latex_rows
from jaxpose.evaluation.precision_recall import Curve
from jaxpose.pipelines.markup import Child, element, html_text, section, table
from jaxpose.pipelines.system_curves import best_threshold, charts, pooled
from jaxpose.pipelines.system_gallery import Judged, data_uri, drawing, extremes, judged
from jaxpose.pipelines.system_protocol import NO_BOXES
from jaxpose.pipelines.system_submission import ScoredFrame
from jaxpose.skeletons import Skeleton

_PICTURES = 6
_STYLE = Path(__file__).with_name("system_page.css")
_TITLES = {"posetrack17": "PoseTrack17", "posetrack18": "PoseTrack18"}


def system_page(
    document: Mapping[str, Any],
    curves: Mapping[str, Curve],
    frames: Sequence[ScoredFrame],
    skeleton: Skeleton,
) -> str:
    """The page of a scored system.

    Args:
      document: what scores.json holds.
      curves: precision and recall by joint.
      frames: all labelled frames, as predicted and annotated.
      skeleton: of their keypoints.

    Raises:
      DataError: the image of a frame that is drawn cannot be read any more.
    """
    threshold = best_threshold(pooled(curves))
    ap = dict(zip(document["joints"], document["ap"], strict=True))
    title = _title(document["protocol"])
    body = element(
        "main",
        *_header(title, document),
        *_scores(document),
        *_curve_section(charts(curves, ap, threshold), threshold),
        *_pictures(frames, skeleton, threshold),
        *_joints(document),
        *_protocol(document),
    )
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("title", f"{title}: Total AP {_number(document['Total'])}"),
        element("style", page_style()),
    )
    return html_text(element("html", head, element("body", body), lang="en"))


@cache
def page_style() -> str:
    """The style sheet of the pages."""
    return _STYLE.read_text(encoding="utf-8")


def _title(protocol: Mapping[str, Any]) -> str:
    return f"{_TITLES[protocol['data_set']]} {protocol['split']}"


def _number(value: float | None) -> str:
    return "–" if value is None or np.isnan(value) else f"{value:.1f}"


def _header(title: str, document: Mapping[str, Any]) -> list[Element]:
    protocol = document["protocol"]
    detector = protocol["detector"]
    without = "no boxes" if protocol["boxes"] == NO_BOXES else "annotated boxes"
    boxes = f"boxes by {detector['run']}" if detector else without
    total = element("p", element("b", _number(document["Total"])), " Total AP", class_="total")
    words = element(
        "div",
        element("h1", title),
        element("p", f"poses by {protocol['pose']['run']}, {boxes}", class_="quiet"),
    )
    return [element("header", words, total)]


def _scores(document: Mapping[str, Any]) -> list[Element]:
    rows = []
    for name, label in (("ap", "AP"), ("precision", "precision"), ("recall", "recall")):
        values = columns(np.array(document[name], np.float64))
        rows.append([label, *(_number(values[column]) for column in COLUMNS)])
    counts = (
        f"{document['gt_persons']:,} annotated and {document['pred_persons']:,} predicted people "
        f"in {document['frames_evaluated']:,} labelled frames. Percent, as PoseTrack's poseval "
        "gives them; Total is the mean over all 15 joints."
    )
    row = {column: _or_nan(document[column]) for column in COLUMNS}
    latex = element("pre", "\n".join(latex_rows(row)))
    scores = table(["", *COLUMNS], rows, "scores")
    return section("Scores", scores, element("p", counts, class_="quiet"), latex)


def _or_nan(value: float | None) -> float:
    return float("nan") if value is None else value


def _curve_section(figures: Sequence[Element], threshold: float) -> list[Element]:
    words = (
        "Joints ranked by their score over all frames; the figures are AP, the area below a "
        "curve's envelope. The dots lie at a joint score of "
        f"{threshold:.3g}, where F1 of all joints together is largest."
    )
    grid = element("div", *figures, class_="charts")
    return section("Precision and recall", element("p", words, class_="quiet"), grid)


def _pictures(frames: Sequence[ScoredFrame], skeleton: Skeleton, threshold: float) -> list[Element]:
    best, worst = extremes(judged(frames, threshold), _PICTURES)
    words = (
        "Frames rank by right minus false joints, as a share of the annotated ones; of each video "
        "one comes before a second of any. Only joints with a score of "
        f"{threshold:.3g} or more count and are drawn (the dots above). Thin white: the "
        "annotation, over the estimate; magenta rings: annotated joints that nothing matches."
    )
    made = section(
        "Best frames", element("p", words, class_="quiet"), _gallery(best, skeleton, threshold)
    )
    if worst:
        made += section("Worst frames", _gallery(worst, skeleton, threshold))
    return made


def _gallery(rows: Sequence[Judged], skeleton: Skeleton, threshold: float) -> Element:
    return element("div", *(_picture(row, skeleton, threshold) for row in rows), class_="gallery")


def _picture(row: Judged, skeleton: Skeleton, threshold: float) -> Element:
    name = row.frame.truth.filename
    words = f"{row.right} of {row.annotated} joints right, {row.false} false"
    image = element("img", src=data_uri(drawing(row.frame, skeleton, threshold)), alt=words)
    caption = element("figcaption", element("b", words), " ", element("span", name))
    return element("figure", image, caption)


def _joints(document: Mapping[str, Any]) -> list[Element]:
    names = ("ap", "precision", "recall", "n_gt_joints", "n_pred_joints", "n_tp")
    rows: list[list[Child]] = []
    for joint, ap, precision, recall, *counts in zip(
        document["joints"], *(document[name] for name in names), strict=True
    ):
        bar = element("i", class_="bar", style=f"width:calc({(ap or 0) / 100:.3f} * (100% - 56px))")
        cells: list[Child] = [_words(joint), element("div", bar, _number(ap))]
        rows.append([*cells, _number(precision), _number(recall), *(f"{n:,}" for n in counts)])
    head = ["joint", "AP", "precision", "recall", "annotated", "predicted", "right"]
    return section("Each joint", table(head, rows, "joints"))


def _words(joint: str) -> str:
    return "neck (head bottom)" if joint == "head_bottom" else joint.replace("_", " ")


def _protocol(document: Mapping[str, Any]) -> list[Element]:
    entries = _flat("", {**document["protocol"], "speed": document["speed"]})
    terms = [
        part for name, value in entries for part in (element("dt", name), element("dd", value))
    ]
    return section("Protocol", element("dl", *terms))


def _flat(prefix: str, value: Any) -> list[tuple[str, str]]:
    """Names and texts of all entries, those of nested ones behind the name of their parent."""
    if isinstance(value, Mapping):
        return [
            row
            for name, item in value.items()
            for row in _flat(f"{prefix} {name}".strip().replace("_", " "), item)
        ]
    if isinstance(value, list):
        return [(prefix, ", ".join(map(str, value)))]
    plain = {None: "none", True: "yes", False: "no"}
    return [(prefix, plain[value] if value is None or isinstance(value, bool) else str(value))]
