"""The real entry point on tiny drawn data: train, resume, score, restore, fine-tune."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import jax
import numpy as np
import pytest

import jaxpose
from jaxpose.errors import CheckpointError, DataError, UsageError
from jaxpose.pipelines.evaluate import evaluate
from jaxpose.pipelines.prepare import prepare_records
from jaxpose.pipelines.train import make_plan, train
from jaxpose.training.checkpoint import Checkpoints

REPOSITORY = Path(__file__).parents[2]


def arrays(workdir, step=None):
    with Checkpoints(workdir / "checkpoints") as checkpoints:
        return checkpoints.restore(step)


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
    assert 0 <= metrics["pckh"] <= 100 and metrics["people"] > 4
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    losses = [row["train/loss"] for row in rows if "train/loss" in row]
    assert len(losses) == 3 and losses[-1] < losses[0]
    assert [row["step"] for row in rows if "eval/pckh" in row] == [4, 6]
    assert {p.name for p in (folder / "checkpoints").iterdir()} >= {"2", "4", "6"}
    assert list((folder / "tensorboard").glob("events*"))
    assert cv2.imread(str(folder / "pictures" / "predictions_0000006.png")).std() > 10
    scores = json.loads((folder / "baselines.json").read_text())
    assert scores["untrained"]["pckh"] < scores["mean pose"]["pckh"] < 60


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


def test_restore_takes_the_averaged_weights_and_predicts(run):
    folder, _ = run
    restored = jaxpose.restore(folder, step=6)
    saved = arrays(folder, 6).arrays
    flat = {
        "/".join(key.key for key in path): leaf
        for path, leaf in jax.tree_util.tree_leaves_with_path(restored.variables["params"])
    }
    for name, leaf in flat.items():
        np.testing.assert_array_equal(leaf, saved[f"ema/{name}"])
    assert any((saved[f"ema/{n}"] != saved[f"params/{n}"]).any() for n in flat)
    images = np.random.default_rng(0).integers(0, 255, (3, 90, 60, 3), np.uint8)
    found = restored.predict(images)
    assert found["points"].shape == (3, 15, 2) and found["scores"].shape == (3, 15)
    for path in (folder / "checkpoints", folder / "checkpoints" / "6"):
        again = jaxpose.restore(path, step=6).predict(images)
        np.testing.assert_array_equal(again["points"], found["points"])
    with pytest.raises(ValueError, match="uint8"):
        restored.predict(images.astype(np.float32))
    with pytest.raises(CheckpointError, match="no checkpoint step 5"):
        jaxpose.restore(folder, step=5)


def test_restore_says_what_is_wrong_with_a_config(run, tmp_path):
    folder, _ = run
    shutil.copytree(folder, tmp_path / "copy")
    file = tmp_path / "copy/config.json"
    text = file.read_text()
    file.write_text(text[: len(text) // 2])
    with pytest.raises(CheckpointError, match=r"config.json is damaged \(JSONDecodeError"):
        jaxpose.restore(tmp_path / "copy")
    config = json.loads(text)
    config["model"]["features"] = 32
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
    one, other = arrays(folder, 6), arrays(tmp_path, 6)
    assert set(one.arrays) == set(other.arrays)
    for name, array in one.arrays.items():
        assert array.dtype == other.arrays[name].dtype
        np.testing.assert_array_equal(array, other.arrays[name], err_msg=name)


def test_a_finished_run_trains_no_further(run, config, capsys):
    folder, metrics = run
    config.ema_decay = 0.9
    again = train(config, str(folder))
    assert again["pckh"] == pytest.approx(metrics["pckh"], abs=1e-6)
    assert "resuming from step 6" in capsys.readouterr().out


def test_a_workdir_is_not_continued_as_another_run(run, config):
    folder, _ = run
    config.batch_size = 4
    with pytest.raises(UsageError, match="another batch_size; choose another --workdir"):
        train(config, str(folder))


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
    from jaxpose.config import to_json

    config.steps = 4
    config.ema_decay = 0.9
    (tmp_path / "config.json").write_text(to_json(config))
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    rows = [
        [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
        for folder in (run[0], tmp_path / "run")
    ]
    losses = [{r["step"]: r["train/loss"] for r in part if "train/loss" in r} for part in rows]
    assert losses[1][2] == pytest.approx(losses[0][2], rel=0.02)


def test_missing_records_say_how_to_get_them(config, tmp_path):
    config.data_dir = str(tmp_path / "empty")
    config.data.synthetic.train_videos = 0
    with pytest.raises(DataError) as caught:
        train(config, str(tmp_path / "run"))
    text = str(caught.value)
    for part in ("posetrack18", "mpii", "build_records.py", "posetrack.net", "disk", "time"):
        assert part in text, part


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"task": "poses"}, "config.task"),
        ({"non_finite": "Stop"}, "config.non_finite"),
        ({"model": {"dtype": "bf16"}}, "config.model.dtype"),
        ({"seed": -1}, "config.seed"),
        ({"skeleton": "mpi"}, "config.skeleton"),
        ({"input_size": (60, 64)}, "divisible"),
    ],
)
def test_wrong_configs_are_refused_before_training(config, tmp_path, change, expected):
    config.update(change)
    with pytest.raises(UsageError, match=expected):
        train(config, str(tmp_path))


def test_plan_prefers_steps_to_epochs(config):
    config.steps, config.epochs = 0, 2.5
    config.eval.update(every_steps=0, every_epochs=1.0)
    plan = make_plan(config, steps_per_epoch=12.4)
    assert (plan.total, plan.eval_every, plan.save_every) == (31, 12, 2)


def test_custom_sets_are_converted_on_first_use(config, data, tmp_path):
    """Any joint names: the drawn set renamed and written as COCO, trained on as `mine`."""
    from jaxpose.annotations.coco import write_coco_keypoints
    from jaxpose.annotations.posetrack18 import read_posetrack18
    from jaxpose.annotations.schema import AnnotationSet
    from jaxpose.skeletons import Skeleton

    for split in ("train", "val"):
        drawn = read_posetrack18(
            data / "drawn_people" / "drawn" / "posetrack18" / "annotations" / split
        )
        names = tuple(f"{joint}_x" for joint in drawn.skeleton.joints)
        renamed = AnnotationSet(Skeleton("mine", names), drawn.frames)
        write_coco_keypoints(tmp_path / f"{split}.json", renamed)
    images = str(data / "drawn_people" / "drawn" / "posetrack18")
    config.data.synthetic.train_videos = 0
    config.data.custom.update(
        train_json=str(tmp_path / "train.json"),
        train_images=images,
        validation_json=str(tmp_path / "val.json"),
    )
    config.data_dir, config.data.train, config.data.eval = str(tmp_path), ("mine",), "mine"
    config.data.custom.name = "mine"
    config.skeleton = "data"
    records = prepare_records(config, tmp_path)
    assert records.config.joints[0] == "nose_x" and len(records.config.joints) == 17
    batch = next(records.train(0))
    assert batch["keypoints"].shape == (8, 17, 3) and batch["mask"].all()


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
