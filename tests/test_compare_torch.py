"""tools/compare_torch.py with contenders in place that take no time, so without PyTorch."""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
# The network of batch 2 fails, as for lack of memory; batch 3 reads what was written before it.
PROGRAM = """
import sys, types
from pathlib import Path
from jaxpose.errors import run_main

def ours(network, mode, batch, dtype, width):
    if batch == 3:
        print("BEFORE", Path(sys.argv[1].partition("=")[2]).read_text())
    return (lambda: 1 // 0) if batch == 2 else (lambda: None)

stand_in = types.ModuleType("race_contenders")
stand_in.ours, stand_in.hardware = ours, lambda threads: "hardware"
stand_in.torch_twin, stand_in.release = lambda *given: lambda: None, lambda: print("RELEASED")
sys.modules["race_contenders"] = stand_in
sys.path.insert(0, "tools")
import compare_torch
run_main(compare_torch.main)
"""


def test_every_race_is_kept_and_told_whatever_fails(tmp_path):
    file = tmp_path / "race.json"
    command = [sys.executable, "-c", PROGRAM, f"--output={file}", "--networks=ssd300"]
    command += ["--forward_batches=1,2,3", "--train_batches=", "--rounds=2"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    before = json.loads(next(x for x in lines if x.startswith("BEFORE")).partition(" ")[2])["rows"]
    rows = json.loads(file.read_text())["rows"]
    assert before == rows[:2] and [row["batch"] for row in rows] == [1, 2, 3]
    assert lines.count("RELEASED") == 3  # so that no race runs on what another compiled
    cells = [
        [c.strip() for c in line.strip("|").split("|")] for line in lines if "| ssd300" in line
    ]
    assert [row[4].split()[-1] for row in cells] == ["ms", "failed", "ms"]
    assert cells[1][6] == "-" and "jaxpose failed: " in cells[1][7] and "zero" in cells[1][7]
