"""The Dataset that tools/compare_loader.py races: it must do the work that it stands for."""

import importlib
import sys
from pathlib import Path

import numpy as np
import pytest

from jaxpose.data.manifest import open_records
from jaxpose.data.people_batches import people_rows
from jaxpose.data.pipeline import eval_batches

COUNT = 7


@pytest.fixture(scope="module")
def twin():
    pytest.importorskip("torch")
    tools = str(Path(__file__).parents[2] / "tools")
    sys.path.insert(0, tools)
    yield importlib.import_module("loader_twin")
    sys.path.remove(tools)


def test_it_gets_the_photographs_and_joints_of_our_batches(twin, built):
    manifest = open_records(built.shards[0])
    samples = twin.samples_of(manifest, "train", COUNT)
    rows = people_rows(manifest.skeleton)
    ours = next(eval_batches(manifest.path, "train", rows, COUNT, source="shards"))
    decoded = twin.Canvases(samples, manifest.canvas)
    assert len(decoded) == COUNT
    for row, sample in enumerate(decoded):
        np.testing.assert_array_equal(sample["image"], ours["image"][row])
        matrix, joints = ours["matrix"][row], ours["keypoints"][row]
        on_canvas = joints[:, :2] @ matrix[:, :2].T + matrix[:, 2]
        np.testing.assert_allclose(sample["points"][:, :2], on_canvas, atol=1e-3)
        np.testing.assert_array_equal(sample["points"][:, 2], joints[:, 2])


def test_augmented_samples_are_inputs_and_heat_maps_of_a_network(twin, built):
    manifest = open_records(built.shards[0])
    samples = twin.samples_of(manifest, "train", COUNT)
    made = twin.Augmented(samples, manifest.canvas, (48, 32))[0]
    assert made["image"].shape == (3, 48, 32) and made["image"].dtype == np.float32
    assert (
        made["maps"].shape == (manifest.skeleton.size, 12, 8) and made["maps"].dtype == np.float32
    )
    assert 0 <= made["image"].min() < made["image"].max() <= 1


def test_heat_maps(twin):
    maps = twin.heatmaps(np.array([[8.0, 20.0], [4, 4]]), np.array([1, 0]), (48, 32))
    assert np.unravel_index(maps[0].argmax(), (12, 8)) == (5, 2) and maps[0].max() == 1
    assert maps[0, 5, 3] == pytest.approx(np.exp(-0.5)) and not maps[1].any()
