"""Tables of the report beside our figures: as text, Markdown and JSON."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from jaxpose.pipelines.report_tables import MAP, Row, Table
from jaxpose.pipelines.table_scores import Cell

_LABEL = 12


class Filled(NamedTuple):
    """A table with our figures.

    Attributes:
      table: of the report; cells: one for each of its rows.
      ours: what our figures are called.
      comparable: whether a difference means anything.
    """

    table: Table
    cells: tuple[Cell, ...]
    ours: str = "jaxpose"
    comparable: bool = True

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of figures that are printed of each row."""
        return ("report", self.ours, "difference")[: 3 if self.comparable else 2]


def text_lines(filled: Filled) -> list[str]:
    """A table as lines of text: report, jaxpose and difference; notes and reasons below."""
    table = filled.table
    lines = [f"Table {table.number}: {_title(table)}"]
    lines += _detection_lines(filled) if table.columns == (MAP,) else _pose_lines(filled)
    return lines + [f"  {line}" for line in remarks(filled)]


def markdown_lines(filled: Filled) -> list[str]:
    """A table as Markdown; notes and reasons as a list below."""
    table = filled.table
    labels, columns, rows = _grid(filled)
    lines = [f"### Table {table.number}: {_title(table)}", ""]
    lines.append(f"| {' | '.join([*labels, *columns])} |")
    lines.append("|" + "---|" * len(labels) + "---:|" * len(columns))
    lines += [f"| {' | '.join(row)} |" for row in rows]
    return [*lines, "", *(f"- {line}" for line in remarks(filled)), ""]


def document(filled: Filled) -> dict[str, Any]:
    """A table for JSON; figures are null for N/A, `ours` is null where a row is not filled."""
    table = filled.table
    rows = []
    for row, cell in zip(table.rows, filled.cells, strict=True):
        rows.append(
            {
                "detector": row.detector and row.detector.run,
                "pose": row.pose and row.pose.run,
                "openpose": table.openpose or None,
                "threshold": row.threshold,
                "report": dict(row.published),
                "ours": dict(cell.figures) or None,
                "difference": _differences(row, cell)
                if cell.figures and filled.comparable
                else None,
                "source": cell.source and str(cell.source),
                "reason": cell.reason,
                "notes": list(cell.notes),
                "checkpoints": {run.folder.name: run.digest for run in cell.runs},
            }
        )
    return {"table": table.number, "title": table.title, "split": table.split, "rows": rows}


def remarks(filled: Filled) -> list[str]:
    """Notes on the figures and reasons for their absence, each once."""
    said = []
    for cell in filled.cells:
        said += [f"{cell.source}: {note}" if cell.runs else note for note in cell.notes]
        said += [cell.reason] if cell.reason else []
    return list(dict.fromkeys(said))


def _title(table: Table) -> str:
    return f"{table.title}; PoseTrack 2017 {table.split}"


def _grid(filled: Filled) -> tuple[list[str], list[str], list[list[str]]]:
    """Names of the label columns, of the figure columns, and the cells of all lines."""
    table = filled.table
    if table.columns != (MAP,):
        rows = [
            [name, *figures]
            for row, cell in zip(table.rows, filled.cells, strict=True)
            for name, figures in zip(filled.kinds, _figures(row, cell), strict=False)
        ]
        return [""], list(table.columns), rows
    kinds = filled.kinds
    labels = ["overlap threshold"] * table.overlaps + ["confidence threshold"]
    rows = [
        [*_labels(table, row), *(figures[0] for figures in _figures(row, cell)[: len(kinds)])]
        for row, cell in zip(table.rows, filled.cells, strict=True)
    ]
    return labels, [f"{MAP}, {kind}" for kind in kinds], rows


def _labels(table: Table, row: Row) -> list[str]:
    assert row.detector is not None
    overlap = f"{row.detector.facts['matching.overlap_threshold']:g}"
    return [overlap] * table.overlaps + [f"{row.threshold:g}"]


def _detection_lines(filled: Filled) -> list[str]:
    labels, columns, rows = _grid(filled)
    heads = [*labels, *columns]
    return ["  ".join(f"{cell:>{len(head)}}" for cell, head in zip(line, heads, strict=True))
            for line in [heads, *rows]]  # fmt: skip


def _pose_lines(filled: Filled) -> list[str]:
    _, columns, rows = _grid(filled)
    return [
        f"{line[0]:{_LABEL}}" + "".join(f"{cell:>7}" for cell in line[1:])
        for line in [["", *columns], *rows]
    ]


def _figures(row: Row, cell: Cell) -> tuple[list[str], list[str], list[str]]:
    """Published figures, ours and the differences, as text."""
    digits = 2 if MAP in row.published else 1
    if not cell.figures:
        blank = ["-"] * len(row.published)
        return [_text(value, digits) for value in row.published.values()], blank, blank
    differences = _differences(row, cell)
    return (
        [_text(row.published[name], digits) for name in row.published],
        [_text(cell.figures[name], digits) for name in row.published],
        [_text(differences[name], digits, "+") for name in row.published],
    )


def _differences(row: Row, cell: Cell) -> dict[str, float | None]:
    """Ours minus the report's; None where one of them is N/A."""
    found: dict[str, float | None] = {}
    for name, published in row.published.items():
        ours = cell.figures[name]
        found[name] = None if published is None or ours is None else ours - published
    return found


def _text(value: float | None, digits: int, sign: str = "") -> str:
    return "N/A" if value is None else f"{value:{sign}.{digits}f}"


def all_lines(tables: Sequence[Filled], markdown: bool = False) -> list[str]:
    """All tables, one below the other; and a warning if they are not of the same data."""
    lines = []
    for filled in tables:
        lines += markdown_lines(filled) if markdown else [*text_lines(filled), ""]
    return lines + _other_data(tables)


def _other_data(tables: Sequence[Filled]) -> list[str]:
    digests: dict[tuple[bool, str], dict[str, list[str]]] = {}
    for filled in tables:
        # Detectors are scored on records, systems on the original files.
        kind = (filled.table.columns == (MAP,), filled.table.split)
        for digest in dict.fromkeys(cell.data for cell in filled.cells if cell.data):
            digests.setdefault(kind, {}).setdefault(digest, []).append(str(filled.table.number))
    return [
        "ATTENTION: not all tables were scored on the same data: "
        + "; ".join(f"Tables {', '.join(n)} on {digest[:8]}" for digest, n in found.items())
        for found in digests.values()
        if len(found) > 1
    ]
