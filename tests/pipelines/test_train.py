"""The real entry point on tiny drawn data: train, resume, score, restore, fine-tune."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import jax
import numpy as np
import pytest

import jaxpose
from jaxpose.config import from_json, to_json
from jaxpose.errors import CheckpointError, UsageError
from jaxpose.pipelines.evaluate import evaluate
from jaxpose.pipelines.prepare import prepare_records
from jaxpose.pipelines.train import train
from jaxpose.training.checkpoint import Checkpoints

REPOSITORY = Path(__file__).parents[2]
# What the tasks call the figure that the best checkpoint is chosen by, and what they count.
METRIC = {"pose": "pckh", "detection": "map", "bottom_up": "posetrack_total"}
COUNTED = {"pose": "people", "detection": "images", "bottom_up": "people"}
FOUND = {  # and its shape, in one image
    "pose": {"points": (15, 2), "scores": (15,)},
    "detection": {"boxes": (200, 4), "valid": (200,)},
    "bottom_up": {"points": (15, 4, 2), "limb_scores": (14, 4, 4)},
}
pose_only = pytest.mark.parametrize("task", ["pose"], indirect=True, scope="session")


def arrays(workdir, step=None):
    with Checkpoints(workdir / "checkpoints") as checkpoints:
        return checkpoints.restore(step)


def logged(workdir):
    lines = (workdir / "metrics.jsonl").read_text().splitlines()
    return [row for row in map(json.loads, lines) if "train/loss" in row]


@pytest.fixture(scope="module")
def run(fresh_config, tmp_path_factory):
    """One finished run with baselines; several tests look at it."""
    config = fresh_config()
    config.compare_baselines = True
    config.ema_decay = 0.9
    folder = tmp_path_factory.mktemp("run")
    return folder, train(config, str(folder))


def test_a_run_leaves_everything_that_a_user_expects(run):
    folder, metrics = run
    config = from_json((folder / "config.json").read_text())
    metric = METRIC[config.task]
    assert 0 <= metrics[metric] <= 100 and metrics[COUNTED[config.task]] > 2
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    losses = [row["train/loss"] for row in logged(folder)]
    assert len(losses) == 3 and losses[-1] < losses[0]
    assert [row["step"] for row in rows if f"eval/{metric}" in row] == [4, 6]
    assert {p.name for p in (folder / "checkpoints").iterdir()} >= {"2", "4", "6"}
    assert list((folder / "tensorboard").glob("events*"))
    assert cv2.imread(str(folder / "pictures" / "predictions_0000006.png")).std() > 10
    scores = json.loads((folder / "baselines.json").read_text())
    assert metric in scores["untrained"]
    if config.task == "pose":
        assert scores["untrained"]["pckh"] < scores["mean pose"]["pckh"] < 60


@pose_only
def test_evaluate_repeats_the_score_and_writes_its_protocol(run):
    folder, metrics = run
    report = evaluate(str(folder), step=6)
    assert report["pckh"] == pytest.approx(metrics["pckh"], abs=1e-6)
    written = json.loads((folder / "scores.json").read_text())
    protocol = written["protocol"]
    assert protocol["checkpoint_step"] == 6 and len(protocol["checkpoint_digest"]) == 64
    assert protocol["data_set"] == "posetrack18" and protocol["split"] == "validation"
    assert protocol["joints"] == "15 common (network 15, data set 17)"
    assert protocol["flip_test"] is True and "ground truth" in protocol["boxes"]
    plain = evaluate(str(folder), step=6, flip_test=False, split="train", batch_size=4)
    assert plain["people"] != report["people"] and plain["protocol"]["split"] == "train"


@pytest.mark.parametrize("task", ["detection"], indirect=True, scope="session")
def test_evaluate_sweeps_a_detectors_thresholds(run, capsys):
    folder, metrics = run
    report = evaluate(str(folder), step=6, score_thresholds=(0.02, 0.999))
    assert report["map"] == pytest.approx(metrics["map"], abs=1e-6)
    lines = capsys.readouterr().out.splitlines()
    assert any(re.fullmatch(r"0.02 +0\.\d\d", line) for line in lines), lines
    assert any(re.fullmatch(r"0.999 +N/A", line) for line in lines)
    protocol = json.loads((folder / "scores.json").read_text())["protocol"]
    assert protocol["classes"] == ["person"] and "11point" in protocol["map"]
    assert any("person boxes" in note for note in protocol["notes"])
    assert protocol["checkpoint_choice"] == "given" and protocol["run"] == folder.name
    with pytest.raises(UsageError, match="--flip_test"):
        evaluate(str(folder), flip_test=True)
    options = {"rule": "area", "plus_one": False, "inclusive": False, "difficult": "count"}
    other = evaluate(str(folder), split="train", **options)
    assert other["protocol"]["checkpoint_choice"].startswith("best map of posetrack18 validation")
    assert (folder / "eval_posetrack18_train" / "scores.json").exists()
    assert "area" in other["protocol"]["map"] and "like others" in other["protocol"]["difficult"]


def test_restore_takes_the_averaged_weights_and_predicts(run):
    folder, _ = run
    restored, saved = jaxpose.restore(folder, step=6), arrays(folder, 6).arrays
    flat = {
        "/".join(key.key for key in path): leaf
        for path, leaf in jax.tree_util.tree_leaves_with_path(restored.variables["params"])
    }
    for name, leaf in flat.items():
        np.testing.assert_array_equal(leaf, saved[f"ema/{name}"])
    assert any((saved[f"ema/{n}"] != saved[f"params/{n}"]).any() for n in flat)
    images = np.random.default_rng(0).integers(0, 255, (3, 90, 60, 3), np.uint8)
    found = restored.predict(images)
    shapes = {name: found[name].shape[1:] for name in FOUND[restored.config.task]}
    assert shapes == FOUND[restored.config.task] and len(found["scores"]) == 3
    for path in (folder / "checkpoints", folder / "checkpoints" / "6"):
        again = jaxpose.restore(path, step=6).predict(images)
        for name, values in found.items():
            np.testing.assert_array_equal(again[name], values)
    with pytest.raises(ValueError, match="uint8"):
        restored.predict(images.astype(np.float32))
    with pytest.raises(CheckpointError, match="no checkpoint step 5"):
        jaxpose.restore(folder, step=5)


@pytest.mark.parametrize("half", [[], ["--half", "--dtype=bfloat16"]])
def test_one_file_restores_like_the_workdir(run, tmp_path, half):
    folder, file = run[0], tmp_path / "network.npz"
    command = [sys.executable, "tools/export_weights.py", str(folder), str(file), "--step=6", *half]
    subprocess.run(command, check=True, cwd=REPOSITORY, capture_output=True)
    restored, whole = jaxpose.restore(file), jaxpose.restore(folder, step=6)
    assert restored.step == 6 and whole.config.data_dir
    whole.config.data_dir, whole.config.model.dtype = "", "bfloat16" if half else "float32"
    assert restored.config.to_dict() == whole.config.to_dict()
    leaves = zip(jax.tree.leaves(restored.variables), jax.tree.leaves(whole.variables), strict=True)
    for one, other in leaves:
        assert one.dtype == other.dtype
        np.testing.assert_allclose(one, other, rtol=2**-11 if half else 0, atol=1e-7 * bool(half))
    assert restored.predict(np.zeros((1, 64, 64, 3), np.uint8))
    with pytest.raises(CheckpointError, match="holds step 6, not 4"):
        jaxpose.restore(file, step=4)
    content = bytearray(file.read_bytes())
    with np.load(file) as arrays:
        largest = max(arrays.values(), key=lambda array: array.nbytes)
    content[content.find(largest.tobytes()) + largest.nbytes // 2] ^= 1
    file.write_bytes(content)
    with pytest.raises(CheckpointError, match="network.npz is"):
        jaxpose.restore(file)


def test_restore_says_what_is_wrong_with_a_config(run, tmp_path):
    folder, _ = run
    shutil.copytree(folder, tmp_path / "copy")
    file = tmp_path / "copy/config.json"
    text = file.read_text()
    file.write_text(text[: len(text) // 2])
    with pytest.raises(CheckpointError, match=r"config.json is damaged \(JSONDecodeError"):
        jaxpose.restore(tmp_path / "copy")
    config = json.loads(text)
    config["model"].update({"features": 32} if config["task"] == "pose" else {"width": 0.25})
    file.write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match=r"not those of the network.*shape .*expected"):
        jaxpose.restore(tmp_path / "copy")


def test_resuming_equals_an_uninterrupted_run_bit_for_bit(run, config, tmp_path):
    folder, _ = run
    config.ema_decay = 0.9
    config.steps = 3
    train(config, str(tmp_path))
    config.steps = 6
    train(config, str(tmp_path))
    one, other = arrays(folder, 6).arrays, arrays(tmp_path, 6).arrays
    assert {n: a.dtype for n, a in one.items()} == {n: a.dtype for n, a in other.items()}
    apart = {n: np.abs(one[n] - a).max() for n, a in other.items() if (one[n] != a).any()}
    assert not apart, (apart, logged(folder), logged(tmp_path))


def test_a_finished_run_trains_no_further(run, config, capsys):
    folder, metrics = run
    config.ema_decay = 0.9
    again, metric = train(config, str(folder)), METRIC[config.task]
    assert again[metric] == pytest.approx(metrics[metric], abs=1e-6)
    assert "resuming from step 6" in capsys.readouterr().out


def test_a_workdir_is_not_continued_as_another_run(run, config):
    folder, _ = run
    config.batch_size //= 2
    with pytest.raises(UsageError, match="another batch_size; choose another --workdir"):
        train(config, str(folder))


@pose_only
def test_fine_tuning_lists_what_does_not_fit(run, config, tmp_path, capsys):
    folder, _ = run
    config.skeleton = "mpii"
    config.data.train, config.data.eval = ("mpii",), "posetrack18"
    config.init_from = str(folder)
    config.steps = 1
    with pytest.raises(CheckpointError, match="stack0/heatmaps/kernel.*init_skip"):
        train(config, str(tmp_path / "a"))
    config.init_skip = ("stack0/heatmaps",)
    train(config, str(tmp_path / "b"))
    assert "2 left as drawn" in capsys.readouterr().out


def test_shards_train_the_same_network_without_tensorflow(run, config, tmp_path):
    """The process blocks the import of TensorFlow; the losses equal those from TFRecords."""
    config.data.source = "shards"
    prepare_records(config, tmp_path)
    program = f"""
import sys
for name in ("tensorflow", "tensorflow_datasets"):
    sys.modules[name] = None
from jaxpose.config import from_json
from jaxpose.pipelines.train import train
text = open({str(tmp_path / "config.json")!r}).read()
train(from_json(text), {str(tmp_path / "run")!r})
"""
    config.steps = 4
    config.ema_decay = 0.9
    (tmp_path / "config.json").write_text(to_json(config))
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    rows = [logged(folder) for folder in (run[0], tmp_path / "run")]
    losses = [{r["step"]: r["train/loss"] for r in part} for part in rows]
    assert losses[1][2] == pytest.approx(losses[0][2], rel=0.02)


@pose_only
def test_verb_runs_as_documented(config, data, tmp_path):
    """`python -m jaxpose.evaluate` on a folder without a run: exit code 4 and one line."""
    done = subprocess.run(
        [sys.executable, "-m", "jaxpose.evaluate", f"--workdir={tmp_path}"],
        capture_output=True,
        text=True,
        check=False,
        cwd=REPOSITORY,
    )
    assert done.returncode == 4 and len(done.stderr.strip().splitlines()) == 1, done.stderr
