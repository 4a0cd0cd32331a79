"""The tables of the SCUT-Samsung report beside our own figures: python tools/reproduce_tables.py.

--table=13 prints one of Tables 1 to 15, all without. A row is filled from the scores.json files
below --runs whose protocol and checkpoint digests match; for the others the commands are printed
that make them: records, trained networks, scores. Tables 6 and 7 are of the project's own OpenPose,
or of the JSON files of somebody's. Table 15 is of the test set, whose annotations are not public:
its command makes the files to hand in, and figures that nobody can check here are not taken.

--data=synthetic --smoke makes every row at tiny size on drawn people; call it again to go on.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from absl import flags

from jaxpose.annotations.json_files import write_json
from jaxpose.errors import SomeInputsFailedError, UsageError, run_main

if TYPE_CHECKING:
    from jaxpose.pipelines.reproduce_tables import Report

_TABLE = flags.DEFINE_list("table", [], "Numbers of tables; all without.")
_DATA = flags.DEFINE_enum("data", "real", ["real", "synthetic"], "Real data sets or drawn people.")
_SMOKE = flags.DEFINE_bool("smoke", False, "Train, detect and score all rows at tiny size.")
_RUNS = flags.DEFINE_string("runs", None, "Folder of the runs; runs, or runs/tables_smoke.")
_REAL = {
    "data_dir": flags.DEFINE_string("data_dir", None, "Built records; as build_records without."),
    "posetrack17": flags.DEFINE_string("posetrack17", None, "Folder of PoseTrack 2017's files."),
    "mpii": flags.DEFINE_string("mpii", None, "Folder of MPII's files."),
    "coco": flags.DEFINE_string("coco", None, "Folder of COCO 2017's files."),
    "voc": flags.DEFINE_string("voc", None, "VOCdevkit folder."),
    "base_weights": flags.DEFINE_string("base_weights", None, "VGG16 weights of ImageNet."),
    "trunk_weights": flags.DEFINE_string("trunk_weights", None, "VGG19 weights, of Tables 6, 7."),
    "openpose_mpii": flags.DEFINE_string(
        "openpose_mpii", None, "Folder of the JSON files of an OpenPose trained on MPII."
    ),
    "openpose_posetrack": flags.DEFINE_string(
        "openpose_posetrack", None, "The same of an OpenPose trained on PoseTrack."
    ),
}
_HEAD_TOP = flags.DEFINE_bool(
    "openpose_head_top", False, "Guess the top of the head, which OpenPose's models lack."
)
_MARKDOWN = flags.DEFINE_bool("markdown", False, "Print Markdown.")
_JSON = flags.DEFINE_string("json", None, "File to write the tables to.")
_SOURCES = {
    "posetrack17": "posetrack17",
    "mpii": "mpii",
    "coco_detection": "coco",
    "voc": "voc",
}
REPOSITORY = Path(__file__).resolve().parents[1]


def main(argv: list[str]) -> None:
    """Flags -> one call, then print and write."""
    if len(argv) > 1:
        raise UsageError(f"unexpected argument {argv[1]!r}; flags start with --")
    synthetic = _DATA.value == "synthetic"
    given = [name for name, flag in _REAL.items() if flag.value is not None]
    if synthetic and given:
        raise UsageError(f"--{given[0]} has no meaning beside --data=synthetic")
    if _SMOKE.value and not synthetic:
        raise UsageError("--smoke trains on drawn people only: add --data=synthetic")
    numbers = _numbers()
    report = _small(numbers) if synthetic else _real(numbers)
    print("\n".join(report.lines(_MARKDOWN.value)))
    if _JSON.value:
        write_json(_JSON.value, report.document())
    if report.failures:
        raise SomeInputsFailedError("; ".join(report.failures))


def _small(numbers: list[int]) -> "Report":
    from jaxpose.pipelines.reproduce_tables import reproduce_small

    folder = Path(_RUNS.value or "runs/tables_smoke")
    return reproduce_small(numbers, folder, _repository(), _SMOKE.value)


def _real(numbers: list[int]) -> "Report":
    from jaxpose.pipelines.reproduce_tables import OpenPose, reproduce
    from jaxpose.pipelines.table_commands import real_places

    places = real_places(
        Path(_RUNS.value or "runs"),
        _repository(),
        data_dir=_REAL["data_dir"].value,
        sources={name: _REAL[flag].value for name, flag in _SOURCES.items()},
        base_weights={
            "detection": _REAL["base_weights"].value,
            "bottom_up": _REAL["trunk_weights"].value,
        },
    )
    named = {name: _REAL[f"openpose_{name}"].value for name in ("mpii", "posetrack")}
    folders = {name: Path(folder) for name, folder in named.items() if folder}
    return reproduce(numbers, places, OpenPose(folders, _HEAD_TOP.value))


def _repository() -> Path:
    """Where configs and tools are; nothing need be said of it in commands that are run there."""
    return Path() if Path.cwd() == REPOSITORY else REPOSITORY


def _numbers() -> list[int]:
    try:
        return [int(text) for text in _TABLE.value]
    except ValueError:
        raise UsageError(f"--table={','.join(_TABLE.value)}: give numbers from 1 to 15") from None


if __name__ == "__main__":
    run_main(main)
