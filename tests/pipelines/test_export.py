"""The exported file against the library, loaded where there is neither jaxpose nor flax."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from jax import export

from jaxpose.config import with_person_threshold
from jaxpose.errors import CheckpointError, UsageError
from jaxpose.inference.estimator import PoseEstimator
from jaxpose.pipelines.export import export_people
from jaxpose.training.weight_file import read_weight_file, write_weight_file

ROOT = Path(__file__).parents[2]
OPTIONS = {"det_threshold": 0.7, "pose_batch_size": 4}
# Runs the loader as a user would who copied it: nothing else of the project can be imported.
PROGRAM = """
import sys
for name in ("jaxpose", "flax", "tensorflow", "cv2", "orbax", "ml_collections"):
    sys.modules[name] = None  # importing it raises ImportError
import numpy as np
from load_export import load
find = load(sys.argv[1])
results = {}
for name, images in np.load(sys.argv[2]).items():
    results |= {f"{name}/{key}": value for key, value in find(images).items()}
np.savez(sys.argv[3], **results)
print(find.document["joints"])
"""


@pytest.fixture(scope="module")
def written(networks, tmp_path_factory):
    """A file of the tiny networks, and what was written."""
    file = tmp_path_factory.mktemp("export") / "people.npz"
    return file, export_people(networks["detection"], networks["pose"], file, **OPTIONS)


@pytest.fixture(scope="module")
def load_export():
    sys.path.insert(0, str(ROOT / "tools"))
    import load_export

    sys.path.pop(0)
    return load_export


def assert_same_people(found, row, people):
    """Within 1e-4 of a pixel's distance from the origin, and of the largest score."""
    valid = found["valid"][row]
    assert valid.sum() == len(people) and valid[: len(people)].all()
    for name, value in found.items():
        assert not value[row][~valid].any(), name
    pairs = {
        "boxes": [p.box_xyxy for p in people],
        "scores": [p.score for p in people],
        "keypoints": [p.keypoints for p in people],
        "keypoint_scores": [p.keypoint_scores for p in people],
    }
    for name, expected in pairs.items():
        got = found[name][row][valid]
        scale = np.abs(np.asarray(expected)).max(initial=1e-3)
        np.testing.assert_allclose(
            got, np.reshape(expected, got.shape), rtol=1e-4, atol=1e-4 * scale, err_msg=name
        )


def test_it_finds_the_library_s_people_without_the_library(written, networks, picture, tmp_path):
    batches = {
        "one": np.stack([picture(320, 200)]),
        "three": np.stack([picture(333, 250, seed) for seed in range(1, 4)]),
    }
    np.savez(tmp_path / "images.npz", **batches)
    arguments = [written[0], tmp_path / "images.npz", tmp_path / "people.npz"]
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=ROOT / "tools",
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "'nose'" in done.stdout
    estimator = PoseEstimator.restore(networks["detection"], networks["pose"], **OPTIONS)
    results, counts = np.load(tmp_path / "people.npz"), []
    for name, images in batches.items():
        found = {k.split("/")[1]: v for k, v in results.items() if k.startswith(f"{name}/")}
        assert found["boxes"].shape == (len(images), 60, 4)  # the detector's max_outputs
        assert found["keypoints"].shape == (len(images), 60, 15, 2)
        for row, image in enumerate(images):
            people = estimator(image)
            counts.append(len(people))
            assert_same_people(found, row, people)
    # Several rounds of four people, the last of which is not full.
    assert sum(counts[1:]) > 8 and sum(counts[1:]) % 4


@pytest.fixture
def half_precision(networks, tmp_path):
    """Files of the tiny networks that hold float16; the detector has its own threshold."""
    files = []
    for task in ("detection", "pose"):
        handed = read_weight_file(networks[task])
        config = handed.config if task == "pose" else with_person_threshold(handed.config, 0.7)
        files.append(tmp_path / f"{task}.npz")
        write_weight_file(files[-1], handed.weights, config, half=True)
    return files


