"""The report page: well-formed, complete in itself, and with the figures of the scores in it."""

import re
from html.parser import HTMLParser
from types import SimpleNamespace

import numpy as np
import pytest

from jaxpose.annotations.schema import AnnotationSet
from jaxpose.evaluation.posetrack_table import json_scores
from jaxpose.evaluation.precision_recall import Curve
from jaxpose.inference.joint_slots import JointSlots
from jaxpose.inference.options import Options
from jaxpose.inference.posetrack_results import frame_results
from jaxpose.pipelines.markup import element, html_text
from jaxpose.pipelines.system_curves import best_threshold, charts, pooled
from jaxpose.pipelines.system_page import system_page
from jaxpose.pipelines.system_protocol import system_protocol
from jaxpose.pipelines.system_split import read_split
from jaxpose.pipelines.system_submission import score_predictions, write_predictions
from jaxpose.skeletons import POSETRACK17

VOID = {"meta", "img", "br"}


class Reader(HTMLParser):
    """Refuses tags that do not close in order; collects texts, tags and addresses."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.open, self.tags, self.texts, self.addresses = [], [], [], []
        self.feed(text)
        self.close()
        assert not self.open, f"never closed: {self.open}"

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.addresses += [
            value for name, value in attributes if name in ("src", "href", "xlink:href")
        ]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open and self.open.pop() == tag, f"</{tag}> out of order"

    def handle_data(self, data):
        self.texts.append(data)


def noisy(split):
    """The annotated people, some joints elsewhere, with scores from 0.1 to 0.9."""
    rng = np.random.default_rng(0)
    frames = tuple(frame for frame, _ in split.estimated())
    for result in frame_results(AnnotationSet(split.skeleton, frames)):
        for person in result.people:
            wrong = rng.random(len(person.keypoints)) < 0.3
            person.keypoints[wrong] += 60
            person.keypoint_scores[:] = np.where(wrong, 0.1, 0.5) + 0.4 * rng.random(len(wrong))
        yield result


@pytest.fixture(scope="module")
def scored(drawn_videos, tmp_path_factory):
    """(split, document, curves, frames) of noisy predictions."""
    folder = tmp_path_factory.mktemp("predictions")
    split = read_split(drawn_videos / "posetrack18", None, "validation")
    slots = JointSlots(split.skeleton.joints, split.skeleton)
    write_predictions(folder, split, noisy(split), slots)
    evaluator, frames = score_predictions(folder, split)
    run = {"run": "<b>mine</b> & yours", "step": 3}
    protocol = system_protocol(split, slots, "detector", run, Options(), run, {})
    speed = {"frames": 6, "detection_seconds": None, "pose_seconds": {"total": 1.5}}
    document = json_scores(evaluator.result()) | {"protocol": protocol, "speed": speed}
    return split, document, evaluator.curves(), frames


@pytest.fixture(scope="module")
def page(scored):
    split, document, curves, frames = scored
    return system_page(document, curves, frames, split.skeleton)


def test_the_page_is_well_formed_and_needs_nothing_else(page):
    reader = Reader(page)
    assert page.startswith("<!DOCTYPE html>") and reader.tags[0] == "html"
    assert not {"script", "link", "iframe", "a"} & set(reader.tags)
    assert reader.addresses and all(
        a.startswith("data:image/jpeg;base64,") for a in reader.addresses
    )
    style = page[page.index("<style>") : page.index("</style>")]
    assert "url(" not in style and "@import" not in style and "prefers-color-scheme" in style
    assert "http" not in re.sub(r"data:image/jpeg;base64,[^\"]*", "", page)


def test_the_page_holds_the_figures(page, scored):
    split, document, _, frames = scored
    texts = Reader(page).texts
    for column in ("Head", "Shou", "Elb", "Wri", "Hip", "Knee", "Ankl", "Total"):
        assert texts.count(column) >= 1 and f"{document[column]:.1f}" in texts
    for value in document["ap"]:
        assert f"{value:.1f}" in texts
    assert "<b>mine</b> & yours" in texts and "PoseTrack18 validation" in texts
    assert split.digest in texts and "& Head & Shou & Elb  & Wri" in "".join(texts)
    assert page.count("<polyline") == 16 and page.count("<svg") == 8
    assert page.count("<img") == len(frames) == 6  # three best, three worst
    names = [frame.truth.filename for frame in frames]
    assert sorted(t for t in texts if t.startswith("images/")) == sorted(names)


def test_joints_without_annotations_have_a_dash(scored):
    split, document, curves, frames = scored
    unknown = {"ap": [None, *document["ap"][1:]], "Ankl": None, "recall": [None] * 15}
    curves = curves | {"right_ankle": Curve(np.zeros(0), np.zeros(0, bool), np.zeros(0, bool), 0)}
    texts = Reader(system_page(document | unknown, curves, frames, split.skeleton)).texts
    assert texts.count("–") > 10
    # The LaTeX row alone has nan, which poseval prints too.
    assert [text for text in texts if "nan" in text] == [text for text in texts if "&  nan" in text]


def test_elements_escape_and_keep_their_order():
    made = element("p", "a < b ", element("i", "&"), " c", " d", class_="x", stroke_width=2)
    text = html_text(made)
    assert text == '<!DOCTYPE html>\n<p class="x" stroke-width="2">a &lt; b <i>&amp;</i> c d</p>\n'


def curve(scores, hits, positives):
    hits = np.array(hits, bool)
    return Curve(np.array(scores, float), hits, ~hits, positives)


def test_the_threshold_of_the_largest_f1():
    # F1 from each score on: 2/5, 4/6, 4/7, 6/8, 6/9
    assert best_threshold(curve([9, 8, 7, 6, 5], [1, 1, 0, 1, 0], 4)) == 6
    assert best_threshold(curve([], [], 4)) == 0
    both = pooled({"a": curve([9, 6], [1, 0], 1), "b": curve([8, 7], [0, 1], 3)})
    assert both.scores.tolist() == [9, 8, 7, 6] and both.hits.tolist() == [True, False, True, False]
    assert both.positives == 4 and (both.hits ^ both.misses).all()


def test_curves_by_hand():
    curves = dict.fromkeys(POSETRACK17.joints, curve([], [], 2))
    curves["nose"] = curve([0.9, 0.8, 0.4], [1, 0, 1], 2)
    figures = charts(curves, dict.fromkeys(POSETRACK17.joints) | {"nose": 83.3}, threshold=0.5)
    assert len(figures) == 8
    (line,) = figures[0].iter("polyline")
    # recall 0, 0.5 (precision 1, then 1/2), 1 (2/3); 240 x 180 px from (34, 8)
    assert line.get("points") == "34,8 154,8 154,98 274,68"
    (dot,) = figures[0].iter("circle")
    assert (dot.get("cx"), dot.get("cy")) == ("154.0", "98.0")
    assert "nose 83.3" in "".join(figures[0].itertext()) and "top –" in "".join(
        figures[0].itertext()
    )
    crowded = SimpleNamespace(n=100_000)
    hits = np.random.default_rng(0).random(crowded.n) < 0.5
    curves["nose"] = curve(-np.arange(crowded.n), hits, crowded.n)
    (line,) = charts(curves, dict.fromkeys(POSETRACK17.joints), 0)[0].iter("polyline")
    assert len(line.get("points").split()) < 490
