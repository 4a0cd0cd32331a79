"""`tools/measure_accelerator.sh` with a python in place that writes down what it was given."""

import os
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PYTHON = """#!/bin/bash
echo "$*" >>"$CALLS"
case "$*" in *"$FAILS"*) exit 1 ;; esac
[ "$1" = -c ] || echo figures
"""


@pytest.fixture
def asked(tmp_path):
    """Runs the script; what it called, and what it printed."""
    (tmp_path / "python").write_text(PYTHON)
    (tmp_path / "python").chmod(0o755)

    def asked(fails):
        calls = tmp_path / "calls.txt"
        calls.write_text("")
        given = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "CALLS": str(calls), "FAILS": fails}
        command = ["bash", str(ROOT / "tools/measure_accelerator.sh"), str(tmp_path / "out"), "64"]
        done = subprocess.run(command, env=given, capture_output=True, text=True, check=True)
        return calls.read_text().splitlines(), done.stdout

    return asked


def test_every_question_is_a_command_that_exists(asked):
    calls, printed = asked(fails="nothing")
    programs = [call for call in calls if not call.startswith("-c")]
    assert len(programs) == 11 == len(set(programs)) == printed.count("figures")
    for call in programs:
        source = re.search(r"tools/\w+\.py", call) or re.search(r"jaxpose\.(\w+)", call)
        file = source[0] if "/" in source[0] else f"jaxpose/{source[1]}.py"
        known = re.findall(r'DEFINE_\w+\(\s*"(\w+)"', (ROOT / file).read_text())
        for flag, value in re.findall(r"--(\w+)=(\S+)", call):
            assert flag in {*known, "config", "detector_config"}, call
            assert "config" not in flag or (ROOT / value).is_file(), value


def test_it_goes_on_where_it_stopped(asked):
    first, printed = asked(fails="mode=infer")
    assert printed.count("exit 1") == 2 and len(first) == 12
    again, printed = asked(fails="nothing")
    assert [call for call in again if "-c" not in call.split()] == [
        call for call in first if "mode=infer" in call
    ]
    assert printed.count("done before") == 9


def test_without_pytorch_there_is_no_race(asked):
    calls, printed = asked(fails="import torch")
    assert "no PyTorch" in printed and not any("compare_torch" in call for call in calls)
