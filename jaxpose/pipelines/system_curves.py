"""Precision-recall curves of joints as small SVG charts, one a column of PoseTrack's table."""

from collections.abc import Mapping
from xml.etree.ElementTree import Element

import numpy as np

from jaxpose.evaluation.posetrack_table import PARTS
from jaxpose.evaluation.precision_recall import Curve
from jaxpose.pipelines.markup import element

# Size of the plotted area in SVG units, and the room for axis labels around it.
_WIDTH, _HEIGHT = 240, 180
_LEFT, _TOP, _RIGHT, _BOTTOM = 34, 8, 10, 32
_TICKS = (0.0, 0.25, 0.5, 0.75, 1.0)


def best_threshold(curves: Mapping[str, Curve]) -> float:
    """The joint score from which on all joints together have the largest F1; 0 without any."""
    scores = np.concatenate([curve.scores for curve in curves.values()])
    hits = np.concatenate([curve.hits for curve in curves.values()])
    positives = sum(curve.positives for curve in curves.values())
    if not scores.size:
        return 0.0
    order = np.argsort(-scores, kind="stable")
    f1 = 2 * np.cumsum(hits[order]) / (np.arange(1, len(order) + 1) + positives)
    return float(scores[order][f1.argmax()])


def charts(
    curves: Mapping[str, Curve], ap: Mapping[str, float | None], threshold: float
) -> list[Element]:
    """A figure for each part of the body with the curves of its joints.

    Args:
      curves: by joint.
      ap: of each joint in percent, None where it has none.
      threshold: of joint scores; a dot on each curve shows where it lies.
    """
    return [_figure(name, joints, curves, ap, threshold) for name, joints in PARTS.items()]


def _figure(
    name: str,
    joints: tuple[str, ...],
    curves: Mapping[str, Curve],
    ap: Mapping[str, float | None],
    threshold: float,
) -> Element:
    whole = f"0 0 {_LEFT + _WIDTH + _RIGHT} {_TOP + _HEIGHT + _BOTTOM}"
    drawn = [_curve(curves[joint], _style(joint), threshold) for joint in joints]
    label = f"Precision over recall of {', '.join(_words(joint) for joint in joints)}"
    svg = element("svg", *_axes(), *drawn, viewBox=whole, role="img", aria_label=label)
    keys = [
        element(
            "span",
            element("i", class_=_style(joint)),
            f"{_words(joint)} {_percent(ap[joint])}",
            class_="key",
        )
        for joint in joints
    ]
    return element("figure", element("figcaption", element("b", name), *keys), svg, class_="chart")


def _style(joint: str) -> str:
    """Class of a joint's curve: its side, or `top`, `bottom` or `nose` of the head's joints."""
    side, _, rest = joint.partition("_")
    return side if side in ("left", "right") else rest or side


def _words(joint: str) -> str:
    return joint.replace("head_bottom", "neck").replace("_", " ")


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
    """A joint's curve, thinned to a point a unit of width, and the threshold's dot on it."""
    made = element("g", class_=style)
    if not len(curve.scores) or not curve.positives:
        return made
    recall, precision = curve.recall, curve.precision
    column = np.round(recall * _WIDTH).astype(int)
    kept = np.flatnonzero(np.append(np.diff(column) > 0, True))
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
