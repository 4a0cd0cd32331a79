"""How long it takes until something runs: python tools/benchmark_compile.py --variant=smoke

For every config: seconds to trace and to compile its training step and its inference, with an empty
persistent cache and with the one that this left behind; and seconds from the command
`python -m jaxpose.train` to the end of its first step, in the same two states. Start-up includes
opening the records and excludes drawing them and scoring the untrained network.

Each figure is of a process of its own. `--configs=quickstart,ssd300_voc` takes some, the variant
smoke draws its records; a config without records has no start-up time.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from absl import flags
from tqdm import tqdm

from jaxpose.annotations.json_files import write_json
from jaxpose.config import define_config_flag, loaded_config
from jaxpose.errors import JaxposeError, UsageError, run_main
from jaxpose.pipelines.benchmark_start import last_line, seconds_until_written
from jaxpose.pipelines.benchmark_table import markdown, number

_CONFIGS = flags.DEFINE_list("configs", [], "Names of files in configs/, such as quickstart; all.")
_VARIANT = flags.DEFINE_string("variant", "", "Variant of each, such as smoke.")
_OVERRIDES = flags.DEFINE_multi_string(
    "override", [], "Of every config, such as model.dtype=bfloat16; may be repeated."
)
_STARTUP = flags.DEFINE_bool("startup", True, "Time the start of jaxpose.train too.")
_TIMEOUT = flags.DEFINE_float("timeout", 3600.0, "Seconds after which a process is given up.")
_OUTPUT = flags.DEFINE_string("output", None, "JSON file of all figures.")
_CHILD = flags.DEFINE_enum("child", None, ["compile", "prepare"], "What one process does.")
_CONFIG = define_config_flag(purpose="Of a child.")
_WORKDIR = flags.DEFINE_string("workdir", None, "Of a child.")
_FOLDER = Path(__file__).parents[1] / "configs"
STATES = ("cold", "cached")
PROGRAMS = ("train", "infer")


def main(argv: list[str]) -> None:
    """Measure every config in fresh processes and print a table."""
    if len(argv) > 1:
        raise UsageError(f"unexpected {argv[1:]} (see --help)")
    if _CHILD.value:
        config = loaded_config(_CONFIG)[0].copy_and_resolve_references().unlock()
        print(json.dumps(CHILDREN[_CHILD.value](config)))
        return
    rows: list[dict[str, Any]] = []
    for file in tqdm(chosen_files(_CONFIGS.value), unit="config", desc="compile"):
        rows.append(measured(file))
        if _OUTPUT.value:
            write_json(_OUTPUT.value, {"variant": _VARIANT.value, "rows": rows})
    for line in table(rows):
        print(line)


def chosen_files(names: list[str]) -> list[Path]:
    """The config files of that names, all without; UsageError for one that is not there."""
    files = {file.stem: file for file in sorted(_FOLDER.glob("*.py"))}
    unknown = [name for name in names if name not in files]
    if unknown:
        raise UsageError(f"--configs={unknown[0]}: there are {', '.join(files)}")
    return [files[name] for name in names or files]


def measured(file: Path) -> dict[str, Any]:
    """Figures of one config: 'cold' and 'cached', each of both programs and of the start."""
    row: dict[str, Any] = {"config": file.stem}
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        for state in STATES:
            row[state] = _last_json(_child("compile", file, work, work / "compile"))
        if _STARTUP.value:
            prepared = _child("prepare", file, work, work / "start")
            if prepared.returncode:
                row["reason"] = _reason(prepared.stderr)
                return row
            data_dir = _last_json(prepared)["data_dir"]
            for state in STATES:
                row[state]["start"] = startup_seconds(file, work, data_dir, state)
    return row


def startup_seconds(file: Path, work: Path, data_dir: str, state: str) -> float:
    """Seconds from the command to the first line of metrics.jsonl, written after step 1."""
    workdir = work / f"run_{state}"
    command = [sys.executable, "-m", "jaxpose.train", *_config_flags(file)]
    command += [f"--workdir={workdir}", f"--config.data_dir={data_dir}"]
    command += ["--config.log_every=1", "--config.compare_baselines=False"]
    return seconds_until_written(
        command,
        workdir / "metrics.jsonl",
        work / f"train_{state}.log",
        _environment(work / "start"),
        _TIMEOUT.value,
    )


def compile_both(config: Any) -> dict[str, Any]:
    """Seconds to trace and compile both programs of a config, from shapes alone."""
    from jaxpose.pipelines.benchmark_batches import completed
    from jaxpose.pipelines.benchmark_programs import predict_program, train_program
    from jaxpose.tasks import make_task
    from jaxpose.training.sharding import data_mesh

    completed(config)
    task, mesh = make_task(config), data_mesh()
    builders = dict(zip(PROGRAMS, (train_program, predict_program), strict=True))
    figures = {}
    for name, build in builders.items():
        program = build(config, task, mesh)
        figures[name] = {
            key: program.figures()[key] for key in ("trace_seconds", "compile_seconds", "cache")
        }
    return figures


def prepare(config: Any) -> dict[str, Any]:
    """Draw or open the records, so that a start finds them; tells where."""
    from jaxpose.pipelines.prepare import prepare_records

    if config.data.synthetic.train_videos:
        config.data_dir = _WORKDIR.value
    prepare_records(config, Path(_WORKDIR.value or "."))
    return {"data_dir": config.data_dir}


CHILDREN = {"compile": compile_both, "prepare": prepare}


def table(rows: list[dict[str, Any]]) -> list[str]:
    """Markdown: a line a config, seconds cold -> cached."""

    def program(name: str, key: str) -> Any:
        return lambda row: _change(*(row[state][name][key] for state in STATES))

    columns = {"config": lambda row: row["config"]}
    for name in PROGRAMS:
        columns[f"{name}: trace s"] = program(name, "trace_seconds")
        columns[f"{name}: compile s"] = program(name, "compile_seconds")
    columns["start of train s"] = lambda row: _change(*(row[s].get("start") for s in STATES))
    reasons = [f"- {row['config']}: {row['reason']}" for row in rows if row.get("reason")]
    return [*markdown(columns, rows), "", *reasons, "seconds with an empty cache -> with its own"]


def _change(cold: float | None, cached: float | None) -> str | None:
    return None if cold is None or cached is None else f"{number(cold)} -> {number(cached)}"


def _config_flags(file: Path) -> list[str]:
    named = f"{file}:{_VARIANT.value}" if _VARIANT.value else str(file)
    return [f"--config={named}", *(f"--config.{text}" for text in _OVERRIDES.value)]


def _environment(cache: Path) -> Mapping[str, str]:
    return os.environ | {
        "JAX_COMPILATION_CACHE_DIR": str(cache),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    }


def _child(what: str, file: Path, work: Path, cache: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, __file__, f"--child={what}", *_config_flags(file)]
    return subprocess.run(
        [*command, f"--workdir={work / 'data'}"],
        env=_environment(cache),
        capture_output=True,
        text=True,
        check=False,
        timeout=_TIMEOUT.value,
    )


def _last_json(done: subprocess.CompletedProcess[str]) -> Any:
    if done.returncode:
        raise JaxposeError(_reason(done.stderr))
    return json.loads(last_line(done.stdout))


def _reason(stderr: str) -> str:
    """The first line of an error of ours, else the last line there is."""
    found = [line for line in stderr.splitlines() if line.startswith("error: ")]
    return found[0].removeprefix("error: ") if found else last_line(stderr)


if __name__ == "__main__":
    run_main(main)
