"""Values that a config may not have."""

import math

import pytest

from jaxpose.defaults import DEFAULTS
from jaxpose.errors import UsageError
from jaxpose.pipelines.config_checks import check_config

WRONG = {
    "epochs": -1.0,
    "input_size": 256,
    "pose/input_size": (256, 200),
    "pose/heatmap.sigma": 0.0,
    "pose/augment.rotation_probability": 3.0,
    "bottom_up/eval.input_size": (368, 650),
    "bottom_up/targets.merge": "mean",
    "bottom_up/augment.scale": (1.1, 0.5),
    "bottom_up/midpoints": (("neck", "left_shoulder"),),
    "bottom_up/grouping.samples": 1,
    "augment.min_ious": (2.0,),
    "augment.crop_scale": (1.0, 0.3),
    "augment.crop_aspect": (0.0, 2.0),
    "augment.contrast": (-0.5, 1.5),
    "augment.saturation": (1.5, 0.5),
    "augment.flip_probability": 7.0,
    "augment.zoom_out": 0.5,
    "mean": (1.0, math.nan, 1.0),
    "max_boxes": -1,
    "model.head_init_std": -1.0,
    "matching.mode": "hungarian",
    "detect.person_threshold": 1.5,
}


def test_the_defaults_are_accepted():
    for defaults in DEFAULTS.values():
        check_config(defaults())


@pytest.mark.parametrize("name", WRONG)
def test_values_without_meaning_are_refused_by_name(name):
    task, _, field = name.rpartition("/")
    config = DEFAULTS[task or "detection"]()
    config.steps = 0
    *folders, last = field.split(".")
    place = config
    for folder in folders:
        place = place[folder]
    with config.ignore_type():
        place[last] = WRONG[name]
    with pytest.raises(UsageError, match=f"^config.{field} is .*; it must be "):
        check_config(config)


@pytest.mark.parametrize("task", ["detection", "bottom_up"])
def test_a_run_starts_from_one_of_two_things(task):
    config = DEFAULTS[task]()
    config.init_from, config.model.base_weights = "runs/other", "vgg16.npz"
    with pytest.raises(UsageError, match=r"config.init_from is 'runs/other'.*base_weights"):
        check_config(config)
