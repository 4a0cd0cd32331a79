"""From a file of OpenPose's weights, under its ports' names, to a network and its people."""

import importlib
import json
import sys
from pathlib import Path

import numpy as np
import pytest

from jaxpose.errors import UsageError
from jaxpose.inference.restore import restore
from jaxpose.limbs import COCO_18_LIMBS
from jaxpose.models.named_weights import variable_shapes
from jaxpose.models.openpose import OpenPose
from jaxpose.models.pretrained_openpose import _source_name
from jaxpose.pipelines.import_weights import import_weights
from jaxpose.skeletons import COCO_18

TOOLS = Path(__file__).parents[2] / "tools"
MODEL = OpenPose(18, 19, stages=2, width=1 / 8)


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    rng, weights = np.random.default_rng(0), {}
    for path, shape in variable_shapes(MODEL, 32).items():
        theirs = shape if len(shape) == 1 else (*shape[:1:-1], *shape[:2])
        spread = 0.05 if len(shape) == 1 else np.sqrt(2 / np.prod(theirs[1:]))
        weights[f"model0.{_source_name(path)}"] = spread * rng.standard_normal(theirs, np.float32)
    file = tmp_path_factory.mktemp("openpose") / "w.npz"
    np.savez(file, **weights)
    return file


@pytest.fixture(scope="module")
def imported(file):
    done = import_weights(file, "openpose", file.with_name("network.npz"))
    return done, restore(done.output)


def test_a_file_becomes_a_network_with_cmus_limbs(imported):
    done, network = imported
    config = network.config
    assert network.task.model == MODEL and config.joints == COCO_18.joints
    assert config.part_limbs.places == COCO_18_LIMBS.places and config.channels == "bgr"
    assert config.part_limbs.pairs == COCO_18_LIMBS.pairs and config.mean == (128.0,) * 3
    assert config.midpoints[0][0] == "neck" and config.eval.input_size == (368, 656)
    assert done.parameters == sum(np.size(a) for a in done.weights.values())
    assert json.loads(json.dumps(config.to_dict()["grouping"]))["min_parts"] == 4


def test_other_limbs_are_refused(file, tmp_path):
    with pytest.raises(UsageError, match="has 19 limbs, custom has 0: nothing tells"):
        names = ",".join(f"joint{i}" for i in range(18))
        import_weights(file, "openpose", tmp_path / "a.npz", joints=names)
    with pytest.raises(UsageError, match="the network has 18 joints; name them"):
        import_weights(file, "openpose", tmp_path / "a.npz", joints="mpii")


def test_the_twin_in_pytorch_says_the_same(imported, photograph):
    pytest.importorskip("torch")
    done, network = imported
    sys.path.insert(0, str(TOOLS))
    try:
        twins = importlib.import_module("torch_twins_openpose")
    finally:
        sys.path.remove(str(TOOLS))
    assert sum(p.numel() for p in twins.OpenPose().parameters()) == 52_311_446
    parity = twins.openpose_parity(network, done.weights, "openpose", photograph)
    assert parity.raw < 1e-4 * parity.spread and parity.spread > 1e-3
