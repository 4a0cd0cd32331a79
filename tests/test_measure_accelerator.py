"""`tools/measure_accelerator.sh` with a python in place that writes down what it was given."""

import os
import re
import subprocess
import sys
from pathlib import Path

import cv2
import pytest

ROOT = Path(__file__).parents[1]
PYTHON = """#!/bin/bash
echo "$*" >>"$CALLS"
echo "$JAX_COMPILATION_CACHE_DIR $TORCHINDUCTOR_CACHE_DIR" >"$CALLS.caches"
case "$*" in *"$FAILS"*) exit 1 ;; esac
[ "$1" = -c ] || echo figures
"""


@pytest.fixture
def asked(tmp_path):
    """Runs the script for several batch sizes; what it called, and what it printed."""
    (tmp_path / "python").write_text(PYTHON)
    (tmp_path / "python").chmod(0o755)

    def asked(fails):
        calls = tmp_path / "calls.txt"
        calls.write_text("")
        given = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "CALLS": str(calls), "FAILS": fails}
        command = [
            "bash",
            str(ROOT / "tools/measure_accelerator.sh"),
            str(tmp_path / "out"),
            "32,64",
        ]
        done = subprocess.run(command, env=given, capture_output=True, text=True, check=True)
        return calls.read_text().splitlines(), done.stdout

    return asked


def test_every_question_is_a_command_that_exists(asked):
    calls, printed = asked(fails="nothing")
    programs = [call for call in calls if not call.startswith("-c")]
    assert len(programs) == 21 == len(set(programs)) == printed.count("figures")
    for call in programs:
        source = re.search(r"tools/\w+\.py", call) or re.search(r"jaxpose\.(\w+)", call)
        file = source[0] if "/" in source[0] else f"jaxpose/{source[1]}.py"
        known = re.findall(r'DEFINE_\w+\(\s*"(\w+)"', (ROOT / file).read_text())
        for flag, value in re.findall(r"--(\w+)=(\S+)", call):
            assert flag in {*known, "config", "detector_config"}, call
            assert "config" not in flag or (ROOT / value).is_file(), value


def test_it_goes_on_where_it_stopped(asked):
    first, printed = asked(fails="mode=infer")
    assert printed.count("exit 1") == 4 and len(first) == 22
    again, printed = asked(fails="nothing")
    assert [call for call in again if "-c" not in call.split()] == [
        call for call in first if "mode=infer" in call
    ]
    assert printed.count("done before") == 17


def test_without_pytorch_there_is_no_race(asked):
    calls, printed = asked(fails="import torch")
    assert "no PyTorch" in printed and not any("compare_torch" in call for call in calls)


def test_several_batch_sizes_go_to_each_network(asked):
    calls, _ = asked(fails="nothing")
    for mode in ("step", "infer"):
        of_mode = [call for call in calls if f"--mode={mode}" in call]
        assert [call.count("--batch_sizes=32 ") for call in of_mode] == [1, 1, 0, 0]
        assert [call.count("--batch_sizes=64 ") for call in of_mode] == [0, 0, 1, 1]
    races = [call for call in calls if "compare_torch" in call]
    assert len(races) == 4
    assert sum("--forward_batches=64 --train_batches=64 " in call for call in races) == 2
    profiles = [call for call in calls if "profile_step" in call]
    assert len(profiles) == 2 and all("--config.batch_size=32 " in call for call in profiles)


def test_predict_reads_a_video_too(asked, tmp_path):
    calls, _ = asked(fails="nothing")
    video = tmp_path / "out/video.mp4"
    predicts = [call for call in calls if "--mode=predict" in call]
    assert len(predicts) == 5 and all("--dtypes=bfloat16" in call for call in predicts)
    assert predicts[0].endswith(f" {video}") and f"tools/make_video.py {video}" in calls
    caches = (tmp_path / "calls.txt.caches").read_text().split()
    assert caches == [str(tmp_path / "out" / name) for name in ("compiled", "compiled_torch")]


def test_the_video_is_drawn(tmp_path):
    file = tmp_path / "new/clip.mp4"
    command = [sys.executable, "tools/make_video.py", str(file), "--seconds=2", "--size=96,64"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and "50 frames, 96 x 64 px" in done.stdout, done.stderr
    film = cv2.VideoCapture(str(file))
    frames = [film.read()[1] for _ in range(50)]
    assert not film.read()[0] and film.get(cv2.CAP_PROP_FPS) == 25
    assert frames[0].shape == (64, 96, 3) and abs(frames[0].astype(int) - frames[24]).mean() > 1
    done = subprocess.run([*command, "--size=95,64"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2 and "--size=95,64: give width,height" in done.stderr
