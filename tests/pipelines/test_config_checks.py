"""Values that a config may not have."""

import math

import pytest

from jaxpose.defaults import DEFAULTS, detection_config
from jaxpose.errors import UsageError
from jaxpose.pipelines.config_checks import check_config

WRONG = {
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
}


def test_the_defaults_are_accepted():
    for defaults in DEFAULTS.values():
        check_config(defaults())


@pytest.mark.parametrize("name", WRONG)
def test_values_without_meaning_are_refused_by_name(name):
    config = detection_config()
    *folders, last = name.split(".")
    place = config
    for folder in folders:
        place = place[folder]
    place[last] = WRONG[name]
    with pytest.raises(UsageError, match=f"^config.{name} is .*; it must be "):
        check_config(config)


def test_a_run_starts_from_one_of_two_things():
    config = detection_config()
    config.init_from, config.model.base_weights = "runs/other", "vgg16.npz"
    with pytest.raises(UsageError, match=r"config.init_from is 'runs/other'.*base_weights"):
        check_config(config)
