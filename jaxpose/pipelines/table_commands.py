"""The commands that make what a table lacks, in order: records, trained networks, scores."""

import os
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from jaxpose.data.manifest import FILE_NAME, record_folder
from jaxpose.data.requirements import REQUIREMENTS
from jaxpose.pipelines.missing import build_words
from jaxpose.pipelines.record_sets import RECORDS
from jaxpose.pipelines.report_tables import DATA_SET, Network, Row, Table
from jaxpose.pipelines.table_print import Filled
from jaxpose.pipelines.table_runs import Run, runs_of

# Shell variables that stand for folders and files which only the user knows.
VARIABLES = {
    "posetrack17": "$POSETRACK17",
    "mpii": "$MPII",
    "coco_detection": "$COCO",
    "voc": "$VOC",
}
WEIGHTS, TRUNK_WEIGHTS = "$VGG16", "$VGG19"
_VARIABLE = re.compile(r"\$[A-Z0-9]+$")
_WEIGHTS_ARE = {
    WEIGHTS: "ImageNet weights of VGG16: torchvision's vgg16-397923af.pth or vgg16_reducedfc.pth",
    TRUNK_WEIGHTS: "ImageNet weights of VGG19: torchvision's vgg19-dcbb9e9d.pth",
}


class Places(NamedTuple):
    """Where things lie, and how networks are trained there.

    Attributes:
      runs: folder of the training runs; scores of whole systems go to its `tables`.
      data_dir: folder of built records; `given_data_dir` is what commands say, '' for the default.
      sources: folder of each data set's original files, or one of `VARIABLES`.
      base_weights: file of ImageNet weights by task; '' to train without.
      build: further words of the commands that build records.
      train: further words of those that train, by name of the run.
      repository: folder of `configs` and `tools`; '' where commands are run in it.
      source: format of what is built: `records`, or `shards`, which need no TensorFlow.
    """

    runs: Path
    data_dir: Path
    given_data_dir: str
    sources: Mapping[str, str]
    base_weights: Mapping[str, str] = {"detection": WEIGHTS, "bottom_up": TRUNK_WEIGHTS}
    build: tuple[str, ...] = ()
    train: Mapping[str, tuple[str, ...]] = {}
    repository: Path = Path()
    source: str = "records"


def real_places(
    runs: Path,
    repository: Path,
    data_dir: str | None = None,
    sources: Mapping[str, str | None] | None = None,
    base_weights: Mapping[str, str | None] | None = None,
) -> Places:
    """Places of a real run; variables stand for the sources and weights that are not given.

    Args:
      runs: folder of the training runs.
      repository: folder of `configs` and `tools`, '' in it.
      data_dir: folder of built records; JAXPOSE_DATA or ~/jaxpose_data without.
      sources: folder of original files by data set.
      base_weights: file of ImageNet weights by task, `detection` and `bottom_up`.
    """
    default = os.environ.get("JAXPOSE_DATA") or "~/jaxpose_data"
    given, weights = (
        {name: path for name, path in (named or {}).items() if path}
        for named in (sources, base_weights)
    )
    return Places(
        runs=runs,
        data_dir=Path(data_dir or default).expanduser(),
        given_data_dir=data_dir or "",
        sources=VARIABLES | given,
        base_weights=Places._field_defaults["base_weights"] | weights,
        repository=repository,
    )


class Command(NamedTuple):
    """A command: its words after `python`, and the tables that need it."""

    words: tuple[str, ...]
    tables: tuple[int, ...]

    @property
    def text(self) -> str:
        """As one types it into a shell."""
        return " ".join(["python", *map(_quoted, self.words)])


def _quoted(word: str) -> str:
    found = _VARIABLE.search(word)
    return f'{word[: found.start()]}"{found[0]}"' if found else shlex.quote(word)


def commands_for(tables: Sequence[Filled], places: Places, runs: Sequence[Run]) -> list[Command]:
    """What fills the rows that are not filled, each command once: builds, trainings, scores.

    None for what was given and could not be taken.
    """
    needed: dict[tuple[str, ...], set[int]] = {}
    for stage in (_builds, _trainings, _scorings):
        for filled in tables:
            for row, cell in zip(filled.table.rows, filled.cells, strict=True):
                if cell.source is None and not cell.failed:
                    for words in stage(filled.table, row, places, runs):
                        needed.setdefault(words, set()).add(filled.table.number)
    return [Command(words, tuple(sorted(numbers))) for words, numbers in needed.items()]


