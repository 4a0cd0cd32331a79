"""The report's tables beside our figures, and what to do about rows that are not filled."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from jaxpose.errors import DataError, UsageError
from jaxpose.pipelines import table_smoke
from jaxpose.pipelines.openpose_tables import openpose_cell, own_checkpoints
from jaxpose.pipelines.report_tables import DATA_SET, TABLES, Table
from jaxpose.pipelines.table_commands import Command, Places, command_lines, commands_for
from jaxpose.pipelines.table_execution import execute, time_lines
from jaxpose.pipelines.table_options import amount_note
from jaxpose.pipelines.table_print import Filled, all_lines, document
from jaxpose.pipelines.table_runs import Run, deviations, find_runs, recipe_of
from jaxpose.pipelines.table_scores import Cell, cell_of, find_scores

_NO_PUBLIC_TEST = (
    "the annotations of the test split are not public: this makes the result files to hand in, "
    "and a row of figures only where annotations/test has people"
)
_NAMED_DEVIATIONS = 6
_SMOKE = (
    "SMOKE RUN: tiny networks on drawn people. These figures are NOT comparable with the report's;",
    "they show that every row can be trained, detected and scored by the commands of a real run.",
)


class OpenPose(NamedTuple):
    """Result files of somebody's OpenPose, which take the place of our own baseline.

    Attributes:
      folders: by what the OpenPose was trained on, `mpii` or `posetrack`.
      head_top: guess the top of the head, see `openpose_tables.openpose_cell`.
    """

    folders: Mapping[str, Path] = {}
    head_top: bool = False


class Report(NamedTuple):
    """The tables as they can be filled now.

    Attributes:
      tables: in the order of the report.
      commands: what makes the rows that are not filled.
      head, foot: lines above and below the tables.
    """

    tables: list[Filled]
    commands: list[Command]
    head: tuple[str, ...] = ()
    foot: tuple[str, ...] = ()

    def lines(self, markdown: bool = False) -> list[str]:
        """All of it as text or Markdown."""
        below = [part for part in (command_lines(self.commands), self.foot) if part]
        if markdown:
            below = [("```", *part, "```") for part in below]
        tables = all_lines(self.tables, markdown)
        return [*self.head, *tables, *(line for part in below for line in part)]

    @property
    def failures(self) -> list[str]:
        """What was given for a row and could not be taken, with the reason."""
        return [cell.reason for each in self.tables for cell in each.cells if cell.failed]

    def document(self) -> dict[str, Any]:
        """All of it for JSON."""
        return {
            "notes": [*self.head, *self.foot],
            "tables": [document(filled) for filled in self.tables],
            "commands": [command.text for command in self.commands],
        }


def reproduce(numbers: Sequence[int], places: Places, openpose: OpenPose) -> Report:
    """Fill tables from the runs and scores that there are; nothing is trained.

    Args:
      numbers: of tables, 1 to 15; all without.
      places: where runs, records and original files are.
      openpose: somebody else's runs for Tables 6 and 7.

    Raises:
      UsageError: no such table, or an OpenPose run without ground truth.
    """
    runs = find_runs(places.runs)
    filled = _fill(_chosen(TABLES, numbers), places, openpose, runs)
    tables = [_remarked(each, places.repository) for each in filled]
    return Report(tables, commands_for(tables, places, runs))


def reproduce_small(numbers: Sequence[int], folder: Path, repository: Path, make: bool) -> Report:
    """Fill tables from the smoke run in a folder; with `make` train, detect and score first.

    What is there already is not made again, so an interrupted call goes on where it was.

    Args:
      numbers: of tables, 1 to 15; all without.
      folder: of everything that is drawn, trained and scored.
      repository: folder of `configs` and `tools`.
      make: whether to make what is missing.

    Raises:
      as `reproduce`, and as `table_execution.execute`.
    """
    places = table_smoke.smoke_places(folder, repository)
    tables = _chosen(table_smoke.small_tables(), numbers)
    if make:
        table_smoke.draw(folder)
        report = _small_report(tables, places)
        execute(report.commands, folder, repository)
    report = _small_report(tables, places)
    return report._replace(head=(*_SMOKE, ""), foot=tuple(time_lines(folder)))


def _small_report(tables: Sequence[Table], places: Places) -> Report:
    runs = find_runs(places.runs)
    filled = _fill(tables, places, OpenPose(), runs)
    made = [each._replace(ours="smoke run", comparable=False) for each in filled]
    return Report(made, commands_for(made, places, runs))


def _chosen(tables: Sequence[Table], numbers: Sequence[int]) -> list[Table]:
    known = [table.number for table in tables]
    for number in numbers:
        if number not in known:
            raise UsageError(f"--table={number}: the report has Tables 1 to {max(known)}")
    return [table for table in tables if not numbers or table.number in numbers]


def _fill(
    tables: Sequence[Table], places: Places, openpose: OpenPose, runs: Sequence[Run]
) -> list[Filled]:
    scores, filled = find_scores(places.runs), []
    for table in tables:
        if table.openpose in openpose.folders:
            cells = [_openpose(table, places, openpose, runs)]
        else:
            cells = [_explained(table, cell_of(table, row, scores, runs)) for row in table.rows]
        filled.append(Filled(table, tuple(cells)))
    return filled


def _explained(table: Table, cell: Cell) -> Cell:
    if table.split != "test" or cell.source is not None:
        return cell
    return cell._replace(reason=f"{cell.reason}; {_NO_PUBLIC_TEST}")


def _openpose(table: Table, places: Places, openpose: OpenPose, runs: Sequence[Run]) -> Cell:
    folder, truth = openpose.folders[table.openpose], places.sources[DATA_SET]
    if truth.startswith("$"):
        raise UsageError(f"--openpose_{table.openpose} needs --posetrack17=FOLDER to score against")
    try:
        own = own_checkpoints(folder)
        if own and not set(own.values()) <= {run.digest for run in runs}:
            return Cell({}, reason=f"stale: {folder} is of checkpoints that are no longer there")
        return openpose_cell(folder, Path(truth) / "annotations" / "val", openpose.head_top)
    except DataError as error:
        return Cell({}, reason=str(error), failed=True)


def _remarked(filled: Filled, repository: Path) -> Filled:
    """The table with notes on part of the data, and runs that are not as their config files say."""
    cells = []
    for row, cell in zip(filled.table.rows, filled.cells, strict=True):
        notes = [*cell.notes, *amount_note(cell.videos, filled.table.split)]
        networks = [network for network in (row.detector, row.pose) if network is not None]
        for network, run in zip(networks, cell.runs, strict=False):
            differing = deviations(run, recipe_of(network, repository))
            more = len(differing) - _NAMED_DEVIATIONS
            shown = ", ".join(differing[:_NAMED_DEVIATIONS]) + f" and {more} more" * (more > 0)
            if differing:
                notes.append(f"{run.folder.name} is not as {network.config} says: {shown}")
        cells.append(cell._replace(notes=tuple(notes)))
    return filled._replace(cells=tuple(cells))
