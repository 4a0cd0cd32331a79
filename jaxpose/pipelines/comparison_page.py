"""Top-down beside bottom-up as one HTML file: AP of columns and joints, frames a second."""

from collections.abc import Mapping, Sequence
from math import ceil, floor, log10
from typing import Any, NamedTuple
from xml.etree.ElementTree import Element

import numpy as np

from jaxpose.errors import DataError
from jaxpose.evaluation.posetrack_table import COLUMNS
from jaxpose.pipelines.crowd_speed import CrowdSpeed
from jaxpose.pipelines.markup import Child, element, html_text, section, table
from jaxpose.pipelines.system_page import page_style

SYSTEMS = ("top-down", "bottom-up")
# What two scores.json must share to be compared.
_SHARED = ("data_set", "split", "data_digest")
_STYLES = {"top-down": "left", "bottom-up": "right"}
# The plotted area in SVG units, and the room for labels around it.
_WIDTH, _HEIGHT, _LEFT, _TOP, _RIGHT, _BOTTOM = 560, 220, 44, 10, 12, 32


def comparison_page(
    top_down: Mapping[str, Any] | None,
    bottom_up: Mapping[str, Any] | None,
    speeds: Sequence[CrowdSpeed] = (),
    machine: Mapping[str, str] | None = None,
) -> str:
    """The page.

    Args:
      top_down, bottom_up: what the scores.json of each system holds; both or neither.
      speeds: by number of people.
      machine: what the speeds were measured on.

    Raises:
      DataError: scores of different data, or of systems of another kind.
    """
    parts: list[Element] = []
    if top_down is not None and bottom_up is not None:
        _check(top_down, bottom_up)
        parts += _scores(top_down, bottom_up) + _joints(top_down, bottom_up)
    if speeds:
        parts += _speeds(speeds, machine or {})
    title = "Top-down and bottom-up"
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("title", title),
        element("style", page_style()),
    )
    body = element("body", element("main", element("header", element("h1", title)), *parts))
    return html_text(element("html", head, body, lang="en"))


def _check(top_down: Mapping[str, Any], bottom_up: Mapping[str, Any]) -> None:
    protocols = [document["protocol"] for document in (top_down, bottom_up)]
    for name in _SHARED:
        values = [protocol.get(name) for protocol in protocols]
        if values[0] != values[1]:
            raise DataError(f"the systems were scored on different data: {name} {values}")
    tasks = [protocol["pose"].get("task") for protocol in protocols]
    if tasks != ["pose", "bottom_up"]:
        raise DataError(f"scores of networks for {tasks}: give the top-down system's first")


def _scores(top_down: Mapping[str, Any], bottom_up: Mapping[str, Any]) -> list[Element]:
    rows: list[list[Child]] = []
    for system, document in zip(SYSTEMS, (top_down, bottom_up), strict=True):
        rows.append([system, *(_number(document[column]) for column in COLUMNS)])
    difference = [_minus(bottom_up[column], top_down[column]) for column in COLUMNS]
    rows.append(["difference", *difference])
    networks = [
        f"{system}: {' + '.join(_runs(document))}"
        for system, document in zip(SYSTEMS, (top_down, bottom_up), strict=True)
    ]
    protocol = top_down["protocol"]
    words = (
        f"{protocol['data_set']} {protocol['split']}, {top_down['frames_evaluated']:,} labelled "
        f"frames; AP in percent as PoseTrack's poseval gives it. {'; '.join(networks)}."
    )
    quiet = element("p", words, class_="quiet")
    return section("Scores", quiet, table(["", *COLUMNS], rows, "scores"))


def _runs(document: Mapping[str, Any]) -> list[str]:
    blocks = [document["protocol"].get(role) for role in ("detector", "pose")]
    return [f"{block['run']} step {block['step']}" for block in blocks if block]


def _joints(top_down: Mapping[str, Any], bottom_up: Mapping[str, Any]) -> list[Element]:
    rows: list[list[Child]] = []
    pairs = zip(top_down["joints"], top_down["ap"], bottom_up["ap"], strict=True)
    for joint, first, second in pairs:
        rows.append(
            [joint.replace("_", " "), *map(_number, (first, second)), _minus(second, first)]
        )
    return section("AP of each joint", table(["joint", *SYSTEMS, "difference"], rows, "joints"))


