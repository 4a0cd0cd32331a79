"""Fabricated runs and scores: folders as training and evaluation leave them, without a network."""

import json
import runpy
from pathlib import Path

import numpy as np
import pytest

from jaxpose.config import to_json
from jaxpose.pipelines.detection_report import DIFFICULT
from jaxpose.pipelines.table_runs import find_runs
from jaxpose.training.checkpoint import Checkpoints

REPOSITORY = Path(__file__).parents[3]
SYSTEM_OPTIONS = {
    "nms_iou": 0.45,
    "max_persons": None,
    "joint_score": "peak_times_box",
    "keypoint_threshold": 0.0,
    "oks_nms": None,
    "flip_test": True,
}


@pytest.fixture
def make_run(tmp_path):
    """Makes the run of a network: its config file's config, and a checkpoint of one number."""

    def make(network, step=15000, value=0.0, name=None, **changed):
        file, _, variant = network.config.partition(":")
        config = runpy.run_path(str(REPOSITORY / file))["get_config"](variant or None)
        if network.task != "pose":
            config.model.base_weights = "vgg16.pth"
        config.update_from_flattened_dict({k.replace("__", "."): v for k, v in changed.items()})
        folder = tmp_path / "runs" / (name or network.run)
        with Checkpoints(folder / "checkpoints") as checkpoints:
            arrays = {"params/kernel": np.array([value], np.float32)}
            checkpoints.save(step, arrays, {"step": step}, {"map": 1.0})
        (folder / "config.json").write_text(to_json(config))
        (run,) = (run for run in find_runs(folder.parent) if run.folder == folder)
        return run

    return make


@pytest.fixture
def write_detection_scores():
    """Writes the scores.json that evaluation of a detector leaves in its workdir."""

    def write(run, figures, **protocol):
        report = {f"map@{at:g}": value for at, value in figures.items()}
        report |= {"map": 50.0, "images": 50, "boxes": 120}
        report["protocol"] = {
            "data_set": "posetrack17",
            "split": "validation",
            "data_digest": "d" * 64,
            "classes": ["person"],
            "detector_classes": ["person"],
            "rule": "11point",
            "iou_threshold": 0.5,
            "plus_one": True,
            "inclusive": True,
            "difficult": DIFFICULT["ignore"],
            "score_thresholds": [0.15, 0.3, 0.5],
            "checkpoint_step": run.step,
            "checkpoint_digest": run.digest,
            "checkpoint_choice": "given",
        } | protocol
        path = run.folder / "scores.json"
        path.write_text(json.dumps(report))
        return path

    return write


@pytest.fixture
def write_system_scores(tmp_path):
    """Writes the scores.json of a system, or its protocol.json where nothing was scored."""

    def write(detector, pose, figures, name="table13", **protocol):
        folder = tmp_path / "runs" / "tables" / name
        folder.mkdir(parents=True, exist_ok=True)
        blocks = {
            role: {
                "run": run.folder.name,
                "task": run.fields["task"],
                "step": run.step,
                "checkpoint_digest": run.digest,
            }
            for role, run in (("detector", detector), ("pose", pose))
            if run
        }
        report = dict(figures) | ({"frames_evaluated": 2607} if figures else {})
        report["protocol"] = {
            "kind": "system",
            "data_set": "posetrack17",
            "split": "validation",
            "data_digest": "e" * 64,
            "videos": 50,
            "boxes": "detector" if detector else "bottom_up",
            "det_threshold": 0.15 if detector else None,
            "detector": None,
            **blocks,
            **SYSTEM_OPTIONS,
        } | protocol
        path = folder / ("scores.json" if figures else "protocol.json")
        path.write_text(json.dumps(report))
        return path

    return write
