"""A zoo of tiny untrained networks under the names of the default ones."""

import shutil

import pytest

from jaxpose.zoo import shipped
from jaxpose.zoo.cards import SECTIONS, Card, card_text

SCORES = {"coco_people_crops/validation": {"pck": 12.5, "oks_ap": 1.25}}


def write_card(file):
    """A whole card beside a weight file."""
    sections = dict.fromkeys(SECTIONS, "Something to say.")
    card = Card(file.stem, shipped.file_digest(file), "Apache-2.0", SCORES, sections)
    file.with_suffix(".md").write_text(card_text(card))
    return file


@pytest.fixture
def zoo(networks, tmp_path, monkeypatch):
    """Folder that takes the place of the package's."""
    folder = tmp_path / "zoo"
    folder.mkdir()
    for task, name in shipped.DEFAULTS.items():
        write_card(shutil.copy(networks[task], folder / f"{name}.npz"))
    monkeypatch.setattr(shipped, "FOLDER", folder)
    return folder
