"""What is written where, and what is refused."""

import io
import json
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from jaxpose.config import from_json, to_json
from jaxpose.errors import CheckpointError, UsageError
from jaxpose.models.hourglass import StackedHourglass
from jaxpose.models.named_weights import MismatchError
from jaxpose.models.pretrained_ssd import IMAGENET_STD, vgg_base_weights
from jaxpose.models.ssd import SSD
from jaxpose.models.weight_files import read_weights
from jaxpose.pipelines.import_configs import detector_config, hourglass_config
from jaxpose.pipelines.import_weights import import_weights
from jaxpose.tasks.detection_start import starting_values
from jaxpose.training.weights import load_weights

ROOT = Path(__file__).parents[2]


@pytest.fixture
def file(published, tmp_path):
    """A file of weights of a hourglass, some of which can be replaced."""

    def file(**changed):
        weights = published["princeton"] | changed
        np.savez(tmp_path / "w.npz", **{n: a for n, a in weights.items() if a is not None})
        return tmp_path / "w.npz"

    return file


def test_a_folder_is_a_checkpoint_that_tells_its_origin(file, tmp_path):
    done = import_weights(file(), "princeton_hourglass", tmp_path / "a" / "net")
    loaded = load_weights(done.output)
    origin = loaded.metadata["imported"]
    assert origin["source"] == "princeton_hourglass" and origin["file"] == "w.npz"
    assert len(origin["sha256"]) == 64 and loaded.step == 0
    assert from_json((done.output / "config.json").read_text()).to_dict() == done.config.to_dict()
    with pytest.raises(CheckpointError, match="net holds a checkpoint already; choose another"):
        import_weights(file(), "princeton_hourglass", done.output)
    (tmp_path / "plain").write_text("a file")
    with pytest.raises(CheckpointError, match="cannot write .*plain"):
        import_weights(file(), "princeton_hourglass", tmp_path / "plain" / "net")


