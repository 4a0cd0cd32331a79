"""The plan of the smoke run, its drawn data, and how its commands are run; nothing is trained."""

import json
import sys
from pathlib import Path

import pytest

from jaxpose.annotations.json_files import write_json
from jaxpose.annotations.posetrack17 import read_posetrack17
from jaxpose.annotations.schema import Rejections
from jaxpose.data.sources import Source, read_source
from jaxpose.errors import PreemptedError, SomeInputsFailedError
from jaxpose.pipelines.report_tables import NETWORKS, TABLES
from jaxpose.pipelines.reproduce_tables import reproduce_small
from jaxpose.pipelines.table_commands import Command
from jaxpose.pipelines.table_drawing import Amount, draw_sets
from jaxpose.pipelines.table_execution import execute, phase_of, time_lines
from jaxpose.pipelines.table_runs import recipe_of
from jaxpose.pipelines.table_smoke import changes, small_tables

REPOSITORY = Path(__file__).parents[3]


def test_the_plan_makes_every_row(tmp_path):
    report = reproduce_small([], tmp_path / "smoke", REPOSITORY, make=False)
    assert "NOT comparable" in report.head[0]
    assert len(report.tables) == 15 and not any(c.figures for f in report.tables for c in f.cells)
    phases = [phase_of(command) for command in report.commands]
    expected = {"records": 6, "train": 13, "score detectors": 7, "score systems": 10}
    assert {phase: phases.count(phase) for phase in dict.fromkeys(phases)} == expected
    assert {n for command in report.commands for n in command.tables} == set(range(1, 16))
    assert not any("$" in word for command in report.commands for word in command.words)
    assert not (tmp_path / "smoke").exists()


def test_the_plan_needs_no_tensorflow(tmp_path):
    commands = reproduce_small([], tmp_path / "smoke", REPOSITORY, make=False).commands
    for command in commands:
        phase = phase_of(command)
        assert ("--format=shards" in command.words) == (phase == "records")
        assert ("--config.data.source=shards" in command.words) == (phase == "train")
    built = tmp_path / "smoke/records/mpii/images-shards/1.0.0"
    write_json(built / "manifest.json", {})
    again = reproduce_small([], tmp_path / "smoke", REPOSITORY, make=False).commands
    assert len(again) == len(commands) - 1, "what is built as shards is not built again"


def test_one_table_of_the_plan(tmp_path):
    (six,) = reproduce_small([6], tmp_path, REPOSITORY, make=False).tables
    assert six.cells[0].reason == "not trained yet: openpose_mpii" and six.ours == "smoke run"
    commands = reproduce_small([6], tmp_path, REPOSITORY, make=False).commands
    phases = [phase_of(command) for command in commands]
    assert phases == ["records", "records", "train", "score systems"]
    assert commands[-1].words[2] == f"--pose={tmp_path}/openpose_mpii"
    assert commands[-1].words[-1] == f"--output_dir={tmp_path}/tables/table06"


def test_small_networks_are_what_the_flags_make_of_the_configs():
    small = {n.run: n for t in small_tables() for r in t.rows for n in (r.detector, r.pose) if n}
    assert small.keys() == NETWORKS.keys()
    for run, network in small.items():
        recipe, changed = recipe_of(network, REPOSITORY), changes(network)
        assert changed.keys() <= recipe.keys(), "a flag of no field"
        assert dict(network.facts) == {name: (recipe | changed)[name] for name in network.facts}
        assert network.facts != NETWORKS[run].facts
    published = [[row.published for row in table.rows] for table in small_tables()]
    assert published == [[row.published for row in table.rows] for table in TABLES]


def test_drawn_sets_are_read_by_the_readers_of_the_real_ones(tmp_path):
    amount = Amount(train_videos=2, validation_videos=1, frames=3, size=(96, 72))
    sources = draw_sets(tmp_path / "drawn", amount)
    for name, folder in sources.items():
        splits = read_source(name, Source(Path(folder)), Rejections())
        assert set(splits) == {"train", "validation"}
        for split in splits.values():
            frames = split.annotations.frames
            assert frames and all((split.images / f.filename).is_file() for f in frames)
    folder = Path(sources["posetrack17"])
    (test,) = (folder / "annotations/test").glob("*.json")
    frames = read_posetrack17(test).frames
    assert len(frames) == 3 and any(frame.persons for frame in frames)
    assert all((folder / frame.filename).is_file() for frame in frames)
    before = test.stat().st_mtime_ns
    draw_sets(tmp_path / "drawn", amount)
    assert test.stat().st_mtime_ns == before
    draw_sets(tmp_path / "drawn", amount, seed=1)
    assert test.stat().st_mtime_ns != before


def python(code):
    return Command(("-c", code), (1,))


def test_commands_run_in_order_and_are_timed(tmp_path, capfd, monkeypatch):
    monkeypatch.delenv("JAX_COMPILATION_CACHE_DIR", raising=False)
    code = "import os; print(os.environ['JAX_COMPILATION_CACHE_DIR'], flush=True)"
    execute([python(code), python("print('second')")], tmp_path, REPOSITORY)
    logs = sorted((tmp_path / "logs").glob("*.log"))
    assert [log.read_text().strip() for log in logs] == [str(tmp_path / "compiled"), "second"]
    assert capfd.readouterr().out.count("of processor time") == 2
    rows = [json.loads(line) for line in (tmp_path / "times.jsonl").read_text().splitlines()]
    assert [row["phase"] for row in rows] == ["records"] * 2
    assert all(row["seconds"] > 0 and row["processor_seconds"] > 0 for row in rows)
    assert time_lines(tmp_path)[-1].split()[:2] == ["together", "2"]
    execute([python("print('third')")], tmp_path, REPOSITORY)
    assert len(list((tmp_path / "logs").glob("*.log"))) == 3


def test_a_command_that_fails_ends_the_run(tmp_path):
    failing = python("import sys; print('what went wrong'); sys.exit(3)")
    with pytest.raises(SomeInputsFailedError, match=r"ended with code 3.*what went wrong"):
        execute([failing, python("print('never')")], tmp_path, REPOSITORY)
    assert len(list((tmp_path / "logs").glob("*.log"))) == 1


def test_a_command_that_was_stopped(tmp_path):
    with pytest.raises(PreemptedError, match="goes on from here"):
        execute([python("import sys; sys.exit(75)")], tmp_path, REPOSITORY)


def test_commands_find_the_package(tmp_path):
    execute([python("import jaxpose; print(jaxpose.__file__)")], tmp_path, REPOSITORY)
    (log,) = (tmp_path / "logs").glob("*.log")
    assert Path(log.read_text().strip()).parent == REPOSITORY / "jaxpose"
    assert sys.executable
