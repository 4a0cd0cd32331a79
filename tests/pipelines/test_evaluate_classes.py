"""`python -m jaxpose.evaluate --dataset` of a detector of other classes: its class `person` counts.

Table 2 of the report so scores a detector of VOC's 20 classes on people.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import optax
import pytest

from jaxpose.config import to_json
from jaxpose.pipelines.record_sets import drawn_folder
from jaxpose.tasks import make_task
from jaxpose.training.checkpoint import Checkpoints
from jaxpose.training.leaves import flatten_tree
from jaxpose.training.state import init_state

REPOSITORY = Path(__file__).parents[2]
# Of background, a class and `person` in every default box that may hold a drawn person.
PROBABILITIES = (0.1, 0.6, 0.3)
LARGE = 2  # the source map of such default boxes; the others hold only background
MOST = 90  # detections of an image: NMS leaves 94 default boxes of each class
detection_only = pytest.mark.parametrize("task", ["detection"], indirect=True, scope="session")


def head(path, value, classes):
    """Heads that see nothing: every default box is itself, and each class has its probability."""
    layer, name = path.split("/")[-2:]
    if not layer.startswith(("conf_", "loc_")):
        return value
    if layer.startswith("loc_") or name == "kernel":
        return np.zeros_like(value)
    background, first, second = PROBABILITIES
    large = layer == f"conf_{LARGE}"
    rest = [second if name == "person" else first for name in classes]
    logits = np.log([background, *(rest if large else [1e-5] * len(rest))])
    return np.tile(logits, len(value) // len(logits)).astype(value.dtype)


@pytest.fixture
def evaluated(config, data, tmp_path):
    """The command on a run whose detector has these classes and that was scored on VOC."""

    def evaluated(classes, *flags):
        config.classes, config.data.train, config.data.eval = classes, ("voc",), "voc"
        config.eval.classes = classes
        config.model.batch_norm, config.detect.max_outputs = True, MOST
        config.input_size = (300, 300)
        task = make_task(config)
        state = init_state(task.model, task.input_shape, task.initial_value, optax.identity(), 0)
        params = {path: head(path, value, classes) for path, value in state.params.items()}
        folder = tmp_path / "run"
        with Checkpoints(folder / "checkpoints") as checkpoints:
            checkpoints.save(3, flatten_tree(state._replace(params=params)), {"step": 3})
        (folder / "config.json").write_text(to_json(config))
        command = [sys.executable, "-m", "jaxpose.evaluate", f"--workdir={folder}"]
        flags = ("--dataset=posetrack18", f"--data_dir={drawn_folder(str(data), folder)}", *flags)
        environment = os.environ | {"PYTHONPATH": str(REPOSITORY)}
        done = subprocess.run([*command, *flags], capture_output=True, text=True, env=environment)
        return done, folder / "eval_posetrack18_validation" / "scores.json"

    return evaluated


@detection_only
def test_the_class_person_is_scored_among_others(evaluated):
    done, file = evaluated(("cat", "person"), "--score_thresholds=0.2,0.5")
    assert done.returncode == 0, done.stderr
    report = json.loads(file.read_text())
    assert report["protocol"]["classes"] == ["person"]
    assert report["protocol"]["detector_classes"] == ["cat", "person"]
    assert 0 < report["map"] == report["ap_person"] and "ap_cat" not in report
    # Cats score 0.6 in the same boxes: none is counted, nor do they take the places of people.
    assert report["map@0.2"] == report["map"] and "map@0.5" not in report
    lines = done.stdout.splitlines()
    assert any(line.split() == ["0.5", "N/A"] for line in lines), lines
    assert f"AP person: {report['ap_person']:.2f}" in lines


@detection_only
def test_a_detector_without_a_person_is_refused(evaluated):
    done, file = evaluated(("cat", "dog"))
    assert done.returncode == 2 and done.stderr.count("\n") == 1, done.stderr
    assert "the detector finds cat, dog, posetrack18 has person" in done.stderr
    assert not file.exists() and not done.stdout
