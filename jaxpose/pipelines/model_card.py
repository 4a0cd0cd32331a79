"""Measure a weight file on validation splits and write the scores into its model card."""

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from jaxpose.errors import UsageError
from jaxpose.pipelines.evaluate import evaluate
from jaxpose.training.workdir import write_atomic
from jaxpose.zoo.cards import SECTIONS, Card, card_text, read_card
from jaxpose.zoo.shipped import file_digest

# What a reader must know to compare a score, as `evaluate` names it; the rest is in scores.json.
_OF_ALL = (
    "boxes", "joints", "flip_test", "mean", "checkpoint_step", "checkpoint_choice", "jaxpose",
    "device",
)  # fmt: skip
_OF_SCORES = ("pckh", "pck", "oks", "map", "coco")


def measure_card(
    file: Path,
    wanted: Mapping[str, Sequence[str]],
    output_dir: Path,
    full: str | None = None,
    **options: Any,
) -> Path:
    """Score a weight file; write digest, scores and section `Scores` of the card beside it.

    A card that is there keeps all else; a new one has the other sections empty, to be written.

    Args:
      file: the weight file NAME.npz; its card is NAME.md.
      wanted: data set -> patterns of the scores to take, such as oks_ap or pck_*.
      output_dir: of what `evaluate` writes, in a folder for each data set.
      full: checkpoint of the same network in full precision, to state what the file lost.
      options: of `evaluate`: split, data_dir, source, flip_test, batch_size.

    Returns:
      the card's path.

    Raises:
      UsageError: no such file, or a pattern that no score matches. And what `evaluate` raises.
    """
    if not file.is_file():
        raise UsageError(f"{file}: no such file; give one of tools/export_weights.py")
    scores: dict[str, dict[str, float]] = {}
    text = ["Percent, measured on this very file; comparable under the same data and rules only."]
    for data_set, patterns in wanted.items():
        folder = output_dir / data_set
        report = evaluate(str(file), dataset=data_set, output_dir=str(folder), **options)
        found = _chosen(report, patterns, data_set)
        other = {}
        if full:
            folder = output_dir / f"{data_set}_full"
            other = evaluate(full, dataset=data_set, output_dir=str(folder), **options)
        name = f"{data_set}/{report['protocol']['split']}"
        scores[name] = found
        text += ["", *_table(name, found, other), "", *_protocol(report, found)]
    path = file.with_suffix(".md")
    empty = Card(file.stem, "", "", {}, dict.fromkeys(SECTIONS, ""))
    card = read_card(path) if path.exists() else empty
    sections = {**card.sections, "Scores": "\n".join(text)}
    card = card._replace(sha256=file_digest(file), scores=scores, sections=sections)
    write_atomic(path, card_text(card))
    return path


def _chosen(report: Mapping[str, Any], patterns: Sequence[str], data_set: str) -> dict[str, float]:
    values = {name: value for name, value in report.items() if isinstance(value, float)}
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in values):
            raise UsageError(f"{data_set}: no score {pattern}; there are {', '.join(values)}")
    return {
        name: round(value, 2)
        for name, value in values.items()
        if any(fnmatchcase(name, pattern) for pattern in patterns)
    }


def _table(title: str, scores: Mapping[str, float], full: Mapping[str, Any]) -> list[str]:
    head = f"| {title} | this file |" + " full precision |" * bool(full)
    rule = "|---|---|" + "---|" * bool(full)
    rows = [
        f"| {name} | {value:.2f} |" + (f" {full[name]:.2f} |" if full else "")
        for name, value in scores.items()
    ]
    return [head, rule, *rows]


def _protocol(report: Mapping[str, Any], scores: Mapping[str, float]) -> list[str]:
    kinds = {name.partition("_")[0] for name in scores}
    names = [*_OF_ALL, *(kind for kind in _OF_SCORES if kind in kinds)]
    counts = [f"- {name}: {report[name]}" for name in ("people", "images") if name in report]
    protocol = report["protocol"]
    return counts + [f"- {name}: {protocol[name]}" for name in names if name in protocol]
