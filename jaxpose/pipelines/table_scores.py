"""Which scores.json fills which row of the report: its protocol and checkpoint digests must match.

A file counts wherever it lies below the runs' folder. One whose checkpoint is no longer what
evaluation would take is stale, one of the right networks with other options is named with them.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from jaxpose.evaluation.posetrack_table import COLUMNS
from jaxpose.evaluation.score_sweep import sweep_name
from jaxpose.pipelines.report_tables import DATA_SET, MAP, Network, Row, Table
from jaxpose.pipelines.table_drawing import DRAWN, holds_drawn_sets
from jaxpose.pipelines.table_options import free_choices, wrong_options
from jaxpose.pipelines.table_runs import Run, runs_of

# The second is written where there is no ground truth: result files were made, nothing is scored.
FILES = ("scores.json", "protocol.json")
_DEPTHS = ("*", "*/*", "*/*/*")


class Scores(NamedTuple):
    """A scores.json or protocol.json: where it lies, what it holds, and its protocol block."""

    path: Path
    report: Mapping[str, Any]
    protocol: Mapping[str, Any]


class Cell(NamedTuple):
    """What stands for us in a row.

    Attributes:
      figures: by column, None for N/A; empty where the row is not filled.
      source: file or folder that they come from, or that tells of result files which cannot be
        scored here; None where there is something to be made.
      reason: why the row is not filled, '' where it is.
      notes: how the figures came about.
      runs: training runs that made them.
      data: digest of what was scored, '' where it is not known.
      videos: number of videos that were scored; None where it is not known.
      failed: whether something that was given for this row could not be taken.
    """

    figures: Mapping[str, float | None]
    source: Path | None = None
    reason: str = ""
    notes: tuple[str, ...] = ()
    runs: tuple[Run, ...] = ()
    data: str = ""
    videos: int | None = None
    failed: bool = False


class _Named(NamedTuple):
    """A network of a row as a protocol names it."""

    network: Network
    run: str | None
    step: Any
    digest: Any


def find_scores(folder: Path) -> list[Scores]:
    """All scores up to three folders below, the newest first; what is no such file is left out.

    So are those of a smoke run that lies in the folder, rather than is it.
    """
    files = [
        file
        for depth in _DEPTHS
        for name in FILES
        for file in folder.glob(f"{depth}/{name}")
        if not _is_of_smoke_run(file, folder)
    ]
    found = []
    for file in sorted(files, key=lambda file: file.stat().st_mtime, reverse=True):
        try:
            report = json.loads(file.read_text(encoding="utf-8"))
            found.append(Scores(file, report, dict(report["protocol"])))
        except (OSError, ValueError, TypeError, KeyError):
            continue
    return found


def _is_of_smoke_run(file: Path, folder: Path) -> bool:
    between = file.relative_to(folder).parents[:-1]
    return any(holds_drawn_sets(folder / part / DRAWN) for part in between)


def cell_of(table: Table, row: Row, scores: Sequence[Scores], runs: Sequence[Run]) -> Cell:
    """Our figures of a row: of the newest file that is for it.

    Args:
      table, row: of the report.
      scores: newest first, as of `find_scores`.
      runs: as of `find_runs`.
    """
    stale, unfit = [], []
    for each in scores:
        if (each.protocol.get("data_set"), each.protocol.get("split")) != (DATA_SET, table.split):
            continue
        named = _named_networks(each, row)
        pairs = [(one, runs_of(one.network, runs)) for one in named]
        if not named or not all(_is_meant(one, candidates) for one, candidates in pairs):
            continue
        lost = [_stale(one, candidates) for one, candidates in pairs if not _used(one, candidates)]
        wrong = wrong_options(each.protocol, row)
        if not lost and not wrong:
            return _filled(each, row, [_used(*pair) for pair in pairs])
        stale += [f"stale: {each.path} is of {'; '.join(lost)}"] * (bool(lost) and not wrong)
        unfit += [f"{each.path} has {', '.join(wrong)}"] * bool(wrong)
    untrained = [network.run for _, network in _roles(row) if not runs_of(network, runs)]
    missing = f"not trained yet: {', '.join(untrained)}" if untrained else "not scored yet"
    reasons = [*stale, *([] if untrained else unfit), missing]
    return Cell({}, reason=reasons[0])


def _roles(row: Row) -> list[tuple[str, Network]]:
    networks = (("detector", row.detector), ("pose", row.pose))
    return [(role, network) for role, network in networks if network is not None]


def _named_networks(scores: Scores, row: Row) -> list[_Named]:
    """The row's networks as the file's protocol names them; none if it is of another kind."""
    protocol, folder = scores.protocol, scores.path.parent.name
    if row.pose is None:
        assert row.detector is not None
        if "detector_classes" not in protocol:
            return []
        step, digest = protocol.get("checkpoint_step"), protocol.get("checkpoint_digest")
        return [_Named(row.detector, protocol.get("run", folder), step, digest)]
    if protocol.get("kind") != "system":
        return []
    blocks = [(network, protocol.get(role) or {}) for role, network in _roles(row)]
    return [
        _Named(network, block.get("run"), block.get("step"), block.get("checkpoint_digest"))
        for network, block in blocks
    ]


def _used(named: _Named, candidates: Sequence[Run]) -> Run | None:
    """The run whose checkpoint was scored."""
    return next((run for run in candidates if run.digest == named.digest), None)


def _is_meant(named: _Named, candidates: Sequence[Run]) -> bool:
    """Whether the file speaks of this network, of its present checkpoint or of another."""
    names = {run.folder.name for run in candidates} | {named.network.run}
    return _used(named, candidates) is not None or named.run in names


def _stale(named: _Named, candidates: Sequence[Run]) -> str:
    was = f"{named.run} step {named.step} ({str(named.digest)[:8]})"
    now = next((run for run in candidates if run.folder.name == named.run), None)
    if now is None:
        return f"{was}, which is not among the runs"
    return f"{was}, where {now.folder} now gives step {now.step} ({now.digest[:8]})"


def _filled(scores: Scores, row: Row, runs: Sequence[Run | None]) -> Cell:
    used = tuple(run for run in runs if run is not None)
    data = str(scores.protocol.get("data_digest", ""))
    if row.pose is None:
        value = scores.report.get(sweep_name(row.threshold or 0))
        figures = {MAP: None if value is None else value / 100}
        return Cell(figures, scores.path, "", _detection_notes(scores, used), used, data)
    if "Total" not in scores.report:
        where = scores.path.parent / "predictions"
        reason = f"result files to hand in are in {where}; they are not scored here"
        return Cell({}, scores.path, reason)
    figures = {name: scores.report[name] for name in COLUMNS}
    videos = scores.protocol.get("videos")
    return Cell(figures, scores.path, "", _system_notes(scores, used), used, data, videos)


def _trained(runs: Sequence[Run]) -> str:
    return " + ".join(
        f"{run.folder.name} step {run.step}"
        + f" (training stands at {run.newest} of {run.fields['steps']})" * (not run.finished)
        for run in runs
    )


def _detection_notes(scores: Scores, runs: Sequence[Run]) -> tuple[str, ...]:
    counts = " and ".join(f"{scores.report.get(name)} {name}" for name in ("images", "boxes"))
    chosen = f"step chosen: {scores.protocol.get('checkpoint_choice')}"
    return (f"{_trained(runs)}; {chosen}; {counts}; AP rule {scores.protocol.get('rule')}",)


def _system_notes(scores: Scores, runs: Sequence[Run]) -> tuple[str, ...]:
    frames = f"{scores.report.get('frames_evaluated')} labelled frames"
    blocks = [scores.protocol.get(role) or {} for role in ("detector", "pose")]
    chosen = " and ".join(str(block.get("checkpoint_choice")) for block in blocks if block)
    options = ", ".join(free_choices(scores.protocol))
    return (f"{_trained(runs)}; steps chosen: {chosen}; {frames}; {options}",)
