import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys

import cv2
import numpy as np
import pytest

from jaxpose.annotations.coco import read_coco_keypoints, write_coco_keypoints
from jaxpose.annotations.schema import AnnotationSet
from jaxpose.data import build as build_module
from jaxpose.data import records
from jaxpose.data.build import build
from jaxpose.data.manifest import open_records, read_manifest, record_folder
from jaxpose.data.shard_files import read_window
from jaxpose.data.sources import Source
from jaxpose.errors import DataError, UsageError

CANVAS = 64


def build_shards(source, data_dir, **kwargs):
    kwargs = {"canvas": CANVAS, "format": "shards", "progress": False} | kwargs
    return build("coco_keypoints", source, data_dir, **kwargs)


@pytest.fixture
def own_source(coco_source, tmp_path):
    """A copy of the source that a test may damage."""
    return shutil.copytree(coco_source, tmp_path / "source")


def contents(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


_BUILD = """
import sys
from jaxpose.data import build, records
records._SHARD_BYTES = int(sys.argv[4])
build.build("coco_keypoints", sys.argv[1], sys.argv[2], "people", 64, sys.argv[3], progress=False)
"""


@pytest.mark.parametrize("format", ["records", "shards"])
def test_two_builds_have_the_same_bytes(coco_source, built, tmp_path, format):
    """In two processes: hash seeds and the number of threads must not matter."""
    arguments = [str(coco_source), str(tmp_path), format, str(records._SHARD_BYTES)]
    subprocess.run([sys.executable, "-c", _BUILD, *arguments], check=True, timeout=300)
    again = record_folder(tmp_path, "coco_keypoints", "people", format)
    assert contents(again) == contents(built.of(format)[0])


def test_both_formats_are_cut_at_the_same_records(built):
    for folders in zip(built.records, built.shards, strict=True):
        first, second = map(open_records, folders)
        assert first.source_digest == second.source_digest
        for name, split in first.splits.items():
            counts = [shard.records for shard in split.shards]
            assert counts == [shard.records for shard in second.split(name).shards]
            assert len(counts) > 1 or name == "validation"


def test_records_hold_what_was_annotated(coco_source, built):
    manifest = open_records(built.shards[0])
    annotations = {
        split: read_coco_keypoints(coco_source / f"annotations/person_keypoints_{name}.json")
        for split, name in (("train", "train"), ("validation", "val"))
    }
    for split, found in annotations.items():
        rows = read_window(manifest, manifest.split(split).shards)
        people = {(f.image_id, i): p for f in found.frames for i, p in enumerate(f.persons)}
        assert len(rows) == len(people) == manifest.split(split).records
        for row in rows:
            person = people.pop((row["image/id"], int(row["person/index"])))
            np.testing.assert_allclose(row["person/keypoints"], person.keypoints, rtol=1e-6)
            np.testing.assert_allclose(row["person/box_xyxy"], person.box_xyxy, rtol=1e-6)
            assert row["dataset"] == "coco_keypoints"
            assert row["is_labeled"]


def test_a_second_build_does_nothing(coco_source, built, monkeypatch):
    def never(*_):
        raise AssertionError("converted again")

    monkeypatch.setattr(build_module, "convert_split", never)
    folder = built.shards[0]
    before = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    assert build_shards(coco_source, folder.parents[2]) == folder
    assert {path.name: path.stat().st_mtime_ns for path in folder.iterdir()} == before


def test_another_source_canvas_or_annotation_is_refused(own_source, tmp_path):
    folder = build_shards(own_source, tmp_path)
    for option in ({"canvas": 96}, {"box_offsets": (0.1, 0.1, 0.1, 0.1)}, {"jpeg_quality": 50}):
        with pytest.raises(DataError, match="another source"):
            build_shards(own_source, tmp_path, **option)
    file = own_source / "annotations/person_keypoints_val.json"
    found = read_coco_keypoints(file)
    write_coco_keypoints(file, AnnotationSet(found.skeleton, found.frames[1:]))
    with pytest.raises(DataError, match="another source"):
        build_shards(own_source, tmp_path)
    assert build_shards(own_source, tmp_path, name="other") != folder


def test_damage_of_a_built_set_is_not_called_built(own_source, tmp_path):
    folder = build_shards(own_source, tmp_path)
    shard = next(folder.glob("*.npz"))
    shard.write_bytes(shard.read_bytes()[:-1])
    with pytest.raises(DataError, match=shard.name):
        build_shards(own_source, tmp_path)


_KILLED = """
import os, signal, sys
from jaxpose.data import build, convert
def encode(*arguments, count=[0], whole=convert.encode_canvas):
    count[0] += 1
    if count[0] == 20:
        os.kill(os.getpid(), signal.SIGKILL)
    return whole(*arguments)
convert.encode_canvas = encode
build.build("coco_keypoints", sys.argv[1], sys.argv[2], "people", 64, sys.argv[3], progress=False)
"""


@pytest.mark.parametrize("format", ["records", "shards"])
def test_a_killed_build_leaves_nothing_that_counts(coco_source, tmp_path, format):
    command = [sys.executable, "-c", _KILLED, str(coco_source), str(tmp_path), format]
    killed = subprocess.run(command, capture_output=True, timeout=300)
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
    config = tmp_path / "coco_keypoints" / ("people" if format == "records" else "people-shards")
    assert [path.name for path in config.glob("*") if path.name == "1.0.0"] == []
    assert list(config.glob("incomplete.*_1.0.0"))
    folder = build(
        "coco_keypoints", coco_source, tmp_path, "people", CANVAS, format, progress=False
    )
    open_records(folder)
    assert not list(config.glob("incomplete.*"))


def test_a_folder_without_manifest_is_not_touched(coco_source, tmp_path):
    folder = tmp_path / "coco_keypoints/people-shards/1.0.0"
    folder.mkdir(parents=True)
    (folder / "precious").write_text("x")
    with pytest.raises(DataError, match="without a manifest"):
        build_shards(coco_source, tmp_path)
    assert (folder / "precious").exists()


def test_two_builds_at_once_are_refused(coco_source, tmp_path):
    lock = tmp_path / "coco_keypoints/people-shards/.lock"
    lock.parent.mkdir(parents=True)
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(DataError, match="another process"):
            build_shards(coco_source, tmp_path)


def test_a_place_that_cannot_be_written_is_reported(coco_source, tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(DataError, match="cannot be written"):
        build_shards(coco_source, tmp_path / "file")


def test_missing_images_are_counted_before_the_start(own_source, tmp_path):
    images = sorted((own_source / "images").iterdir())
    images[0].unlink()
    images[3].unlink()
    with pytest.raises(DataError, match=r"2 images are missing.*0000.*--allow_missing=2"):
        build_shards(own_source, tmp_path, allow_missing=1)
    manifest = read_manifest(build_shards(own_source, tmp_path, allow_missing=2))
    assert "2 missing images were left out" in manifest.notes
    assert manifest.split("train").records == 24 + 12 - 3  # persons of images 1 and 4: 2 + 1


def test_bad_images_are_refused_by_name_or_skipped(own_source, tmp_path):
    bad = sorted((own_source / "images").iterdir())[5]
    bad.write_bytes(bad.read_bytes()[:-400])
    with pytest.raises(DataError, match=bad.name):
        build_shards(own_source, tmp_path)
    assert not list((tmp_path / "coco_keypoints").rglob("*.npz"))
    folder = build_shards(own_source, tmp_path, skip_bad=1)
    rows = [json.loads(line) for line in (folder / "rejects.jsonl").read_text().splitlines()]
    assert [row["file"] for row in rows] == [str(bad)]
    assert "1 records were refused, see rejects.jsonl" in read_manifest(folder).notes


def test_an_image_of_another_size_than_annotated_is_refused(own_source, tmp_path):
    path = sorted((own_source / "images").iterdir())[2]
    cv2.imwrite(str(path), np.zeros((33, 44, 3), np.uint8))
    with pytest.raises(DataError, match=rf"{path.name}.*44 x 33"):
        build_shards(own_source, tmp_path)


def test_a_split_without_people_drops_out(own_source, tmp_path):
    file = own_source / "annotations/person_keypoints_val.json"
    found = read_coco_keypoints(file)
    write_coco_keypoints(file, AnnotationSet(found.skeleton, ()))
    manifest = read_manifest(build_shards(own_source, tmp_path))
    assert list(manifest.splits) == ["train"]
    assert "split validation is empty and was left out" in manifest.notes


def test_a_name_that_leads_out_of_the_images_is_refused(own_source, tmp_path):
    path = sorted((own_source / "images").iterdir())[0]
    outside = path.rename(tmp_path / "outside.jpg")
    os.symlink(outside, path)
    with pytest.raises(DataError, match=path.name):
        build_shards(own_source, tmp_path)


@pytest.mark.parametrize(
    "kwargs",
    [
        {"config": "faces"},
        {"format": "zip"},
        {"canvas": 8},
        {"canvas": 4097},
        {"box_offsets": (0.1, 0.1, -0.1, 0.1)},
        {"box_offsets": (0.1, 0.1, float("nan"), 0.1)},
        {"jpeg_quality": 0},
        {"name": "../x"},
        {"name": "Upper"},
        {"source": None},
    ],
)
def test_impossible_arguments_are_refused(coco_source, tmp_path, kwargs):
    with pytest.raises(UsageError):
        build_shards(**({"source": coco_source, "data_dir": tmp_path} | kwargs))


def test_images_hold_frames_without_people_too(coco_source, tmp_path):
    file = coco_source / "annotations/person_keypoints_val.json"
    source = Source(coco_source, validation=file, images=coco_source / "images")
    folder = build_shards(source, tmp_path, config="images", name="frames")
    manifest = open_records(folder)
    assert list(manifest.splits) == ["validation"]
    rows = read_window(manifest, manifest.split("validation").shards)
    assert len(rows) == 7
    for row in rows:
        x1, y1, x2, y2 = row["image/valid"].astype(int)
        assert (x1, y1) == (0, 0) and max(x2, y2) <= CANVAS
        image = cv2.imdecode(row["image/encoded"], cv2.IMREAD_COLOR)
        assert image.shape == (y2, x2, 3)
        assert len(row["people/keypoints"]) == 1 + int(row["image/id"]) % 2
