"""A handful of faults on the real command; `tools/fault_campaign.py` runs many, by hand."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from jaxpose.defaults import DEFAULTS

REPOSITORY = Path(__file__).parents[2]


@pytest.mark.parametrize("task", DEFAULTS)
def test_kills_signals_and_flipped_bits_are_survived(task, tmp_path):
    # How a signal is obeyed does not depend on the task.
    signals = 1 if task == "pose" else 0
    command = [sys.executable, "tools/fault_campaign.py", f"--task={task}", "--steps=12"]
    numbers = [
        "--source=shards",
        "--kills=3",
        f"--signals={signals}",
        "--flips=6",
        "--nodamages",
        f"--folder={tmp_path}",
    ]
    # Compiled as lazily as conftest.py says, the detector's augmentation runs ten times as long.
    environment = os.environ | {"XLA_FLAGS": "--xla_backend_optimization_level=1"}
    done = subprocess.run(
        [*command, *numbers],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        cwd=REPOSITORY,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    table = dict(re.findall(r"^(\S.*?)\s{2,}(\d+)$", done.stdout, re.MULTILINE))
    expected = {
        "kills": "3",
        "failed resumes": "0",
        "arrays that differ": "0",
        "bits flipped": "6",
        "detected": "6",
        "wrong weights loaded": "0",
    }
    if signals:
        expected |= {"SIGTERMs": "3", "saved": "3"}
    assert {name: table[name] for name in expected} == expected, done.stdout