def test_half_precision_loses_nothing_of_half_precision(
    half_precision, picture, load_export, tmp_path
):
    """Frames of several sizes, few people, another score, the detector's own threshold."""
    options = {"max_persons": 2, "joint_score": "box", "flip_test": False, "pose_batch_size": 4}
    file = tmp_path / "half.npz"
    document = export_people(*half_precision, file, half=True, canvas=400, **options)
    assert document["options"]["max_persons"] == 2 and document["canvas"] == 400
    assert document["options"]["det_threshold"] == 0.7
    with np.load(file) as arrays:
        weights = {n.removeprefix("weights/"): arrays[n] for n in arrays if "weights/" in n}
    for role, source in zip(("detector", "pose"), half_precision, strict=True):
        with np.load(source) as arrays:
            for name in set(arrays) - {"document"}:
                stored = weights.pop(f"{role}/{name}")
                np.testing.assert_array_equal(stored, arrays[name], strict=True)
                assert stored.dtype == ("f2" if name.startswith("params/") else "f4")
    assert not weights
    frames = [picture(320, 200), picture(90, 131, 1), picture(400, 300, 2)]
    found = load_export.load(file)(frames)
    assert found["boxes"].shape == (3, 2, 4) and found["valid"].any()
    assert found["scores"][found["valid"]].min() > 0.7
    estimator = PoseEstimator.restore(*half_precision, **options)
    for row, frame in enumerate(frames):
        assert_same_people(found, row, estimator(frame))
    np.testing.assert_allclose(
        found["keypoint_scores"], np.repeat(found["scores"][..., None], 15, -1)
    )


def test_the_file_is_for_three_platforms_and_describes_itself(written):
    file, document = written
    with np.load(file, allow_pickle=False) as arrays:
        told = json.loads(arrays["document"].tobytes())
        function = export.deserialize(bytearray(arrays["stablehlo"]))
        assert all(n.startswith("weights/") for n in set(arrays) - {"document", "stablehlo"})
    assert function.platforms == ("cpu", "cuda", "tpu") and told["platforms"] == [
        "cpu",
        "cuda",
        "tpu",
    ]
    assert len(told["joints"]) == 15 and told["options"]["det_threshold"] == 0.7
    assert {n: v for n, v in document.items() if not n.endswith("_bytes")} == told
    assert document["file_bytes"] == file.stat().st_size
    # The weights are arguments: a constant for each would show.
    assert document["stablehlo_bytes"] < 1_000_000


def test_the_loader_refuses_other_images_and_files(written, load_export, networks):
    find = load_export.load(written[0])
    with pytest.raises(ValueError, match="image 1 is 700 x 10 px; make it 640 at most"):
        find([np.zeros((5, 5, 3), np.uint8), np.zeros((10, 700, 3), np.uint8)])
    for wrong in (np.zeros((1, 5, 5, 3), np.float32), np.zeros((5, 5, 3), np.uint8)):
        with pytest.raises(ValueError, match=r"image 0 is .* not uint8 \[H, W, 3\]"):
            find(wrong)
    with pytest.raises(ValueError, match="no images"):
        find([])
    with pytest.raises(ValueError, match="is no file of tools/export.py"):
        load_export.load(networks["pose"])


def test_what_cannot_be_exported(networks, tmp_path):
    detector, pose = networks["detection"], networks["pose"]
    for arguments, options, message in [
        ((detector, pose), {"canvas": 0}, "canvas is 0"),
        ((detector, pose), {"joint_score": "mean"}, "joint_score is 'mean'"),
        ((pose, detector), {}, "holds a network for pose, not for detection"),
    ]:
        with pytest.raises(UsageError, match=message):
            export_people(*arguments, tmp_path / "people.npz", **options)
    with pytest.raises(CheckpointError, match="cannot write"):
        export_people(detector, pose, tmp_path / "nowhere" / "people.npz", canvas=64)
    assert not list(tmp_path.iterdir())


def test_a_missing_library_is_named(tmp_path):
    program = (
        "import runpy, sys\n"
        "sys.modules['onnxruntime'] = None\n"
        "runpy.run_path('tools/export_onnx.py', run_name='__main__')"
    )
    command = [sys.executable, "-c", program, str(tmp_path), str(tmp_path / "pose.onnx")]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 2
    install = "install it with: pip install 'jaxpose[onnx]'"
    assert done.stderr == f"error: onnxruntime is missing; {install}\n"
