import cv2
import numpy as np
import pytest

from jaxpose.annotations.posetrack18 import write_posetrack18
from jaxpose.annotations.schema import AnnotationSet, Frame, Person
from jaxpose.data import sources
from jaxpose.data.build import build
from jaxpose.data.convert import DECODING
from jaxpose.data.manifest import open_records
from jaxpose.data.shard_files import read_window
from jaxpose.errors import DataError
from jaxpose.skeletons import POSETRACK18

tfds = pytest.importorskip("tensorflow_datasets")
import jaxpose.data.builders  # noqa: E402, F401

CANVAS = 64


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    """A PoseTrack18 folder: two frames with 2 and 1 persons, one that nobody annotated."""
    folder = tmp_path_factory.mktemp("posetrack18")
    rng = np.random.default_rng(0)
    frames = []
    for number, count in enumerate((2, 1, 0)):
        name = f"images/val/000001_drawn/{number:06d}.jpg"
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(folder / name), rng.integers(0, 256, (90, 120, 3), np.uint8))
        persons = tuple(
            Person(
                keypoints=np.column_stack([rng.uniform(20, 80, (17, 2)), np.full(17, 2)]),
                head_box=np.array([30.0, 20, 42, 36]),
                track_id=i,
            )
            for i in range(count)
        )
        polygon = (np.array([[0.0, 0], [9, 0], [9, 9]]),)
        frames.append(
            Frame(
                name,
                f"1000001{number:04d}",
                120,
                90,
                "000001_drawn",
                number,
                count > 0,
                persons,
                polygon,
            )  # fmt: skip
        )
    write_posetrack18(folder / "annotations/val", AnnotationSet(POSETRACK18, tuple(frames)))
    return folder


def load(name, videos, data_dir, split="validation"):
    config = tfds.download.DownloadConfig(manual_dir=str(videos), try_download_gcs=False)
    return tfds.load(
        name,
        split=split,
        data_dir=str(data_dir),
        builder_kwargs={"canvas": CANVAS},
        download_and_prepare_kwargs={"download_config": config},
    )


def test_names_are_registered():
    assert set(sources.DATASETS) <= set(tfds.list_builders())
    for name in sources.BOXES_ONLY:
        assert list(tfds.builder_cls(name).builder_configs) == ["images"]


def test_tfds_builds_from_the_manual_folder(videos, tmp_path):
    rows = list(tfds.as_numpy(load("posetrack18/people", videos, tmp_path)))
    assert [row["person/keypoints"].shape for row in rows] == [(17, 3)] * 3
    manifest = open_records(tmp_path / "posetrack18/people/1.0.0")
    assert manifest.split("validation").records == 3
    built = build("posetrack18", videos, tmp_path, "people", CANVAS, progress=False)
    assert built == manifest.path


def test_images_hold_all_frames_with_lists_of_people(videos, tmp_path):
    folder = build("posetrack18", videos, tmp_path, "images", CANVAS, progress=False)
    manifest = open_records(folder)
    rows = []
    for name, count in (("validation", 2), ("validation_unlabeled", 1)):
        rows += tfds.as_numpy(load("posetrack18/images", videos, tmp_path, name))
        assert manifest.split(name).records == count
    assert len(rows) == 3
    rows.sort(key=lambda row: row["frame/index"])
    assert [row["is_labeled"] for row in rows] == [True, True, False]
    assert [row["people/keypoints"].shape for row in rows] == [(n, 17, 3) for n in (2, 1, 0)]
    assert rows[0]["people/track_id"].tolist() == [0, 1]
    assert rows[0]["people/box_source"].tolist() == [b"keypoints"] * 2
    np.testing.assert_allclose(rows[0]["people/head_size"], [12, 12])  # 0.6 x hypot(12, 16)
    for row in rows:
        assert row["image/encoded"].shape == (48, 64, 3)
        assert row["video/id"] == b"000001_drawn"
        assert row["ignore/lengths"].tolist() == [3]
        assert (row["image/width"], row["image/height"]) == (120, 90)


