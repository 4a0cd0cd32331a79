"""Model cards: Markdown with a head that programs read.

The head is JSON between two lines `---`, which GitHub and the Hugging Face Hub read as YAML, whose
subset JSON is. The sections after it are for people.
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from jaxpose.errors import CheckpointError

SECTIONS = (
    "Data",
    "Licence of the data",
    "Recipe",
    "Command",
    "Commit",
    "Scores",
    "What it is bad at",
)
Scores = Mapping[str, Mapping[str, float]]
_HEAD = re.compile(r"---\n(.*?)\n---\n", re.DOTALL)


class Card(NamedTuple):
    """A model card.

    Attributes:
      title: its first heading.
      sha256: hexadecimal digest of the weight file that it is of.
      licence: one line on the terms of weights and training data.
      scores: data set/split -> score -> value in percent, of that very file.
      sections: heading -> text, `SECTIONS` first of all.
    """

    title: str
    sha256: str
    licence: str
    scores: Scores
    sections: Mapping[str, str]


def read_card(path: Path) -> Card:
    """Read a model card.

    Raises:
      CheckpointError: it is missing, or its head cannot be read.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path}: the model card cannot be read: {error}") from error
    head = _HEAD.match(text)
    try:
        values = json.loads(head[1]) if head else {}
        scores = {
            str(data): {str(name): float(value) for name, value in found.items()}
            for data, found in values["scores"].items()
        }
        sha256, licence = str(values["sha256"]), str(values["licence"])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        wanted = "JSON with sha256, licence and scores between two lines ---"
        raise CheckpointError(f"{path}: the card's head is not {wanted}: {error!r}") from error
    title, sections = _parts(text[head.end() :] if head else "")
    return Card(title, sha256, licence, scores, sections)


def card_text(card: Card) -> str:
    """The card as Markdown; the inverse of `read_card`."""
    head = {"sha256": card.sha256, "licence": card.licence, "scores": card.scores}
    parts = [f"---\n{json.dumps(head, indent=2, ensure_ascii=False)}\n---\n", f"# {card.title}\n"]
    parts += [f"## {name}\n\n{text}".rstrip() + "\n" for name, text in card.sections.items()]
    return "\n".join(parts)


def _parts(text: str) -> tuple[str, dict[str, str]]:
    """Title, and heading -> text of each section."""
    first, *rest = re.split(r"^## +", text, flags=re.MULTILINE)
    sections = {}
    for part in rest:
        heading, _, body = part.partition("\n")
        sections[heading.strip()] = body.strip()
    return first.strip().removeprefix("#").strip(), sections
