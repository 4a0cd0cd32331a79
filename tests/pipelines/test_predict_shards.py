"""Several processes that share a run, and the merge of what they left, against one process."""

import json
import shutil
import subprocess
import sys

import cv2
import numpy as np
import pytest

from jaxpose.errors import DataError, SomeInputsFailedError, UsageError
from jaxpose.inference.estimator import PoseEstimator
from jaxpose.pipelines import predict_parts
from jaxpose.pipelines.predict import predict
from jaxpose.pipelines.predict_merge import merge
from jaxpose.pipelines.predict_shard import Shard, parse_shard

FORMATS = ["coco", "openpose", "posetrack17", "posetrack18"]
OPTIONS = {"det_threshold": 0.7, "max_persons": 2, "batch_size": 2, "pose_batch_size": 4}
DRAWN = {"save_images": True, "save_video": True}


def video(path, frames):
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 10.0, (96, 64))
    rng = np.random.default_rng(frames)
    for _ in range(frames):
        writer.write(rng.integers(0, 255, (64, 96, 3), np.uint8))
    writer.release()


@pytest.fixture(scope="module")
def inputs(tmp_path_factory, picture, jpeg):
    """Ten pictures in three folders, two of names that a file system may take for one, two videos;
    a picture and a video cannot be read."""
    folder = tmp_path_factory.mktemp("inputs")
    for number, name in enumerate(
        ("a/1.jpg", "a/2.jpg", "a/3.jpg", "a/4.jpg", "b/1.jpg", "b/2.jpg", "c/X.jpg", "c/x.jpg")
    ):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(jpeg(picture(90 + 4 * number, 70, number)))
    (folder / "c/bad.jpg").write_bytes(b"no picture")
    (folder / "c/last.jpg").write_bytes(jpeg(picture(80, 80, 99)))
    video(folder / "clip.avi", 5)
    video(folder / "other.avi", 3)
    (folder / "gone.avi").write_bytes(b"no video")
    return folder


@pytest.fixture(scope="module", autouse=True)
def one_estimator(networks):
    """Compiled once for all runs; parts of three pictures."""
    made = PoseEstimator.restore(networks["detection"], networks["pose"], **OPTIONS)
    with pytest.MonkeyPatch.context() as patch:
        named = {"detector": "d", "pose": "p"}
        patch.setattr("jaxpose.pipelines.predict._estimator", lambda *_: (made, named))
        patch.setattr(predict_parts, "PICTURES", 3)
        yield


def run(inputs, folder, **options):
    given = {"detector": "d", "pose": "p", "output_dir": str(folder)} | OPTIONS
    return predict([str(inputs)], **given | options)


def written(folder):
    """Bytes of all result files; the report holds times."""
    parts = ("parts", "predict.json")
    files = (path.relative_to(folder) for path in sorted(folder.rglob("*")) if path.is_file())
    return {str(f): (folder / f).read_bytes() for f in files if f.parts[0] not in parts}


def assert_same(found, expected):
    """The same files; numbers in JSON but for roundings, all else byte for byte."""
    assert found.keys() == expected.keys()
    for name, data in expected.items():
        if name.endswith(".json"):
            (one, numbers), (other, exact) = without_floats(found[name]), without_floats(data)
            assert one == other, name
            # In a batch of other people a network rounds differently; so may 0.01 px in a file.
            np.testing.assert_allclose(numbers, exact, rtol=1e-5, atol=0.0101, err_msg=name)
        else:
            assert found[name] == data, name


def without_floats(text):
    numbers = []
    document = json.loads(text, parse_float=lambda number: numbers.append(float(number)))
    return document, numbers


@pytest.fixture(scope="module")
def alone(inputs, tmp_path_factory):
    folder = tmp_path_factory.mktemp("alone")
    with pytest.raises(SomeInputsFailedError):
        run(inputs, folder, formats=FORMATS, **DRAWN)
    return folder


def finished(folder):
    return {path.name: path.stat().st_mtime_ns for path in (folder / "parts").glob("*.npz")}


@pytest.fixture(scope="module")
def sharded(inputs, tmp_path_factory):
    """Three shards, the first killed in the middle of its last part, and started again."""
    folder, whole = tmp_path_factory.mktemp("sharded"), Shard.take

    def killed(self, frame, result):
        if frame.name == "other/000001":
            raise KeyboardInterrupt
        whole(self, frame, result)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Shard, "take", killed)
        with pytest.raises(KeyboardInterrupt):
            run(inputs, folder, shard="0/3", **DRAWN)
    before = finished(folder)
    assert sorted(before) == ["000000.npz", "000003.npz"]
    for shard in ("2/3", "1/3", "0/3"):
        run(inputs, folder, shard=shard, **DRAWN)
    after = finished(folder)
    assert len(after) == 7 and before.items() <= after.items()  # what was finished is left alone
    return folder


