"""Model cards: what is written is read again, and what is no card is refused."""

import json

import pytest

from jaxpose.errors import CheckpointError
from jaxpose.zoo.cards import Card, card_text, read_card

CARD = Card(
    "a network",
    "0f" * 32,
    "weights Apache-2.0; photographs by their authors’ terms",
    {"set/validation": {"pck": 80.25, "oks_ap": 51.0}, "other/test": {}},
    {"Data": "Two sets.\n\n### A part\n\nwith --- and # in it", "Scores": "| a |", "Bad at": ""},
)


def test_a_card_comes_back_as_written(tmp_path):
    path = tmp_path / "card.md"
    path.write_text(card_text(CARD), encoding="utf-8")
    assert read_card(path) == CARD
    assert path.read_text(encoding="utf-8").startswith('---\n{\n  "sha256": "0f0f')


@pytest.mark.parametrize(
    "head",
    [
        "",
        "---\nsha256: 3\n---\n",
        "---\n[1]\n---\n",
        '---\n{"sha256": "a", "licence": "b"}\n---\n',
        '---\n{"sha256": "a", "licence": "b", "scores": {"set": 3}}\n---\n',
        '---\n{"sha256": "a", "licence": "b", "scores": {"set": {"pck": "high"}}}\n---\n',
        '---\n{"licence": "b", "scores": {}}\n---\n',
    ],
)
def test_a_bad_head_is_refused(tmp_path, head):
    path = tmp_path / "card.md"
    path.write_text(f"{head}\n# a network\n")
    with pytest.raises(CheckpointError, match="card.md: the card's head is not JSON with sha256"):
        read_card(path)


def test_a_missing_or_binary_card_is_refused(tmp_path):
    with pytest.raises(CheckpointError, match="none.md: the model card cannot be read"):
        read_card(tmp_path / "none.md")
    (tmp_path / "binary.md").write_bytes(b"---\n\xff\xfe")
    with pytest.raises(CheckpointError, match="binary.md: the model card cannot be read"):
        read_card(tmp_path / "binary.md")


def test_the_head_is_plain_json_for_other_programs():
    head = card_text(CARD).split("---\n")[1]
    assert json.loads(head)["scores"] == CARD.scores