def _speeds(speeds: Sequence[CrowdSpeed], machine: Mapping[str, str]) -> list[Element]:
    rows: list[list[Child]] = []
    for row in speeds:
        seconds = (row.detection, row.poses, row.bottom_up, row.grouping)
        rates = [_rate(1 / row.top_down), _rate(1 / row.bottom_up)]
        times = (f"{1e3 * value:.1f}" for value in seconds)
        rows.append([f"{row.people}", *rates, *times, f"{row.found:.1f}", f"{row.grouped}"])
    head = ["people", *(f"{system}, frames/s" for system in SYSTEMS)]
    head += ["detection ms", "poses ms", "bottom-up ms", "grouping alone ms"]
    head += ["bottom-up found", "grouping alone found"]
    measured = ", ".join(f"{name} {value}" for name, value in machine.items())
    words = (
        "Whole systems, from decoded frames to people, medians in alternation in one run. The "
        "detector's time and that of as many poses as there are people make the top-down system's "
        "(it overlaps them in use). Grouping alone has the maps of a perfect network. "
        f"{measured}"
    )
    quiet = element("p", words, class_="quiet")
    return section("Speed", quiet, _chart(speeds), table(head, rows, "scores"))


class _Plot(NamedTuple):
    """Ranges of people and of frames a second; both axes are logarithmic."""

    people: tuple[int, int]
    rates: tuple[float, float]

    def place(self, number: float, rate: float) -> tuple[float, float]:
        (first, last), (low, high) = self.people, self.rates
        along, up = log10(number / first) / log10(last / first), log10(rate / low)
        x, y = _WIDTH * along, _HEIGHT * (1 - up / log10(high / low))
        return round(_LEFT + x, 1), round(_TOP + y, 1)


def _chart(speeds: Sequence[CrowdSpeed]) -> Element:
    """Frames a second over people."""
    people = [row.people for row in speeds]
    rates = {
        "top-down": [1 / row.top_down for row in speeds],
        "bottom-up": [1 / row.bottom_up for row in speeds],
    }
    every = [rate for own in rates.values() for rate in own]
    low, high = floor(log10(min(every))), ceil(log10(max(every) * 1.001))
    last = max(people) if max(people) > min(people) else 10 * min(people)
    plot = _Plot((min(people), last), (10.0**low, 10.0**high))
    parts = _axes(plot, people, range(low, high + 1))
    for system, own in rates.items():
        points = [plot.place(*point) for point in zip(people, own, strict=True)]
        drawn = " ".join(f"{x:g},{y:g}" for x, y in points)
        parts.append(element("g", element("polyline", points=drawn), class_=_STYLES[system]))
    box = f"0 0 {_LEFT + _WIDTH + _RIGHT} {_TOP + _HEIGHT + _BOTTOM}"
    label = "Frames a second over the number of people"
    svg = element("svg", *parts, viewBox=box, role="img", aria_label=label)
    keys = [
        element("span", element("i", class_=style), system, class_="key")
        for system, style in _STYLES.items()
    ]
    return element("figure", element("figcaption", element("b", label), *keys), svg, class_="chart")


def _axes(plot: _Plot, people: Sequence[int], powers: range) -> list[Element]:
    parts = []
    for number in people:
        x, bottom = plot.place(number, plot.rates[0])
        parts.append(element("line", x1=x, x2=x, y1=_TOP, y2=bottom, class_="grid"))
        parts.append(element("text", f"{number}", x=x, y=bottom + 14, text_anchor="middle"))
    for power in powers:
        _, y = plot.place(plot.people[0], 10.0**power)
        parts.append(element("line", x1=_LEFT, x2=_LEFT + _WIDTH, y1=y, y2=y, class_="grid"))
        parts.append(element("text", f"{10.0**power:g}", x=_LEFT - 5, y=y + 3, text_anchor="end"))
    return parts


def _number(value: float | None) -> str:
    return "–" if value is None or np.isnan(value) else f"{value:.1f}"


def _minus(value: float | None, other: float | None) -> str:
    known = value is not None and other is not None and not np.isnan(value + other)
    return f"{value - other:+z.1f}" if known and value is not None and other is not None else "–"


def _rate(value: float) -> str:
    return f"{value:.3g}"