def test_the_merge_writes_what_one_process_writes(alone, sharded, capsys):
    """In every format and drawing, twice; also one input of another's name."""
    expected = written(alone)
    assert {"images/c/X.jpg", "images/c/x_2.jpg", "videos/other.mp4"} < set(expected)
    assert {f"posetrack18/{name}.json" for name in ("a", "b", "c", "clip")} < set(expected)
    for _ in range(2):
        with pytest.raises(SomeInputsFailedError, match="2 of 13 inputs failed"):
            merge(str(sharded), FORMATS)
        assert_same(written(sharded), expected)
        told = capsys.readouterr()
        assert "name taken or unusable: 'c/x.jpg' is 'c/x_2.jpg'" in told.out
        assert "7 parts merged" in told.out and told.err.count("failed: ") == 2
    one, many = (json.loads((f / "predict.json").read_text()) for f in (alone, sharded))
    assert one["seconds"].keys() == many["seconds"].keys() and one["people"] > 10
    assert one | {"seconds": 0, "networks": 0} == many | {"seconds": 0, "networks": 0}


def test_a_part_that_is_not_whole_is_done_again_and_no_other(inputs, alone, sharded, tmp_path):
    folder = shutil.copytree(sharded, tmp_path / "copy")
    before = finished(folder)
    part = folder / "parts/000001.npz"
    part.write_bytes(part.read_bytes()[:-100])
    (folder / "parts/000004.npz").unlink()
    with pytest.raises(
        DataError, match=r"2 of 7 parts are not finished \(000001.npz, 000004.npz\)"
    ):
        merge(str(folder), ["openpose"])
    run(inputs, folder, shard="0/1", **DRAWN)  # another number of processes
    after = finished(folder)
    assert {name for name in after if after[name] != before[name]} == {"000001.npz", "000004.npz"}
    shutil.rmtree(folder / "coco", ignore_errors=True)
    with pytest.raises(SomeInputsFailedError):
        merge(str(folder), ["coco"])
    merged, whole = ({"r.json": written(f)["coco/results.json"]} for f in (folder, alone))
    assert_same(merged, whole)


def test_parts_of_another_run_are_refused(inputs, sharded, tmp_path, monkeypatch):
    with pytest.raises(UsageError, match="differs in drawing; give the same inputs and options"):
        run(inputs, sharded, shard="0/3")
    (tmp_path / "inputs").mkdir()
    for name in ("1.jpg", "2.jpg"):
        shutil.copy(inputs / "a" / name, tmp_path / "inputs")
    with pytest.raises(UsageError, match="differs in inputs"):
        run(tmp_path / "inputs", sharded, shard="0/3", **DRAWN)
    run(tmp_path / "inputs", tmp_path / "out", shard="0/2")
    foreign = (tmp_path / "out/parts/000000.npz").read_bytes()
    folder = shutil.copytree(sharded, tmp_path / "copy")
    (folder / "parts/000000.npz").write_bytes(foreign)
    with pytest.raises(DataError, match="1 of 7 parts"):
        merge(str(folder))


def test_a_process_without_a_part_has_nothing_to_do(inputs, sharded, capsys):
    document = run(inputs, sharded, shard="8/9", **DRAWN)
    assert document["frames"] == 0 and "shard 8 of 9: 0 of 7 parts" in capsys.readouterr().out


def test_what_is_no_shard_is_refused(tmp_path):
    assert parse_shard("3/16") == (3, 16)
    for text in ("3", "3/3", "-1/3", "1/0", "a/b", ""):
        with pytest.raises(UsageError, match="write I/N"):
            parse_shard(text)
    with pytest.raises(UsageError, match="--webcam and --shard"):
        predict([], webcam=0, pose="p", shard="0/2", output_dir=str(tmp_path))
    with pytest.raises(DataError, match="no parts here; predict with --shard=I/N first"):
        merge(str(tmp_path))


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        (["photos"], "photos: --merge takes --output_dir and --format alone"),
        (["--oks_nms=0.5"], "--oks_nms: --merge takes"),
    ],
)
def test_the_command_refuses_what_has_no_meaning_beside_merge(arguments, fault):
    command = [sys.executable, "-m", "jaxpose.predict", "--merge", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2 and fault in done.stderr, done.stderr
