"""`python -m jaxpose.evaluate`: which flags go together, as one line and an exit code."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ([], 2, "--pose=DIR of the system, or --workdir=DIR of a training run, is missing"),
        (["--workdir=a", "--boxes=detector"], 2, "--boxes is of the system; it has no meaning"),
        (["--workdir=a", "--pose=b"], 2, "--pose is of the system"),
        (["--pose=a", "--frames=b", "--rule=area"], 2, "--rule is of one network"),
        (["--pose=a"], 2, "--frames=FOLDER of PoseTrack's original files is missing"),
        (["--workdir=a", "--score_thresholds=0.2,x"], 2, "--score_thresholds='0.2,x'"),
        (["--pose=a", "--frames=b", "c"], 2, "unexpected argument 'c'"),
    ],
)
def test_flags_that_do_not_fit_are_one_line(arguments, code, words):
    command = [sys.executable, "-m", "jaxpose.evaluate", *arguments]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == code and words in done.stderr, done.stderr
    assert done.stderr.count("\n") == 1 and not done.stdout


def test_a_folder_without_a_checkpoint_is_an_error_of_checkpoints(tmp_path, drawn_videos):
    frames = f"--frames={drawn_videos / 'posetrack17'}"
    arguments = [f"--pose={tmp_path}", frames, "--boxes=ground_truth"]
    command = [sys.executable, "-m", "jaxpose.evaluate", *arguments]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 4 and done.stderr.count("\n") == 1, done.stderr
    assert done.stderr.startswith(f"error: no checkpoint in {tmp_path}")
