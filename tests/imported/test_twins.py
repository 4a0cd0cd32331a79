"""The PyTorch twins in tools/: golden outputs are theirs, and the tool prints small errors."""

import importlib
import json
import re
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from jaxpose.inference.restore import restore
from jaxpose.ops import affine
from jaxpose.pipelines.import_weights import import_weights
from jaxpose.tasks.pose_prediction import crop_images

torch = pytest.importorskip("torch")
MPII_MEAN = (0.4404, 0.4440, 0.4327)
TOOLS = Path(__file__).parents[2] / "tools"


@pytest.fixture(scope="module")
def twins():
    sys.path.insert(0, str(TOOLS))
    names = ("torch_twins", "torch_twins_ssd", "twin_parity")
    yield [importlib.import_module(name) for name in names]
    sys.path.remove(str(TOOLS))


def test_parameter_counts_are_the_published_ones(twins):
    hourglasses, ssds, _ = twins
    counts = [
        (hourglasses.HourglassNet(), 24_751_264),
        (hourglasses.HourglassNet(blocks=1), 6_730_912),
        (hourglasses.PoseNet(), 8_429_088),
        (ssds.SSD(), 26_285_486),
        (ssds.SSD(512), 27_188_676),
        (ssds.TorchvisionSSD(), 35_641_826),
    ]
    for twin, expected in counts:
        assert sum(p.numel() for p in twin.parameters()) == expected


def network_input(case, image):
    """The picture as the source shows it to its network, [1, 3, S, S]."""
    if case == "torchvision_ssd":
        x = torch.from_numpy(image.copy()).permute(2, 0, 1)[None] / 255
        x = 255 * (x - torch.tensor([0.48235, 0.45882, 0.40784])[:, None, None])
        return torch.nn.functional.interpolate(x, (300, 300), mode="bilinear")
    if case in ("ssd_pytorch", "ssd512"):
        size = 512 if case == "ssd512" else 300
        x = cv2.resize(image.astype(np.float32), (size, size)) - (123, 117, 104)
    else:
        crop = affine.crop_matrix(np.array([[320.0, 240.0]]), np.array([3.2]), 256)
        batch = {"image": image[None], "matrix": np.eye(2, 3, dtype=np.float32)[None]}
        x = np.asarray(crop_images(batch, crop, (256, 256)))[0]
        x = x - (MPII_MEAN if case == "pytorch_pose" else (0, 0, 0))
    return torch.from_numpy(x.astype(np.float32)).permute(2, 0, 1)[None]


def test_golden_shapes_and_outputs_are_the_twins(twins, golden, published, photograph):
    hourglasses, ssds, _ = twins
    made = {
        "torchvision_ssd": ssds.TorchvisionSSD(4, 1 / 8),
        "ssd_pytorch": ssds.SSD(300, 4, 1 / 8),
        "ssd512": ssds.SSD(512, 4, 1 / 8),
        "pytorch_pose": hourglasses.HourglassNet(16, 2, 2, 16, 2),
        "princeton": hourglasses.PoseNet(16, 2, 16, 2),
    }
    for case, twin in made.items():
        shapes = {n: list(t.shape) for n, t in twin.state_dict().items() if "num_batches" not in n}
        assert json.loads(str(golden[case]["shapes"])) == shapes
        weights = {n: torch.tensor(a) for n, a in published[case].items()}
        twin.load_state_dict(weights, strict=False)
        twin.eval().to(memory_format=torch.channels_last)
        with torch.no_grad():
            found = twin(network_input(case, photograph))
        if "maps" in golden[case]:
            pairs = [(found[:, 0, :, ::8, ::8], "maps")]
        else:
            pairs = [(found[0][0, ::97], "logits"), (found[1][0, ::97], "offsets")]
        for outputs, name in pairs:
            np.testing.assert_allclose(outputs, golden[case][name], rtol=0, atol=1e-3)


@pytest.mark.parametrize("case", ["torchvision_ssd", "princeton"])
def test_the_tool_prints_the_errors(case, published, tmp_path):
    np.savez(tmp_path / "w.npz", **published[case])
    source = {"princeton": "princeton_hourglass"}.get(case, case)
    command = [sys.executable, TOOLS / "import_weights.py", tmp_path / "w.npz"]
    command += [f"--source={source}", f"--output={tmp_path / 'out.npz'}"]
    command += ["--classes=cat,dog,person"] if "ssd" in case else []
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    raw, count, final = re.search(
        r"raw outputs (\S+) .*, (\d+) (?:boxes|joints) (\S+) px", done.stdout
    ).groups()
    assert float(raw) < 1e-3 and int(count) > 9 and float(final) < 0.01


def vgg_weights(source, twins, draw):
    """A VGG16 of full width, the only one that a base may have.

    torchvision's is without the classifier, of half a gigabyte; tests/models has its decimation.
    """
    layers = torch.nn.ModuleDict({"vgg": torch.nn.ModuleList(twins[1].vgg_layers())})
    weights = draw({name: tuple(tensor.shape) for name, tensor in layers.state_dict().items()})
    if source == "vgg16_reducedfc":
        return {name.removeprefix("vgg."): array for name, array in weights.items()}
    return {n.replace("vgg", "features"): a for n, a in weights.items() if "vgg.3" not in n}


@pytest.mark.parametrize("source", ["vgg16_reducedfc", "torchvision_vgg16"])
def test_a_base(source, twins, draw, photograph, tmp_path):
    np.savez(tmp_path / "w.npz", **vgg_weights(source, twins, draw))
    done = import_weights(tmp_path / "w.npz", source, tmp_path / "base.npz")
    found = twins[2].base_parity(done.output, done.weights, source, photograph)
    assert found.raw < 1e-4 * found.spread


def test_caffe_s_ssd(published, photograph, twins, tmp_path):
    np.savez(tmp_path / "w.npz", **published["ssd_pytorch"])
    network = tmp_path / "net.npz"
    done = import_weights(tmp_path / "w.npz", "ssd_caffe", network, classes="cat,dog,person")
    found = twins[2].detector_parity(restore(network), done.weights, "ssd_caffe", photograph)
    assert found.raw < 1e-4 * found.spread
    assert found.compared > 150 and found.unmatched == 0 and found.final < 0.01
