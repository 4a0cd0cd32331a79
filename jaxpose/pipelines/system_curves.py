"""Precision-recall curves of joints as small SVG charts, one a column of PoseTrack's table."""

from collections.abc import Mapping, Sequence
from xml.etree.ElementTree import Element

import numpy as np

from jaxpose.evaluation.posetrack_table import PARTS
from jaxpose.evaluation.precision_recall import Curve
from jaxpose.pipelines.markup import element

# Size of the plotted area in SVG units, and the room for axis labels around it.
_WIDTH, _HEIGHT = 240, 180
_LEFT, _TOP, _RIGHT, _BOTTOM = 34, 8, 10, 32
_TITLES = {
    "Head": "Head",
    "Shou": "Shoulders",
    "Elb": "Elbows",
    "Wri": "Wrists",
    "Hip": "Hips",
    "Knee": "Knees",
    "Ankl": "Ankles",
}
_TICKS = (0.0, 0.25, 0.5, 0.75, 1.0)


def pooled(curves: Mapping[str, Curve]) -> Curve:
    """The joints of all curves as one."""
    scores = np.concatenate([curve.scores for curve in curves.values()])
    hits = np.concatenate([curve.hits for curve in curves.values()])
    order = np.argsort(-scores, kind="stable")
    positives = sum(curve.positives for curve in curves.values())
    return Curve(scores[order], hits[order], ~hits[order], positives)


def best_threshold(curve: Curve) -> float:
    """The score from which on F1, 2 TP / (predicted + annotated), is largest; 0 without any."""
    if not len(curve.scores):
        return 0.0
    return float(curve.scores[curve.f1.argmax()])


def charts(
    curves: Mapping[str, Curve], ap: Mapping[str, float | None], threshold: float
) -> list[Element]:
    """A figure for each part of the body with the curves of its joints, and one of all pooled.

    Args:
      curves: by joint.
      ap: of each joint in percent, None where it has none.
      threshold: of joint scores; a dot on each curve shows where it lies.
    """
    figures = []
    for name, joints in PARTS.items():
        styled = {_style(joint): curves[joint] for joint in joints}
        keys = [(_style(joint), f"{_style(joint)} {_percent(ap[joint])}") for joint in joints]
        figures.append(_figure(_TITLES[name], keys, styled, threshold))
    whole = {"all": pooled(curves)}
    return [*figures, _figure("All joints", [("all", "ranked together")], whole, threshold)]


def _figure(
    title: str, keys: Sequence[tuple[str, str]], curves: Mapping[str, Curve], threshold: float
) -> Element:
    """A chart; keys are (class, text), curves by class."""
    whole = f"0 0 {_LEFT + _WIDTH + _RIGHT} {_TOP + _HEIGHT + _BOTTOM}"
    drawn = [_curve(curve, style, threshold) for style, curve in curves.items()]
    label = f"Precision over recall: {title}"
    svg = element("svg", *_axes(), *drawn, viewBox=whole, role="img", aria_label=label)
    spans = [
        element("span", element("i", class_=style), text, class_="key") for style, text in keys
    ]
    return element(
        "figure", element("figcaption", element("b", title), *spans), svg, class_="chart"
    )


def _style(joint: str) -> str:
    """Class of a joint's curve, and its name in the chart: its side, or what of the head it is."""
    first, _, rest = joint.partition("_")
    return first if first in ("left", "right") else {"bottom": "neck"}.get(rest, rest or first)


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{value:.1f}"


def _axes() -> list[Element]:
    parts = []
    for tick in _TICKS:
        x, y = _place(tick, tick)
        end, top = _LEFT + _WIDTH, _TOP
        text = f"{tick:g}"
        parts += [
            element("line", x1=_LEFT, x2=end, y1=y, y2=y, class_="grid"),
            element("line", x1=x, x2=x, y1=top, y2=_TOP + _HEIGHT, class_="grid"),
            element("text", text, x=_LEFT - 5, y=y + 3.5, text_anchor="end"),
            element("text", text, x=x, y=_TOP + _HEIGHT + 14, text_anchor="middle"),
        ]
    middle, bottom = _LEFT + _WIDTH / 2, _TOP + _HEIGHT + _BOTTOM - 4
    at = f"rotate(-90 9 {_TOP + _HEIGHT / 2})"
    parts.append(element("text", "recall", x=middle, y=bottom, text_anchor="middle"))
    parts.append(
        element("text", "precision", x=9, y=_TOP + _HEIGHT / 2, text_anchor="middle", transform=at)
    )
    return parts


def _curve(curve: Curve, style: str, threshold: float) -> Element:
    """A joint's curve, thinned to two points a unit of width, and the threshold's dot on it."""
    made = element("g", class_=style)
    if not len(curve.scores) or not curve.positives:
        return made
    recall, precision = curve.recall, curve.precision
    column = np.round(recall * _WIDTH).astype(int)
    turns = np.diff(column) > 0
    kept = np.flatnonzero(np.append(True, turns) | np.append(turns, True))
    # The first point stands for all recalls below it, as for the envelope whose area AP is.
    points = [(0.0, precision[0]), *zip(recall[kept], precision[kept], strict=True)]
    steps = " ".join("{:g},{:g}".format(*_place(r, p)) for r, p in points)
    made.append(element("polyline", points=steps))
    above = int((curve.scores >= threshold).sum()) - 1
    if above >= 0:
        x, y = _place(recall[above], precision[above])
        made.append(element("circle", cx=x, cy=y, r=3.2))
    return made


def _place(recall: float, precision: float) -> tuple[float, float]:
    x, y = _LEFT + _WIDTH * recall, _TOP + _HEIGHT * (1 - precision)
    return round(float(x), 1), round(float(y), 1)
