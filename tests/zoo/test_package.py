"""What really comes with the package: each network has a whole card, is small, and works."""

import json
import re

import numpy as np
import pytest

import jaxpose
from jaxpose.training.weight_file import read_weight_file
from jaxpose.zoo import shipped
from jaxpose.zoo.cards import SECTIONS, read_card

NAMES = shipped.names()
LARGEST_TOGETHER = 40_000_000
# The score that a card must have at least, by task and data set.
WANTED = {
    "detection": {"coco_person/validation": {"coco_ap", "coco_ap50"}},
    "pose": {
        "coco_people_crops/validation": {"oks_ap", "pck", "pck_nose", "pck_left_wrist"},
        "lspet_people_crops/validation": {"pck", "pck_head_bottom", "pck_head_top"},
    },
}


def test_both_default_networks_are_there_and_small():
    assert set(shipped.DEFAULTS.values()) <= set(NAMES)
    files = [shipped.path(name) for name in shipped.DEFAULTS.values()]
    assert sum(file.stat().st_size for file in files) <= LARGEST_TOGETHER
    by_name = {model.name: model for model in jaxpose.zoo.list()}
    assert {task: by_name[name].task for task, name in shipped.DEFAULTS.items()} == {
        task: task for task in shipped.DEFAULTS
    }
    assert by_name[shipped.DEFAULTS["detection"]].classes == ("person",)
    assert len(by_name[shipped.DEFAULTS["pose"]].joints) == 15


def test_every_card_has_a_file_and_every_file_a_card():
    cards = {path.stem for path in shipped.FOLDER.glob("*.md")}
    assert cards == set(NAMES) == {model.name for model in jaxpose.zoo.list()}


@pytest.mark.parametrize("name", NAMES)
def test_the_card_is_whole(name):
    card = read_card(shipped.path(name).with_suffix(".md"))
    assert card.title == name and card.licence
    for section in SECTIONS:
        assert len(card.sections[section]) > 20, section
    assert re.search(r"\b[0-9a-f]{40}\b", card.sections["Commit"])
    assert "python -m jaxpose.train" in card.sections["Command"]
    task = json.loads(read_weight_file(shipped.path(name)).config)["task"]
    for data_set, scores in WANTED[task].items():
        assert scores <= set(card.scores[data_set]), data_set
        for score in scores:
            assert f"| {score} | {card.scores[data_set][score]:.2f} |" in card.sections["Scores"]


@pytest.mark.parametrize("name", NAMES)
def test_the_file_holds_no_path_of_the_machine_it_was_made_on(name):
    config = read_weight_file(shipped.path(name)).config
    assert not re.search(r'"(/|~|[A-Z]:\\\\)', config)


@pytest.mark.parametrize("name", NAMES)
def test_it_is_restored_and_predicts(name):
    restored = jaxpose.restore(name)
    found = restored.predict(np.full((1, 96, 96, 3), 127, np.uint8))
    for value in found.values():
        assert np.isfinite(np.asarray(value, np.float64)).all()
