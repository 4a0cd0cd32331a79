"""Tiny networks of every source with random weights under the published names.

golden/imports.npz holds what PyTorch makes of these weights and the drawn picture: `<case>/shapes`
(JSON, name -> shape), outputs and results. torchvision's case ran through torchvision 0.28's own
`SSD` (resizing, anchors, box coder, NMS; its compiled NMS replaced by a loop), around the thin
backbone of tools/torch_twins_ssd.py, which equals ssd300_vgg16's to the last bit at full width;
the others through the twins in tools/, whose parameter counts are the published ones.
"""

import json
import zlib
from pathlib import Path

import numpy as np
import pytest

from jaxpose.inference.restore import restore
from jaxpose.pipelines.import_weights import import_weights

GOLDEN = Path(__file__).parents[1] / "golden" / "imports.npz"
SOURCES = {
    "torchvision_ssd": "torchvision_ssd",
    "ssd_pytorch": "ssd_pytorch",
    "ssd512": "ssd_pytorch",
    "pytorch_pose": "pytorch_pose",
    "princeton": "princeton_hourglass",
}
CLASSES = "cat,dog,person"


def _draw(shapes):
    """name -> random float32 array, every name of its own seed; outputs of a trained spread."""
    return {name: _drawn(name, tuple(shape)) for name, shape in shapes.items()}


def _drawn(name, shape):
    normal = np.random.RandomState(zlib.crc32(name.encode())).standard_normal(shape)
    if len(shape) == 4:
        value = normal * np.sqrt(_gain(name) / np.prod(shape[1:]))
    elif name in ("L2Norm.weight", "backbone.scale_weight"):
        value = np.full(shape, 20.0)
    elif name.endswith("running_var"):
        value = 1 + 0.2 * np.abs(normal)
    elif name.endswith("weight"):
        value = 1 + 0.1 * normal
    else:
        value = 0.05 * normal
    return value.astype(np.float32)


def _gain(name):
    """Variance times fan-in; heads see values of 100 but at the first level, after L2Norm."""
    head = name.startswith(("loc.", "conf.", "head."))
    if not head:
        return 2.0 if name.startswith(("vgg.", "extras.", "backbone.")) else 1.0
    first = name.split(".")[-2] == "0"
    scores = name.startswith("conf.") or "classification" in name
    return (0.5 if first else 5e-4) * (4 if scores else 1)


def picture():
    """RGB uint8 [480, 640, 3]: larger than twice the network input, which no one antialiases."""
    y, x = np.mgrid[:480, :640].astype(float)
    waves = [np.sin(x / 17) * np.cos(y / 23), np.sin((x + y) / 7), np.cos(x / 5 - y / 41)]
    return (127 + 110 * np.stack(waves, -1)).astype(np.uint8)


@pytest.fixture(scope="session")
def draw():
    return _draw


@pytest.fixture(scope="session")
def photograph():
    return picture()


@pytest.fixture(scope="session")
def golden():
    """case -> name -> array."""
    with np.load(GOLDEN) as file:
        return {
            case: {n.split("/")[1]: file[n] for n in file.files if n.startswith(f"{case}/")}
            for case in SOURCES
        }


@pytest.fixture(scope="session")
def published(golden):
    """case -> its weights, name -> array."""
    return {case: _draw(json.loads(str(arrays["shapes"]))) for case, arrays in golden.items()}


@pytest.fixture(scope="session")
def imported(published, tmp_path_factory):
    """case -> (what `import_weights` returned, the network restored from it)."""
    folder, made = tmp_path_factory.mktemp("imported"), {}

    def import_case(case):
        if case not in made:
            np.savez(folder / f"{case}_source.npz", **published[case])
            # Files and folders in turn.
            output = folder / (f"{case}.npz" if case in ("ssd512", "princeton") else case)
            options = {"classes": CLASSES} if "ssd" in case else {}
            done = import_weights(folder / f"{case}_source.npz", SOURCES[case], output, **options)
            made[case] = done, restore(output)
        return made[case]

    return import_case
