"""Sets of boxes without joints, from their files to the records of both formats."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from jaxpose.annotations.coco import write_coco_detection
from jaxpose.annotations.schema import AnnotationSet, Frame, Person
from jaxpose.annotations.voc import CLASSES
from jaxpose.annotations.voc_writing import write_voc
from jaxpose.data.build import build
from jaxpose.data.convert import DECODING
from jaxpose.data.manifest import open_records
from jaxpose.data.shard_files import read_window
from jaxpose.errors import DataError, UsageError
from jaxpose.skeletons import NO_JOINTS

CANVAS = 64


def detections(names, counts, classes, root, seed=0):
    """Frames with boxes; their pictures are written below `root`."""
    rng = np.random.default_rng(seed)
    frames = []
    for name, count in zip(names, counts, strict=True):
        width, height = (int(side) for side in rng.integers(50, 120, 2))
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        picture = rng.integers(0, 256, (height, width, 3), np.uint8)
        cv2.imwrite(str(root / name), cv2.GaussianBlur(picture, (5, 5), 0))
        objects = tuple(
            Person(
                keypoints=np.zeros((0, 3)),
                box_xyxy=np.array([*rng.integers(1, 20, 2), *rng.integers(21, 49, 2)], float),
                difficult=bool(rng.integers(2)),
                category=classes[rng.integers(len(classes))],
            )
            for _ in range(count)
        )
        frames.append(Frame(name, str(len(frames) + 1), width, height, persons=objects))
    return AnnotationSet(NO_JOINTS, tuple(frames), classes=classes)


@pytest.fixture(scope="module")
def devkit(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("VOCdevkit")
    train = [f"VOC{year}/JPEGImages/{n:06d}.jpg" for year in (2007, 2012) for n in range(6)]
    test = [f"VOC2007/JPEGImages/{n:06d}.jpg" for n in range(6, 9)]
    write_voc(folder, {"trainval": detections(train, [0, 1, 2, 3, 1, 2] * 2, CLASSES, folder)})
    write_voc(folder, {"test": detections(test, [1, 0, 4], CLASSES, folder, seed=1)})
    return folder


@pytest.fixture(scope="module")
def coco(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("coco")
    classes = ("person", "dog")
    for split, names in (("train", ["1.jpg", "2.jpg", "3.jpg"]), ("val", ["4.jpg", "5.jpg"])):
        found = detections(names, range(len(names)), classes, folder / "images")
        write_coco_detection(folder / f"annotations/instances_{split}.json", found)
    return folder


def rows_of(folder, split):
    manifest = open_records(folder)
    return read_window(manifest, manifest.split(split).shards)


def test_voc_as_shards(devkit, tmp_path):
    folder = build("voc", devkit, tmp_path, "images", CANVAS, "shards", progress=False)
    manifest = open_records(folder)
    assert manifest.classes == CLASSES and manifest.skeleton == NO_JOINTS
    assert {s: (p.records, p.most_boxes, p.most_ignored) for s, p in manifest.splits.items()} == {
        "train": (12, 3, 0),
        "validation": (3, 4, 0),
    }
    assert manifest.notes == (
        "train is VOC2007 trainval + VOC2012 trainval",
        "validation is VOC2007 test",
        "train object boxes: 18 annotated",
        "validation object boxes: 5 annotated",
        DECODING,
    )
    for row in rows_of(folder, "validation"):
        count = {"VOC2007/000006": 1, "VOC2007/000007": 0, "VOC2007/000008": 4}[row["image/id"]]
        assert "people/keypoints" not in row
        assert row["people/box_xyxy"].shape == (count, 4)
        names = [CLASSES[i] for i in row["people/class_id"]]
        assert names == list(row["people/category"])
        assert set(row["people/box_source"]) <= {"annotated"}
        assert row["is_labeled"] and row["dataset"] == "voc"


def test_boxes_and_flags_are_those_of_the_file(devkit, tmp_path):
    folder = build("voc", devkit, tmp_path, "images", CANVAS, "shards", progress=False)
    names = [f"VOC2007/JPEGImages/{n:06d}.jpg" for n in range(6, 9)]
    written = detections(names, [1, 0, 4], CLASSES, tmp_path, seed=1)
    expected = {frame.filename: frame for frame in written.frames}
    for row in rows_of(folder, "validation"):
        frame = expected[row["image/filename"]]
        assert (row["image/width"], row["image/height"]) == (frame.width, frame.height)
        for i, person in enumerate(frame.persons):
            np.testing.assert_array_equal(row["people/box_xyxy"][i], person.box_xyxy)
            assert row["people/difficult"][i] == person.difficult
            assert row["people/category"][i] == person.category


@pytest.mark.parametrize("dataset", ["voc", "coco_detection"])
def test_both_formats_hold_the_same(devkit, coco, tmp_path, dataset):
    tfds = pytest.importorskip("tensorflow_datasets")
    source = {"voc": devkit, "coco_detection": coco}[dataset]
    shards, records = (
        build(dataset, source, tmp_path, "images", CANVAS, format, progress=False)
        for format in ("shards", "records")
    )
    first, second = map(open_records, (shards, records))
    assert (first.classes, first.notes) == (second.classes, second.notes)
    for split in first.splits:
        assert first.split(split).most_boxes == second.split(split).most_boxes
        found = tfds.load(
            f"{dataset}/images",
            split=split,
            data_dir=str(tmp_path),
            decoders={"image/encoded": tfds.decode.SkipDecoding()},
        )
        for row, other in zip(rows_of(shards, split), tfds.as_numpy(found), strict=True):
            assert row.keys() == other.keys()
            for name, value in row.items():
                if name == "image/encoded":
                    assert bytes(value) == other[name]
                elif isinstance(value, str):
                    assert value == other[name].decode()
                elif other[name].dtype == object:
                    assert list(value) == [text.decode() for text in other[name]]
                else:
                    assert value.shape == other[name].shape, name
                    np.testing.assert_array_equal(value, other[name])


@pytest.mark.parametrize("format", ["records", "shards"])
def test_the_same_bytes_twice(devkit, tmp_path, format):
    if format == "records":
        pytest.importorskip("tensorflow_datasets")
    contents = [
        {
            path.name: path.read_bytes()
            for path in build(
                "voc", devkit, tmp_path / n, "images", CANVAS, format, progress=False
            ).iterdir()
        }
        for n in "ab"
    ]
    assert contents[0] == contents[1]


@pytest.mark.parametrize("dataset", ["voc", "coco_detection"])
def test_people_of_boxes_are_refused(devkit, tmp_path, dataset):
    with pytest.raises(UsageError, match=f"{dataset} holds boxes and no joints: .*config=images"):
        build(dataset, devkit, tmp_path, "people", CANVAS, "shards", progress=False)


def test_an_image_of_another_size_than_its_xml_says_is_refused(tmp_path):
    source = tmp_path / "devkit"
    names = ["VOC2007/JPEGImages/1.jpg", "VOC2007/JPEGImages/2.jpg"]
    write_voc(source, {"trainval": detections(names, [1, 1], CLASSES, source), "test":
                       detections(names[:1], [1], CLASSES, source)})  # fmt: skip
    cv2.imwrite(str(source / names[1]), np.zeros((33, 44, 3), np.uint8))
    with pytest.raises(DataError, match=r"2.jpg: VOC2007/2: image is 44 x 33, annotated as"):
        build("voc", source, tmp_path, "images", CANVAS, "shards", progress=False)
    folder = build("voc", source, tmp_path, "images", CANVAS, "shards", skip_bad=1, progress=False)
    assert open_records(folder).split("train").records == 1


def test_splits_of_other_classes_are_refused(tmp_path):
    for split, classes in (("train", ("person", "dog")), ("val", ("person", "cat"))):
        found = detections([f"{split}.jpg"], [1], classes, tmp_path / "images")
        write_coco_detection(tmp_path / f"annotations/instances_{split}.json", found)
    with pytest.raises(DataError, match="differ in their classes"):
        build("coco_detection", tmp_path, tmp_path, "images", CANVAS, "shards", progress=False)
