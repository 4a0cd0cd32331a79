"""tools/compare_torch.py with contenders in place that take no time, so without PyTorch."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# The network of batch 2 fails, as for lack of memory; of batch 4 its process ends; batch 3 reads
# what was written before it.
OURS = """
import os, sys
from pathlib import Path
hardware = "cpu (stand-in), {} threads".format

def release():
    print("RELEASED", flush=True)

def contender(setting, network, mode, batch, dtype, width):
    if batch == 3:
        print("BEFORE", Path(os.environ["RACE_FILE"]).read_text(), flush=True)
    return {2: lambda: 1 // 0, 4: lambda: os._exit(9)}.get(batch, lambda: None)
"""
TWIN = """
hardware = "torch (stand-in), {} threads".format
release = lambda: None
contender = lambda *given: lambda: None
"""
PROGRAM = """
import sys
sys.path[:0] = [sys.argv.pop(1), "tools"]
import compare_torch
from jaxpose.errors import run_main
run_main(compare_torch.main)
"""


@pytest.fixture
def race(tmp_path):
    """Runs the tool with flags; PyTorch is an empty module."""
    for name, text in (("race_ours", OURS), ("race_twin", TWIN), ("torch", "")):
        (tmp_path / f"{name}.py").write_text(text)

    def run(*flags):
        command = [sys.executable, "-c", PROGRAM, str(tmp_path), *flags, "--train_batches="]
        environment = os.environ | {"RACE_FILE": str(tmp_path / "race.json")}
        return subprocess.run(
            command, cwd=ROOT, capture_output=True, text=True, check=False, env=environment
        )

    return run


def test_every_race_is_kept_and_told_whatever_fails(race, tmp_path):
    file = tmp_path / "race.json"
    options = ("--forward_batches=1,2,3,4,1", "--rounds=2", "--threads=1")
    done = race(f"--output={file}", "--networks=ssd300", *options)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert "cpu (stand-in), 1 threads; torch (stand-in), 1 threads; random weights" in lines[0]
    before = json.loads(next(x for x in lines if x.startswith("BEFORE")).partition(" ")[2])["rows"]
    rows = json.loads(file.read_text())["rows"]
    assert before == rows[:2] and [row["batch"] for row in rows] == [1, 2, 3, 4, 1]
    assert lines.count("RELEASED") == 5  # so that no race runs on what another compiled
    cells = [
        [c.strip() for c in line.strip("|").split("|")] for line in lines if "| ssd300" in line
    ]
    assert [row[4].split()[-1] for row in cells] == ["ms", "failed", "ms", "failed", "ms"]
    assert cells[1][6] == "-" and "jaxpose failed: " in cells[1][7] and "zero" in cells[1][7]
    assert "jaxpose failed: its process ended with exit code 9" in cells[3][7]
    assert all("ms (torch" in row[5] for row in cells)


def test_unknown_networks_are_one_line(race):
    done = race("--networks=ssd301")
    assert done.returncode == 2 and "unknown network ssd301" in done.stderr.splitlines()[0]
