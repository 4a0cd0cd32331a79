"""`python -m jaxpose.predict`: every kind of input, good and bad, to files and exit codes."""

import json
import re
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from jaxpose.errors import DataError, SomeInputsFailedError, UsageError
from jaxpose.pipelines.predict import predict

REPOSITORY = Path(__file__).parents[2]


def video(path, frames=12, rate=10.0):
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), rate, (96, 64))
    rng = np.random.default_rng(0)
    for _ in range(frames):
        writer.write(rng.integers(0, 255, (64, 96, 3), np.uint8))
    writer.release()
    return path


@pytest.fixture(scope="module")
def inputs(tmp_path_factory, picture, jpeg):
    """A folder, with a space and an umlaut in its name, of everything that a user may have."""
    folder = tmp_path_factory.mktemp("my pictures ü")
    image = picture(120, 80)
    sound, turned = jpeg(image), Image.Exif()
    turned[0x0112] = 6
    for name, content in {
        "good.jpg": sound,
        "empty.jpg": b"",
        "text.jpg": b"not a picture at all",
        "cut.jpg": sound[: len(sound) // 2],
        "spaced out ß.jpg": sound,
    }.items():
        (folder / name).write_bytes(content)
    pil = Image.fromarray(image)
    pil.convert("L").save(folder / "grey.jpg")
    pil.convert("CMYK").save(folder / "cmyk.jpg")
    Image.fromarray(image[..., 0].astype(np.uint16) * 257).save(folder / "deep.png")
    pil.save(folder / "turned.jpg", exif=turned)
    Image.new("1", (20_000, 20_000)).save(folder / "bomb.png")
    video(folder / "clip.avi")
    whole = video(folder / "cut.avi", 40).read_bytes()
    (folder / "cut.avi").write_bytes(whole[: len(whole) * 6 // 10])
    return folder


GOOD = ["cmyk.jpg", "deep.png", "good.jpg", "grey.jpg", "spaced out ß.jpg", "turned.jpg"]
BAD = {
    "bomb.png": "20000 x 20000 pixels, more than",
    "cut.jpg": "truncated JPEG",
    "empty.jpg": "neither JPEG nor PNG",
    "text.jpg": "neither JPEG nor PNG",
    "cut.avi": r"only \d+ of 40 frames could be read",
}


def test_a_folder_of_everything(inputs, networks, tmp_path, capsys):
    """All that can be read is written in all formats and drawn; each bad input is one row."""
    with pytest.raises(SomeInputsFailedError, match=f"{len(BAD)} of 12 inputs failed"):
        predict(
            [str(inputs)],
            detector=str(networks["detection"]),
            pose=str(networks["pose"]),
            output_dir=str(tmp_path / "out"),
            formats=["coco", "posetrack18", "posetrack17", "openpose"],
            save_images=True,
            save_video=True,
            det_threshold=0.7,
            max_persons=3,
            batch_size=2,
            pose_batch_size=8,
        )
    out, err = capsys.readouterr()
    rows = [line for line in err.splitlines() if line.startswith("failed: ")]
    assert len(rows) == len(BAD)
    for name, fault in BAD.items():
        assert sum(bool(re.search(f"{name}: .*{fault}", row)) for row in rows) == 1, (name, rows)
    assert "1 frame turned upright by its EXIF orientation: turned.jpg" in out
    assert "clip: 12 of 12 frames read, 0 failed, 10 frames/s" in out
    speed = re.search(r"(\d+) frames, (\d+) people in .* frames/s \(each stage alone: (.*); ", out)
    assert [part.split()[0] for part in speed[3].split(", ")] == [
        "decode",
        "detect",
        "pose",
        "draw",
    ]

    report = json.loads((tmp_path / "out/predict.json").read_text())
    clip, cut = report["videos"]
    assert (clip["frames_expected"], clip["frames_read"], clip["frames_failed"]) == (12, 12, 0)
    assert cut["frames_expected"] == 40 and 10 < cut["frames_read"] < 38
    assert report["frames"] == len(GOOD) + 12 + cut["frames_read"] == int(speed[1])
    assert len(report["errors"]) == len(BAD) and report["people"] == int(speed[2]) > 20
    assert len(report["checkpoints"]["pose"]) == 64 and report["options"]["max_persons"] == 3

    images = json.loads((tmp_path / "out/coco/images.json").read_text())["images"]
    named = {image["file_name"]: image for image in images}
    assert len(named) == report["frames"] + 4  # the bad pictures are in it with their errors
    assert {n for n, image in named.items() if "error" in image} == set(BAD) - {"cut.avi"}
    assert (named["turned.jpg"]["width"], named["turned.jpg"]["height"]) == (80, 120)
    results = json.loads((tmp_path / "out/coco/results.json").read_text())
    assert len(results) == report["people"]
    assert (tmp_path / "out/openpose/spaced out ß_keypoints.json").is_file()
    assert (tmp_path / "out/posetrack18/clip.json").is_file()
    assert (tmp_path / "out/posetrack17/clip.json").is_file()

    for name in GOOD:
        drawn = cv2.imdecode(np.fromfile(tmp_path / "out/images" / name, np.uint8), -1)
        assert drawn.shape == (named[name]["height"], named[name]["width"], 3)
    assert not (tmp_path / "out/images/cut.jpg").exists()
    capture = cv2.VideoCapture(str(tmp_path / "out/videos/clip.mp4"))
    assert capture.get(cv2.CAP_PROP_FRAME_COUNT) == 12 and capture.get(cv2.CAP_PROP_FPS) == 10


@pytest.fixture(scope="module")
def boxes(tmp_path_factory):
    """Boxes of two of the pictures, in the form of COCO results with file names."""
    rows = [
        {"file_name": "good.jpg", "category_id": 1, "bbox": [5, 6, 60, 70], "score": 0.9},
        {"file_name": "good.jpg", "category_id": 1, "bbox": [50, 6, 60, 70], "score": 0.1},
        {"file_name": "turned.jpg", "category_id": 1, "bbox": [5, 6, 60, 70], "score": 0.8},
    ]
    path = tmp_path_factory.mktemp("boxes") / "detections.json"
    path.write_text(json.dumps(rows))
    return str(path)


def test_own_boxes_instead_of_a_detector(inputs, networks, boxes, tmp_path, capsys):
    files = [str(inputs / name) for name in ("good.jpg", "grey.jpg", "turned.jpg")]
    run = {"pose": str(networks["pose"]), "boxes": boxes, "output_dir": str(tmp_path)}
    document = predict(files, **run, keypoint_threshold=1.0)
    assert document["people"] == 2 and not document["errors"]
    told = capsys.readouterr().out
    assert "nobody in 1 of 3 frames without boxes, such as grey.jpg" in told
    assert "boxes left out, scored below --det_threshold=0.15: 1" in told
    first, second = json.loads((tmp_path / "coco/results.json").read_text())
    assert first["bbox"] == [5, 6, 60, 70] and first["score"] == pytest.approx(0.9)
    assert not any(first["keypoints"]) and not any(second["keypoints"])  # all below the threshold
    with pytest.raises(DataError, match="none of the frames is in it, such as cmyk.jpg"):
        predict([str(inputs / "cmyk.jpg")], **run)


@pytest.mark.parametrize(
    ("arguments", "options", "fault"),
    [
        ([], {}, "no input"),
        (["a.jpg"], {"detector": "x", "boxes": "y"}, "exclude one another"),
        (["a.jpg"], {"detector": "x", "webcam": 0}, "--webcam and other inputs"),
        (["a.jpg"], {"detector": "x", "nms_iou": 2.0}, "nms_iou is 2.0"),
        (["a.jpg"], {"detector": "x", "formats": ["coco", "csv"]}, "--format=csv: unknown"),
        (["a.jpg"], {"detector": "x", "output_dir": __file__ + "/x"}, "cannot be made"),
    ],
)
def test_what_does_not_fit_together_is_refused(tmp_path, arguments, options, fault):
    with pytest.raises(UsageError, match=fault):
        predict(arguments, **{"pose": "p", "output_dir": str(tmp_path / "out")} | options)


def test_a_camera_is_read_until_it_ends_or_ctrl_c(inputs, networks, tmp_path, monkeypatch):
    """A file stands for the camera; Ctrl-C, in the middle, ends the run in order."""
    opened = cv2.VideoCapture

    class Interrupted:
        def __init__(self, number):
            self.capture, self.left = opened(str(inputs / "clip.avi")), 5

        def grab(self):
            self.left -= 1
            if self.left < 0:
                raise KeyboardInterrupt
            return self.capture.grab()

        def __getattr__(self, name):
            return getattr(self.capture, name)

    monkeypatch.setattr(cv2, "VideoCapture", Interrupted)
    document = predict(
        [], webcam=2, detector=str(networks["detection"]), pose=str(networks["pose"]),
        output_dir=str(tmp_path), formats=["openpose"], max_persons=1,
    )  # fmt: skip
    assert document["videos"][0]["name"] == "webcam2" and 0 < document["frames"] <= 5
    assert len(list((tmp_path / "openpose/webcam2").iterdir())) == document["frames"]


def test_the_command_runs_without_tensorflow(inputs, networks, boxes, tmp_path):
    """With a detector, and with boxes."""
    files = [str(inputs / name) for name in ("good.jpg", "turned.jpg", "gone.jpg")]
    pose, folder = str(networks["pose"]), str(tmp_path)
    sizes = {"max_persons": 1, "batch_size": 2, "pose_batch_size": 8}
    flags = [f"--{name}={value}" for name, value in sizes.items()]
    flags += [f"--detector={networks['detection']}", f"--pose={pose}", f"--output_dir={folder}"]
    flags += ["--format=coco,openpose", "--det_threshold=0.7", "--save_images", "--nodraw_labels"]
    program = f"""
import runpy, sys
for name in ("tensorflow", "tensorflow_datasets"):
    sys.modules[name] = None
from jaxpose.pipelines.predict import predict
by_boxes = predict({files[:2]}, pose={pose!r}, boxes={boxes!r}, output_dir={folder!r}, **{sizes})
assert by_boxes["people"] == 2
sys.argv = ["predict", *{files + flags!r}]
runpy.run_module("jaxpose.predict", run_name="__main__")
"""
    done = run("-c", program)
    assert done.returncode == 1, done.stderr
    assert done.stderr.splitlines()[-1] == "error: 1 of 3 inputs failed, see above"
    assert "failed: " in done.stderr and "gone.jpg: no such file or folder" in done.stderr
    assert "2 frames, 2 people in" in done.stdout
    assert (tmp_path / "openpose/turned_keypoints.json").is_file()
    assert (tmp_path / "images/turned.jpg").is_file()


def run(*arguments):
    command = [sys.executable, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=REPOSITORY)


def test_help_is_quick():
    started = time.perf_counter()
    shown = run("-m", "jaxpose.predict", "--help")
    assert "--det_threshold" in shown.stdout and time.perf_counter() - started < 5


def test_help_imports_nothing_heavy():
    program = (
        "import sys, jaxpose.predict; print([m for m in ('jax','cv2','numpy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr
