"""tools/profile_step.py on a tiny network."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]


@pytest.mark.parametrize("mode", ["train", "infer"])
def test_shares_by_kind_and_by_name_add_up(mode):
    command = [sys.executable, "tools/profile_step.py", "--config=configs/quickstart.py:smoke"]
    command += ["--config.model.features=8", "--config.model.depth=1", "--config.batch_size=2"]
    command += ["--config.input_size=(32, 32)", "--steps=1", "--names=1000", f"--mode={mode}"]
    command += ["--config.eval.batch_size=4"]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    assert f"{mode}, batch {2 if mode == 'train' else 4}, float32" in done.stdout
    kinds, names = (part.splitlines() for part in done.stdout.split("\n\n")[1:])
    for lines in (kinds, names):
        rows = [re.fullmatch(r"(.+?) +([\d.]+) +([\d.]+) %", line) for line in lines[1:-1]]
        times = [float(row[2]) for row in rows]
        whole = float(lines[-1].split()[-1])
        assert abs(sum(times) - whole) < 0.01 * len(times)
        assert abs(sum(float(row[3]) for row in rows) - 100) < 0.1 * len(rows)
    assert any(re.match("YNNPACK|convolution", line) for line in kinds[1:-1])
