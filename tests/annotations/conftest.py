"""Drawn videos and posed bodies that the tests of the synthetic data set share."""

from collections.abc import Callable

import numpy as np
import pytest

from jaxpose.annotations.synthetic import draw_dataset
from jaxpose.annotations.synthetic_motion import ANGLES, Body, pose_body


@pytest.fixture(scope="session")
def videos():
    """6 training and 2 validation videos of 4 frames, 192 x 144 px, seed 3."""
    return draw_dataset(seed=3, train_videos=6, val_videos=2, frames_per_video=4, size=(192, 144))


@pytest.fixture(scope="session")
def upright() -> Callable:
    """A body that stands straight, turned by each of `yaw`, but for the angles given."""

    def posed(yaw, **angles):
        still = {name: np.full(len(yaw), angles.get(name, 0.0)) for name in ANGLES}
        return pose_body(Body(), still, np.asarray(yaw, float))

    return posed