def test_boxes_from_keypoints_get_the_extent_asked_for(videos, tmp_path):
    options = {"config": "images", "canvas": CANVAS, "format": "shards", "progress": False}
    folder = build("posetrack18", videos, tmp_path, **options, box_offsets=(0.25, 0.25, 0.25, 0.25))
    manifest = open_records(folder)
    assert manifest.notes == (
        "validation person boxes: 3 from keypoint extent x 1.5",
        "validation crops: 3 from head box",
        "validation head sizes: 3 as 0.6 x head-box diagonal",
        DECODING,
    )
    split = manifest.split("validation")
    assert (split.most_boxes, split.most_ignored) == (2, 1)
    for row in read_window(manifest, split.shards):
        for box, keypoints in zip(row["people/box_xyxy"], row["people/keypoints"], strict=True):
            low, high = keypoints[:, :2].min(0), keypoints[:, :2].max(0)
            margin = 0.25 * (high - low)
            np.testing.assert_allclose(box, [*(low - margin), *(high + margin)], rtol=1e-5)


def test_tfds_reads_what_the_tool_built(built):
    folder = built.records[0]
    rows = tfds.load("coco_keypoints/people", split="train", data_dir=str(folder.parents[2]))
    rows = list(tfds.as_numpy(rows))
    assert len(rows) == 36
    for row in rows:
        x1, y1, x2, y2 = row["image/valid"].astype(int)
        assert row["image/encoded"].shape == (y2 - y1, x2 - x1, 3)


def test_a_custom_name_keeps_its_joints(built):
    builder = tfds.builder_from_directory(str(built.records[1]))
    assert builder.info.features["person/keypoints"].shape == (14, 3)
    assert builder.info.full_name == "lspet/people/1.0.0"


@pytest.fixture
def small_drawings(monkeypatch):
    """Two videos of two frames instead of the default synthetic data set."""
    whole = sources.write_dataset

    def small(directory, **kwargs):
        kwargs |= {"train_videos": 1, "val_videos": 1, "frames_per_video": 2, "processes": 1}
        return whole(directory, size=(96, 72), **kwargs)

    monkeypatch.setattr(sources, "write_dataset", small)


def test_tfds_draws_synthetic_unless_the_manual_folder_holds_some(videos, tmp_path, small_drawings):
    for manual in (tmp_path / "none", tmp_path):
        (tmp_path / "other").touch()
        rows = load("synthetic/images", manual, tmp_path / f"data_{manual.name}")
        assert {row["dataset"] for row in tfds.as_numpy(rows)} == {b"synthetic"}
        assert len(rows) == 2
    assert len(load("synthetic/images", videos, tmp_path / "data")) == 2


def test_synthetic_draws_its_own_source(tmp_path, monkeypatch, small_drawings):
    folder = build("synthetic", None, tmp_path, "images", CANVAS, progress=False)
    manifest = open_records(folder)
    assert {name: split.records for name, split in manifest.splits.items()} == {
        "train": 2,
        "validation": 2,
    }
    monkeypatch.setattr(sources, "write_dataset", None)
    assert build("synthetic", None, tmp_path, "images", CANVAS, progress=False) == folder


def test_refused_records_end_the_build_without_remains(videos, tmp_path):
    for path in videos.rglob("*.jpg"):
        target = tmp_path / "source" / path.relative_to(videos)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(b"<html>")
    annotations = videos / "annotations/val"
    source = sources.Source(tmp_path / "source", validation=annotations)
    with pytest.raises(DataError, match="neither JPEG nor PNG"):
        build("posetrack18", source, tmp_path, "people", CANVAS, progress=False)
    with pytest.raises(DataError, match="every record of split validation was refused"):
        build("posetrack18", source, tmp_path, "people", CANVAS, skip_bad=9, progress=False)
    assert [path.name for path in (tmp_path / "posetrack18/people").iterdir()] == [".lock"]