def command_lines(commands: Sequence[Command]) -> list[str]:
    """The commands to be pasted into a shell, what must be known first; nothing without any."""
    if not commands:
        return []
    lines = ["# What is missing is made by these commands, in this order:"]
    lines += _variable_lines(commands)
    for command in commands:
        numbers = ", ".join(map(str, command.tables))
        lines.append(f"{command.text}  # Table{'s' * (len(command.tables) > 1)} {numbers}")
    return lines


def _variable_lines(commands: Sequence[Command]) -> list[str]:
    words = [word for command in commands for word in command.words]
    used = {match[0] for word in words if (match := _VARIABLE.search(word))}
    lines = []
    for name, variable in VARIABLES.items():
        if variable in used:
            need = REQUIREMENTS[name]
            tree = need.tree.replace("\n", "; ")
            lines.append(f"export {variable[1:]}=FOLDER  # {need.where} ({need.homepage}): {tree}")
    named = [name for name in _WEIGHTS_ARE if name in used]
    return lines + [f"export {name[1:]}=FILE  # {_WEIGHTS_ARE[name]}" for name in named]


def folder_of(network: Network, places: Places, runs: Sequence[Run]) -> Path:
    """Workdir of a network: that of the run that is it, else where it will be trained."""
    own = runs_of(network, runs)
    named = [run.folder for run in own if run.folder.name == network.run]
    return next(iter([*named, *(run.folder for run in own)]), places.runs / network.run)


def system_folder(table: Table, places: Places) -> Path:
    """Where a table's predictions and scores go."""
    return places.runs / "tables" / f"table{table.number:02d}"


def _untrained(row: Row, runs: Sequence[Run]) -> list[Network]:
    networks = [network for network in (row.detector, row.pose) if network is not None]
    return [n for n in networks if not any(run.finished for run in runs_of(n, runs))]


def _builds(
    table: Table, row: Row, places: Places, runs: Sequence[Run]
) -> Iterator[tuple[str, ...]]:
    wanted = [
        (name, RECORDS[network.task])
        for network in _untrained(row, runs)
        for name in network.facts["data.train"]  # each config is scored on one of them
    ]
    if row.pose is None or row.detector is None:
        wanted.append((DATA_SET, RECORDS["detection"]))  # scored on it, while trained or after
    for name, kind in wanted:
        folder = record_folder(places.data_dir, name, kind, places.source)
        if not (folder / FILE_NAME).is_file():
            said, files = places.given_data_dir, places.sources[name]
            _, tool, *words = build_words(name, said, places.source, kind, files)
            kept = [word for word in words if word != "--data_dir="]
            yield (str(places.repository / tool), *kept, *places.build)


def _trainings(
    table: Table, row: Row, places: Places, runs: Sequence[Run]
) -> Iterator[tuple[str, ...]]:
    for network in _untrained(row, runs):
        words = ["-m", "jaxpose.train", f"--config={places.repository / network.config}"]
        words.append(f"--workdir={folder_of(network, places, runs)}")
        if places.given_data_dir:
            words.append(f"--config.data_dir={places.given_data_dir}")
        if places.source != "records":
            words.append(f"--config.data.source={places.source}")
        if weights := places.base_weights.get(network.task):
            words.append(f"--config.model.base_weights={weights}")
        yield (*words, *places.train.get(network.run, ()))


def _scorings(
    table: Table, row: Row, places: Places, runs: Sequence[Run]
) -> Iterator[tuple[str, ...]]:
    detector = row.detector and folder_of(row.detector, places, runs)
    if row.pose is None:
        yield (
            *("-m", "jaxpose.evaluate", f"--workdir={detector}", f"--dataset={DATA_SET}"),
            "--split=validation",
            f"--score_thresholds={','.join(_thresholds(table, row))}",
            *[f"--data_dir={places.given_data_dir}"] * bool(places.given_data_dir),
        )
        return
    words = ["-m", "jaxpose.evaluate"] + [f"--detector={detector}"] * (detector is not None)
    words += [f"--pose={folder_of(row.pose, places, runs)}"]
    words += [f"--frames={places.sources[DATA_SET]}", f"--dataset={DATA_SET}"]
    words.append(f"--split={table.split}")
    if detector is not None:
        kept = places.runs / "tables" / f"{detector.name}_{table.split}.json"
        words += ["--boxes=detector", f"--det_threshold={row.threshold:g}", f"--detections={kept}"]
    yield (*words, f"--output_dir={system_folder(table, places)}")


def _thresholds(table: Table, row: Row) -> list[str]:
    """Thresholds of all rows of the row's detector, which one command scores together."""
    return [f"{other.threshold:g}" for other in table.rows if other.detector is row.detector]
