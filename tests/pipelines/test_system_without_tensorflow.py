"""The system is scored where TensorFlow cannot be imported, also on training data."""

import json
import shutil
import subprocess
import sys

_PROGRAM = """
import sys
for name in ("tensorflow", "tensorflow_datasets"):
    sys.modules[name] = None
from jaxpose.pipelines.evaluate_system import evaluate_system
pose, frames, output = sys.argv[1:]
evaluate_system(pose=pose, frames=frames, output_dir=output, split="train", boxes="ground_truth",
                flip_test=False, max_persons=1)
"""


def test_the_training_split_is_scored_without_tensorflow(system_networks, drawn_videos, tmp_path):
    frames = shutil.copytree(drawn_videos / "posetrack18", tmp_path / "posetrack18")
    (frames / "annotations" / "val").rename(frames / "annotations" / "train")
    arguments = [system_networks["pose"], str(frames), str(tmp_path / "out")]
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM, *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    scores = json.loads((tmp_path / "out" / "scores.json").read_text())
    assert scores["protocol"]["split"] == "train" and scores["protocol"]["videos"] == 2
    assert scores["frames_evaluated"] == scores["speed"]["frames"] > 0
    assert scores["n_pred_joints"] and (tmp_path / "out" / "report.html").is_file()
