"""tools/benchmark_compile.py: compile times of a tiny network, and how a start is timed."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from jaxpose.errors import JaxposeError
from jaxpose.pipelines.benchmark_start import seconds_until_written

TOOL = Path(__file__).parents[2] / "tools" / "benchmark_compile.py"
TINY = ("model.stacks=1", "model.blocks=1", "model.features=8", "model.depth=1")


def tool(*arguments):
    command = [sys.executable, str(TOOL), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_both_programs_are_compiled_and_then_found_in_the_cache(tmp_path):
    """Each state in a process of its own; the second one is answered by what the first left."""
    file = tmp_path / "times.json"
    overrides = [f"--override={text}" for text in (*TINY, "input_size=(32,32)", "batch_size=1")]
    done = tool("--configs=quickstart", "--nostartup", f"--output={file}", *overrides)
    assert done.returncode == 0, done.stderr[-2000:]
    (row,) = json.loads(file.read_text())["rows"]
    for program in ("train", "infer"):
        states = [row[state][program]["cache"] for state in ("cold", "cached")]
        assert states == ["miss", "hit"] and row["cold"][program]["trace_seconds"] > 0
    lines = done.stdout.splitlines()
    assert "train: compile s" in lines[0] and "start of train" not in lines[0]
    assert "quickstart" in lines[2] and lines[2].count(" -> ") == 4


def test_a_config_that_is_not_there_is_one_line():
    done = tool("--configs=nothing")
    assert done.returncode == 2 and done.stderr.startswith("error: --configs=nothing: there are ")


def test_a_start_is_timed_to_the_first_line(tmp_path):
    file, log = tmp_path / "metrics.jsonl", tmp_path / "log"
    program = "import sys, time; time.sleep(0.3); open(sys.argv[1], 'w').write('x'); time.sleep(99)"
    took = seconds_until_written([sys.executable, "-c", program, str(file)], file, log)
    assert 0.3 <= took < 90  # it does not wait for the end
    ended = [sys.executable, "-c", "print('first'); raise SystemExit('no records here')"]
    with pytest.raises(JaxposeError, match="ended with: no records here"):
        seconds_until_written(ended, tmp_path / "never", log)
    with pytest.raises(JaxposeError, match="was not written in 0.2 s"):
        sleep = [sys.executable, "-c", "import time; time.sleep(99)"]
        seconds_until_written(sleep, tmp_path / "never", log, timeout=0.2)
