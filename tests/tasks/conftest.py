"""Photographs and the detector's augmentation on them, shared by the tests of its parts.

Fixtures that are named like a function are that function.
"""

from collections.abc import Callable
from functools import partial

import jax
import numpy as np
import pytest

from jaxpose.tasks import detection_augment

CANVAS, SIZE, MEAN = 64, 48, (123.0, 117.0, 104.0)
OPTIONS = {
    "distort_probability": 0.5,
    "brightness": 32.0,
    "contrast": (0.5, 1.5),
    "saturation": (0.5, 1.5),
    "hue": 36.0,
    "zoom_out_probability": 0.5,
    "zoom_out": 4.0,
    "crop_probability": 1.0,
    "min_ious": (0.1, 0.3, 0.5, 0.7, 0.9, 0.0),
    "crop_scale": (0.3, 1.0),
    "crop_aspect": (0.5, 2.0),
    "crop_trials": 50,
    "flip_probability": 0.5,
    "use_difficult": True,
}


@jax.jit
def _augment(key, batch, chances):
    return detection_augment.augment(
        key, batch, options=OPTIONS | chances, size=SIZE, mean=MEAN, channels="rgb"
    )


@pytest.fixture(scope="session")
def augment() -> Callable:
    """Probabilities are traced, so that all tests share one compiled function."""

    def augment(seed, batch, **changed):
        chances = {name: value for name, value in OPTIONS.items() if name.endswith("probability")}
        found = _augment(jax.random.key(seed), batch, chances | changed)
        return jax.tree.map(np.asarray, found)

    return augment


@pytest.fixture(scope="session")
def prepare() -> Callable:
    @partial(jax.jit, static_argnames="channels")
    def prepare(batch, channels="rgb"):
        return detection_augment.prepare(batch, SIZE, MEAN, channels)

    return prepare


@pytest.fixture(scope="session")
def window_of() -> Callable:
    """The windows that `augment` takes for a seed."""

    def window_of(seed, batch, **changed):
        key, _ = jax.random.split(jax.random.key(seed))

        def draw(key, batch):
            truth = detection_augment.photograph_truth(batch, use_difficult=True)
            return detection_augment.draw_window(key, truth, OPTIONS | changed)

        return jax.jit(draw)(key, batch)

    return window_of


@pytest.fixture(scope="session")
def photographs() -> Callable:
    """Photographs of 96 x 72 source px on canvases of 64 px, where they take 64 x 48."""

    def photographs(colour=(30, 30, 30), rows=6, objects=3):
        image = np.zeros((rows, CANVAS, CANVAS, 3), np.uint8)
        image[:, :48] = colour
        return {
            "image": image,
            "matrix": np.tile(
                np.array([[2 / 3, 0, -1 / 6], [0, 2 / 3, -1 / 6]], np.float32), (rows, 1, 1)
            ),
            "valid": np.tile(np.array([0, 0, 64, 48], np.float32), (rows, 1)),
            "size": np.tile(np.array([96, 72], np.float32), (rows, 1)),
            "boxes": np.zeros((rows, objects, 4), np.float32),
            "labels": np.zeros((rows, objects), np.int32),
            "difficult": np.zeros((rows, objects), bool),
            "crowd": np.zeros((rows, objects), bool),
            "ignore": np.zeros((rows, 2, 4), np.float32),
            "mask": np.ones(rows, np.float32),
        }

    return photographs
