"""Configs: every file loads with its variants, JSON round trip, overrides and their errors."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from jaxpose.config import (
    apply_variants,
    from_json,
    set_skeleton,
    skeleton_of,
    to_json,
    without_paths,
)
from jaxpose.defaults import DEFAULTS, pose_config, smoke
from jaxpose.errors import UsageError
from jaxpose.skeletons import COCO, LSP

FILES = sorted((Path(__file__).parent.parent / "configs").glob("*.py"))


def load(path, variant=None):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module, module.get_config(variant)


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_every_config_loads_round_trips_and_says_its_command(path):
    module, config = load(path)
    assert f"python -m jaxpose.train --config=configs/{path.name}" in module.__doc__
    assert from_json(to_json(config)).to_dict() == config.to_dict()
    _, small = load(path, "smoke")
    assert small.steps == 20
    assert small.model.to_dict().get("features") == 32 or small.model.width == 0.125
    assert small.data.synthetic.train_videos > 0
    assert set(config) == set(DEFAULTS[config.task]()), "a field that no other config has"


def test_the_report_network_is_two_stacks_of_four_blocks():
    config = load(FILES[[p.stem for p in FILES].index("hourglass_mpii_posetrack")])[1]
    assert (config.model.stacks, config.model.blocks, config.model.features) == (2, 4, 256)
    assert config.batch_size == 24 and config.epochs == 100
    optimizer = config.optimizer
    assert (optimizer.name, optimizer.learning_rate, optimizer.decay) == ("rmsprop", 2.5e-4, 0.99)
    assert tuple(optimizer.drop_epochs) == (60, 90) and optimizer.drop_factor == 0.1
    assert config.data.train == ("mpii", "posetrack17") and config.skeleton == "posetrack17"


def test_unknown_variant_names_the_known_ones():
    with pytest.raises(UsageError, match="':smok'.*smoke"):
        apply_variants(pose_config(), "smok", {"smoke": smoke})


def test_a_variant_may_take_a_value():
    path = FILES[[p.stem for p in FILES].index("ssd300_posetrack")]
    _, config = load(path, "overlap=0.7,smoke")
    assert config.matching.overlap_threshold == 0.7 and config.steps == 20
    assert config.eval.score_thresholds == (0.1, 0.2, 0.4)
    wrong = {"overlap": "needs a value", "overlap=high": "cannot be taken", "smoke=1": "takes no"}
    for variant, words in wrong.items():
        with pytest.raises(UsageError, match=f"':{variant}' {words}"):
            load(path, variant)


def test_the_report_detector():
    config = load(FILES[[p.stem for p in FILES].index("ssd300_posetrack")])[1]
    optimizer = config.optimizer
    assert (optimizer.name, optimizer.learning_rate, optimizer.momentum) == ("sgd", 1e-3, 0.9)
    assert optimizer.weight_decay == 5e-4 and config.steps == 15_000
    assert optimizer.drop_steps == (10_000, 12_000, 14_000) and optimizer.warmup_steps > 0
    assert config.matching.overlap_threshold == 0.5 and config.eval.score_thresholds[0] == 0.15


def test_skeleton_resolution():
    config = pose_config()
    assert skeleton_of(config).size == 15
    set_skeleton(config, LSP)
    assert skeleton_of(from_json(to_json(config))) == LSP
    config = pose_config()
    config.skeleton = "data"
    with pytest.raises(UsageError, match="skeleton"):
        skeleton_of(config)
    set_skeleton(config, COCO)
    assert skeleton_of(config) == COCO


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (["--config=configs/nothing.py"], "nothing.py"),
        (["--config=configs/quickstart.py", "--config.batch_sise=3"], "batch_size"),
        (["--config=configs/quickstart.py", "--config.model.stack=3"], "stacks"),
        (["--config=configs/quickstart.py", "--config.batch_size=many"], "batch_size"),
        (["--config=configs/quickstart.py", "--config.nosuch=1"], "no field 'nosuch'"),
        (["--config=configs/quickstart.py:smok"], "smoke"),
        ([], "--config"),
    ],
)
def test_wrong_command_lines_exit_with_2_and_one_line(flags, expected):
    done = subprocess.run(
        [sys.executable, "-m", "jaxpose.train", *flags],
        capture_output=True,
        text=True,
        check=False,
        cwd=FILES[0].parent.parent,
    )
    assert done.returncode == 2, done.stderr
    assert expected in done.stderr and "Traceback" not in done.stderr
    assert done.stderr.count("\n") == 1 and "\\n" not in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr


@pytest.mark.parametrize("task", DEFAULTS)
def test_a_config_that_is_handed_on_names_no_folder(task):
    config = DEFAULTS[task]()
    config.data_dir, config.init_from = "/home/me/data", "/home/me/runs/first"
    config.data.custom.update(train_json="/home/me/my/train.json", train_images="/home/me/images")
    if task != "pose":
        config.model.base_weights = "/home/me/vgg16.pth"
    config.seed = 7
    text = without_paths(to_json(config))
    assert "/" not in text
    handed = from_json(text)
    assert (handed.data_dir, handed.init_from, handed.seed) == ("", "first", 7)
    assert (handed.data.custom.train_json, handed.data.custom.train_images) == (
        "train.json",
        "images",
    )
    assert handed.data.custom.name == "custom" and handed.data.custom.validation_json == ""
    assert task == "pose" or handed.model.base_weights == "vgg16.pth"
