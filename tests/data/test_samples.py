"""Real photographs and annotations, where JAXPOSE_SAMPLES names their folder."""

import dataclasses
import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from jaxpose.annotations.coco import read_coco_keypoints, write_coco_keypoints
from jaxpose.annotations.images import read_image
from jaxpose.data.build import build
from jaxpose.data.convert import DECODING
from jaxpose.data.manifest import open_records
from jaxpose.data.people_batches import people_rows
from jaxpose.data.pipeline import eval_batches
from jaxpose.data.shard_files import read_window
from jaxpose.data.sources import Source
from jaxpose.skeletons import COCO, MPII, POSETRACK17

if "JAXPOSE_SAMPLES" not in os.environ:
    pytest.skip("JAXPOSE_SAMPLES is not set", allow_module_level=True)
SAMPLES = Path(os.environ["JAXPOSE_SAMPLES"])


def mpii_source():
    folder = SAMPLES / "mpii"
    return Source(folder, train=folder / "test_mpii.json", images=folder)


def records(folder, split):
    manifest = open_records(folder)
    return read_window(manifest, manifest.split(split).shards)


def test_posetrack18(tmp_path):
    source = SAMPLES / "posetrack18"
    folder = build("posetrack18", source, tmp_path, format="shards", progress=False)
    rows = records(folder, "validation")
    assert len(rows) == 14
    for row in rows:
        head = row["person/head_box"]
        diagonal = np.hypot(head[2] - head[0], head[3] - head[1])
        assert row["person/head_size"] == pytest.approx(0.6 * diagonal, rel=1e-4)
        assert 200 * row["person/scale"] == pytest.approx(6 * diagonal, rel=1e-4)
        assert row["person/box_source"] == "annotated"
    batches = list(eval_batches(folder, "validation", people_rows(POSETRACK17), 4, source="shards"))
    assert sum(batch["mask"].sum() for batch in batches) == 14


def test_mpii(tmp_path):
    folder = build("mpii", mpii_source(), tmp_path, format="shards", progress=False)
    rows = records(folder, "train")
    assert len(rows) == 5
    by_name = {row["image/filename"]: row for row in rows}
    row = by_name["005808361.jpg"]  # raw scale 4.718488, centre (966, 340) counted from 1
    assert row["person/scale"] == pytest.approx(1.25 * 4.718488)
    np.testing.assert_allclose(row["person/center"], [965, 339 + 15 * 4.718488], rtol=1e-6)
    assert row["person/head_size"] == pytest.approx(25 * 4.718488)


def test_canvases_show_the_photograph_where_the_matrix_says(tmp_path):
    folder = build("mpii", mpii_source(), tmp_path, format="shards", progress=False)
    for batch in eval_batches(folder, "train", people_rows(MPII), 1, source="shards"):
        name = batch["id"][0].removeprefix("mpii/").partition("#")[0]
        photo = read_image(SAMPLES / "mpii" / name)
        matrix = batch["matrix"][0]
        warped = cv2.warpAffine(photo, matrix, (512, 512), flags=cv2.INTER_AREA)
        difference = np.abs(warped.astype(float) - batch["image"][0])
        inside = batch["image"][0].any(-1)
        assert inside.mean() > 0.1
        assert difference[inside].mean() < 8  # area averaging and JPEG against bilinear sampling


def test_decoders_agree_on_real_photographs(tmp_path):
    pytest.importorskip("tensorflow")
    crops = SAMPLES.parent / "coco_people_crops"
    if not crops.exists():
        pytest.skip("no coco_people_crops beside the samples")
    found = read_coco_keypoints(crops / "annotations/person_keypoints_val.json")
    few = dataclasses.replace(found, frames=found.frames[:120])
    write_coco_keypoints(tmp_path / "few.json", few)
    source = Source(crops, validation=tmp_path / "few.json", images=crops / "images")
    batches = [
        eval_batches(
            build("coco_keypoints", source, tmp_path, format=format, progress=False),
            "validation",
            people_rows(COCO),
            30,
            source=format,
        )
        for format in ("records", "shards")
    ]
    for first, second in zip(*batches, strict=True):
        for name in first:
            np.testing.assert_array_equal(first[name], second[name], name)


@pytest.mark.parametrize("format", ["shards", "records"])
def test_voc(tmp_path, format):
    if format == "records":
        pytest.importorskip("tensorflow_datasets")
    source = SAMPLES / "VOCdevkit"
    folder = build("voc", source, tmp_path, "images", format=format, progress=False)
    manifest = open_records(folder)
    assert {name: split.records for name, split in manifest.splits.items()} == {
        "train": 2,
        "validation": 1,
    }
    assert manifest.split("train").most_boxes == 2 and manifest.classes[14] == "person"
    if format == "shards":
        (row,) = records(folder, "validation")
        assert row["image/valid"].tolist() == [0, 0, 353, 500]
        assert list(row["people/category"]) == ["dog", "person"]
        np.testing.assert_array_equal(row["people/box_xyxy"][1], [7, 11, 351, 497])


def test_coco_boxes(tmp_path):
    folder = SAMPLES / "coco"
    source = Source(folder, validation=folder / "test_coco.json", images=folder)
    built = build("coco_detection", source, tmp_path, "images", format="shards", progress=False)
    assert open_records(built).notes == ("validation person boxes: 14 annotated", DECODING)
    assert sum(len(row["people/box_xyxy"]) for row in records(built, "validation")) == 14
