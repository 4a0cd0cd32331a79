"""What a checkpoint's run is called, and where its evaluation goes without --output_dir."""

import shutil

import pytest

from jaxpose.errors import UsageError
from jaxpose.pipelines.evaluate_system import evaluate_system
from jaxpose.pipelines.system_protocol import run_folder, run_name


def test_a_run_is_called_as_its_folder_wherever_in_it_the_path_leads(tmp_path, monkeypatch):
    step = tmp_path / "runs" / "hourglass_mpii" / "checkpoints" / "100"
    step.mkdir(parents=True)
    workdir = step.parent.parent
    (workdir / "config.json").write_text("{}")
    for path in (workdir, step.parent, step):
        assert run_name(path) == "hourglass_mpii" and str(run_folder(path)) == str(workdir)
    monkeypatch.chdir(workdir)
    assert run_name(".") == "hourglass_mpii" == run_name("checkpoints")
    (tmp_path / "pose.npz").write_bytes(b"")
    assert run_name(tmp_path / "pose.npz") == "pose"
    assert str(run_folder(tmp_path / "pose.npz")) == str(tmp_path)


def test_results_go_beside_the_pose_network(system_networks, drawn_videos, tmp_path):
    pose = str(shutil.copy(system_networks["pose"], tmp_path / "mine.npz"))
    frames = str(drawn_videos / "posetrack17")
    report = evaluate_system(pose=pose, frames=frames, boxes="ground_truth", flip_test=False)
    assert report["protocol"]["pose"]["run"] == "mine"
    assert (tmp_path / "eval_posetrack17_validation_ground_truth" / "scores.json").exists()
    with pytest.raises(UsageError, match=r"--output_dir=.*mine.npz/x: cannot be made"):
        evaluate_system(pose=pose, frames=frames, boxes="ground_truth", output_dir=f"{pose}/x")