def test_files_that_do_not_fit_leave_nothing_behind(file, tmp_path):
    wrong = {
        "features.0.1.bn.bias": None,
        "outs.0.conv.bias": np.zeros(17, np.float32),
        "extra.weight": np.zeros(3),
        "pre.0.bn.weight": np.full(4, np.nan),
    }
    with pytest.raises(MismatchError) as error:
        import_weights(file(**wrong), "princeton_hourglass", tmp_path / "out")
    assert {kind: len(names) for kind, names in error.value.mismatches.items()} == {
        "missing": 1, "unexpected": 1, "of wrong shape": 1, "not of finite numbers": 1,
    }  # fmt: skip
    with pytest.raises(MismatchError):  # of another network
        import_weights(file(), "ssd_pytorch", tmp_path / "out")
    with pytest.raises(UsageError, match="--source=caffe: there are torchvision_vgg16, "):
        import_weights(file(), "caffe", tmp_path / "out")
    cut = tmp_path / "cut.npz"
    cut.write_bytes(file().read_bytes()[:-40])
    with pytest.raises(CheckpointError, match="cut.npz: cannot be read as weights"):
        import_weights(cut, "princeton_hourglass", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def run_tool(*arguments):
    command = [sys.executable, str(ROOT / "tools/import_weights.py"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)


def test_the_command_lists_every_mismatch_and_exits_with_4(file, tmp_path):
    names = [f"hgs.0.0.low{n}.bn{k}.bias" for n in (1, 3) for k in (1, 2, 3)]
    source = file(**dict.fromkeys(names, np.zeros(5)))
    done = run_tool(source, "--source=princeton_hourglass", f"--output={tmp_path / 'out'}")
    assert done.returncode == 4 and done.stderr.count("\n") == 1
    assert "6 of wrong shape" in done.stderr and "and 1 more" in done.stderr
    lines = [f"of wrong shape: {name} (5,) instead of" for name in names]
    assert all(line in done.stdout for line in lines) and not (tmp_path / "out").exists()


class Trap:
    """Touches a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


@pytest.mark.parametrize("suffix", ["npz", "pth", "safetensors"])
def test_code_in_a_file_is_not_run(tmp_path, suffix):
    """One payload under every suffix, as a whole file and as the pickle inside an archive."""
    ran, path = tmp_path / "ran", tmp_path / f"w.{suffix}"
    if suffix != "npz":
        pytest.importorskip({"pth": "torch"}.get(suffix, suffix))
    buffer = io.BytesIO()
    np.save(buffer, np.array([Trap(ran)], object), allow_pickle=True)
    pickled = buffer.getvalue()[buffer.getvalue().index(b"\x80") :]
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as members:
        members.writestr("w/data.pkl", pickled)
        members.writestr("w/version", "3")
        members.writestr("a.npy", buffer.getvalue())
    for content in (pickled, archive.getvalue()):
        path.write_bytes(content)
        with pytest.raises(CheckpointError, match=rf"w\.{suffix}: cannot be read as weights"):
            import_weights(path, "pytorch_pose", tmp_path / "out")
    assert not ran.exists()
    np.load(io.BytesIO(buffer.getvalue()), allow_pickle=True)
    assert ran.exists(), "the trap works"


def vgg_weights(names):
    rng, weights, inside = np.random.default_rng(0), {}, 3
    for name, out in names:
        weights[f"{name}.weight"] = rng.normal(size=(out, inside, 3, 3)).astype(np.float32)
        weights[f"{name}.bias"] = rng.normal(size=out).astype(np.float32)
        inside = out
    return weights


@pytest.mark.parametrize("source", ["torchvision_vgg16", "vgg16_reducedfc"])
def test_a_base_trains_as_if_it_were_read_from_its_source(source, tmp_path, capsys):
    channels = (64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512)
    places = (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)
    prefix = "features." if source == "torchvision_vgg16" else ""
    weights = vgg_weights([(f"{prefix}{n}", c) for n, c in zip(places, channels, strict=True)])
    np.savez(tmp_path / "w.npz", **weights)

    done = import_weights(tmp_path / "w.npz", source, tmp_path / "base")

    assert done.output == tmp_path / "base" / "vgg16.npz" and done.config is None
    written = read_weights(done.output)
    if source == "torchvision_vgg16":
        std = 255 * np.array(IMAGENET_STD, np.float32)[::-1, None, None]
        kernel = weights["features.0.weight"][:, ::-1] / std
        np.testing.assert_allclose(written["0.weight"], kernel, rtol=1e-6)
        np.testing.assert_allclose(written["mean"][::-1], 255 * np.array([0.485, 0.456, 0.406]))
    model, values = SSD(300, 2), []
    expected = vgg_base_weights(model, weights, source)
    for file in (tmp_path / "w.npz", done.output):
        config = detector_config("ssd_pytorch", model, "", "")
        config.model.base_weights = str(file)
        start = starting_values(config, model)
        rng = np.random.default_rng(0)
        values.append({n: start(n, a.shape, rng) for n, a in expected.items()})
    for name, value in values[0].items():
        np.testing.assert_array_equal(value, values[1][name])
    assert "of images minus [1" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("classes", "given", "names", "scales"),
    [(21, "", "aeroplane", "voc"), (2, "", "person", "voc"), (81, "", "person", "coco"),
     (91, "", "person", "coco"), (3, "a,b", "a", "voc")],
)  # fmt: skip
def test_classes_by_number_or_by_name(classes, given, names, scales):
    for source in ("ssd_pytorch", "ssd_caffe"):
        config = detector_config(source, SSD(300, classes), given, "")
        assert config.classes[0] == names and config.default_boxes.scales == scales
        assert config.channels == {"ssd_caffe": "bgr"}.get(source, "rgb")
        assert len(set(config.classes)) == classes - 1
    assert detector_config("torchvision_ssd", SSD(300, 2), "", "").default_boxes.scales == "coco"
    assert detector_config("ssd_caffe", SSD(512, 2), "", "coco").default_boxes.scales == "coco"
    for wrong in ("", "a", "a,a,a,a,a"):
        with pytest.raises(UsageError, match=r"has 5 classes; .*--classes=a,b,.*coco90 \(90\)"):
            detector_config("ssd_pytorch", SSD(300, 6), wrong, "")


def test_joints_by_number_or_by_name():
    config = hourglass_config("princeton", StackedHourglass(16, blocks=1), "", ())
    assert config.skeleton == "mpii" and json.loads(to_json(config))["joints"][0] == "right_ankle"
    model = StackedHourglass(14, blocks=1, stem="pytorch_pose")
    config = hourglass_config("pytorch_pose", model, "lsp", (0.1, 0.2, 0.3))
    assert config.joints[-1] == "head_top" and config.mean == (0.1, 0.2, 0.3)
    for wrong in ("", "mpii", "a,b"):
        with pytest.raises(UsageError, match=r"has 14 joints; .*--joints=a,b,.*lsp \(14\)"):
            hourglass_config("pytorch_pose", model, wrong, ())
