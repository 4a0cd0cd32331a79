from pathlib import Path

import numpy as np
import pytest

from jaxpose.annotations.coco import write_coco_keypoints
from jaxpose.annotations.mpii import write_mpii_json, write_mpii_mat
from jaxpose.annotations.posetrack17 import write_posetrack17
from jaxpose.annotations.posetrack18 import write_posetrack18
from jaxpose.annotations.schema import AnnotationSet, Frame, Person, Rejections
from jaxpose.annotations.voc import CLASSES
from jaxpose.annotations.voc_writing import write_voc
from jaxpose.data.requirements import REQUIREMENTS
from jaxpose.data.sources import DATASETS, MPII_MATLAB, Source, read_source
from jaxpose.errors import DataError, UsageError
from jaxpose.skeletons import COCO, MPII, NO_JOINTS, POSETRACK17, POSETRACK18, Skeleton


def frames(skeleton: Skeleton, names: list[str], video: str = "") -> AnnotationSet:
    keypoints = np.tile([20.0, 30.0, 2.0], (skeleton.size, 1))
    keypoints[:, 0] += np.arange(skeleton.size)
    person = Person(
        keypoints,
        box_xyxy=np.array([10.0, 10, 60, 60]),
        head_box=np.array([20.0, 10, 30, 20]),
        center=np.array([30.0, 30]),
        scale=0.5,
        track_id=0,
    )
    found = [
        Frame(name, str(1000 + i), 90, 80, video, i if video else -1, persons=(person,))
        for i, name in enumerate(names)
    ]
    return AnnotationSet(skeleton, tuple(found))


def read(dataset, source):
    splits = read_source(dataset, source, Rejections())
    names = {s: [f.filename for f in split.annotations.frames] for s, split in splits.items()}
    return names, splits


@pytest.mark.parametrize(
    ("train", "val", "train_images", "val_images"),
    [
        ("person_keypoints_train2017.json", "person_keypoints_val2017.json", "train2017",
         "val2017"),
        ("person_keypoints_train.json", "person_keypoints_val.json", "images", "images"),
    ],
)  # fmt: skip
def test_coco_layouts(tmp_path, train, val, train_images, val_images):
    write_coco_keypoints(tmp_path / "annotations" / train, frames(COCO, ["1.jpg", "2.jpg"]))
    write_coco_keypoints(tmp_path / "annotations" / val, frames(COCO, ["3.jpg"]))
    names, splits = read("coco_keypoints", Source(tmp_path))
    assert names == {"train": ["1.jpg", "2.jpg"], "validation": ["3.jpg"]}
    assert splits["train"].images == tmp_path / train_images
    assert splits["validation"].images == tmp_path / val_images
    assert splits["validation"].files == (tmp_path / "annotations" / val,)


@pytest.mark.parametrize(
    ("kind", "year", "folder"),
    [
        ("instances", "2017", "train2017"),
        ("instances", "", "images"),
        ("person_keypoints", "2017", "train2017"),
        ("person_keypoints", "", "images"),
    ],
)
def test_coco_detection_layouts(tmp_path, kind, year, folder):
    annotations = tmp_path / "annotations"
    write_coco_keypoints(annotations / f"{kind}_train{year}.json", frames(COCO, ["1.jpg"]))
    names, splits = read("coco_detection", Source(tmp_path))
    assert names == {"train": ["1.jpg"]}
    assert splits["train"].images == tmp_path / folder
    assert splits["train"].annotations.skeleton is NO_JOINTS


def test_coco_detection_prefers_all_classes_to_persons(tmp_path):
    annotations = tmp_path / "annotations"
    write_coco_keypoints(annotations / "person_keypoints_train2017.json", frames(COCO, ["1.jpg"]))
    write_coco_keypoints(annotations / "instances_train2017.json", frames(COCO, ["2.jpg"]))
    assert read("coco_detection", Source(tmp_path))[0] == {"train": ["2.jpg"]}


def test_voc_layout(tmp_path):
    name = "VOC2007/JPEGImages/1.jpg"
    boxes = AnnotationSet(NO_JOINTS, (Frame(name, "VOC2007/1", 90, 80),), classes=CLASSES)
    write_voc(tmp_path, {"trainval": boxes, "test": boxes})
    names, splits = read("voc", Source(tmp_path))
    assert names == {"train": [name], "validation": [name]}
    files = [path.relative_to(tmp_path).as_posix() for path in splits["train"].files]
    assert files == ["VOC2007/ImageSets/Main/trainval.txt", "VOC2007/Annotations/1.xml"]
    assert splits["validation"].images == tmp_path
    with pytest.raises(UsageError, match="fixed layout"):
        read("voc", Source(tmp_path, images=tmp_path))


@pytest.mark.parametrize(
    ("dataset", "skeleton", "write"),
    [
        ("posetrack17", POSETRACK17, write_posetrack17),
        ("posetrack18", POSETRACK18, write_posetrack18),
    ],
)
def test_posetrack_layouts(tmp_path, dataset, skeleton, write):
    for split, video in (("train", "000001_a"), ("val", "000002_b")):
        name = f"images/{split}/{video}/000000.jpg"
        write(tmp_path / "annotations" / split, frames(skeleton, [name], video))
    names, splits = read(dataset, Source(tmp_path))
    assert names == {
        "train": ["images/train/000001_a/000000.jpg"],
        "validation": ["images/val/000002_b/000000.jpg"],
    }
    assert splits["train"].images == tmp_path
    assert [file.name for file in splits["train"].files] == ["000001_a.json"]


def test_mpii_json_layout(tmp_path):
    write_mpii_json(tmp_path / "annot/train.json", frames(MPII, ["a.jpg", "b.jpg"]))
    write_mpii_json(tmp_path / "annot/valid.json", frames(MPII, ["c.jpg"]))
    names, splits = read("mpii", Source(tmp_path))
    assert names == {"train": ["a.jpg", "b.jpg"], "validation": ["c.jpg"]}
    assert splits["train"].images == tmp_path / "images"
    for split in splits.values():
        assert "validation: annot/valid.json" in split.annotations.notes


def test_a_val_list_beside_a_validation_file_is_refused(tmp_path):
    """Both say which images validation takes; by the list alone, a.jpg would be one of them."""
    train, valid = tmp_path / "annot/train.json", tmp_path / "annot/valid.json"
    write_mpii_json(train, frames(MPII, ["a.jpg", "b.jpg"]))
    write_mpii_json(valid, frames(MPII, ["c.jpg"]))
    listed = tmp_path / "val.txt"
    listed.write_text("a.jpg\n")
    for parts in ({}, {"validation": valid}):
        with pytest.raises(UsageError, match=r"val\.txt has no use beside .*valid\.json"):
            read("mpii", Source(tmp_path, val_list=listed, **parts))
    names, _ = read("mpii", Source(tmp_path, val_list=listed, train=train))
    assert names == {"train": ["b.jpg"], "validation": ["a.jpg"]}


def test_a_validation_file_from_elsewhere_is_noted_without_its_folder(tmp_path):
    write_mpii_json(tmp_path / "own.json", frames(MPII, ["c.jpg"]))
    (tmp_path / "mpii").mkdir()
    source = Source(tmp_path / "mpii", validation=tmp_path / "own.json")
    notes = read("mpii", source)[1]["validation"].annotations.notes
    assert notes[-1] == "validation: own.json"


@pytest.mark.parametrize("matlab", [True, False])
def test_mpii_is_split_by_val_list(tmp_path, matlab):
    images = frames(MPII, ["a.jpg", "b.jpg", "c.jpg"])
    if matlab:
        pytest.importorskip("scipy")
        write_mpii_mat(tmp_path / MPII_MATLAB, images)
    else:
        write_mpii_json(tmp_path / "annot/train.json", images)
    (tmp_path / "val.txt").write_text("b.jpg\n")
    names, splits = read("mpii", Source(tmp_path, val_list=tmp_path / "val.txt"))
    assert names == {"train": ["a.jpg", "c.jpg"], "validation": ["b.jpg"]}
    assert any("val.txt" in note for note in splits["validation"].annotations.notes)


def test_parts_can_be_named_one_by_one(tmp_path):
    write_coco_keypoints(tmp_path / "mine.json", frames(COCO, ["1.jpg"]))
    write_coco_keypoints(tmp_path / "annotations/person_keypoints_train.json", frames(COCO, []))
    source = Source(tmp_path, validation=tmp_path / "mine.json", images=Path("elsewhere"))
    names, splits = read("coco_keypoints", source)
    assert names == {"validation": ["1.jpg"]}
    assert splits["validation"].images == Path("elsewhere")


@pytest.mark.parametrize("dataset", DATASETS)
def test_an_empty_folder_is_refused_with_the_expected_tree(tmp_path, dataset):
    with pytest.raises(DataError, match="(?i)expected: .*annot") as error:
        read_source(dataset, Source(tmp_path), Rejections())
    assert str(tmp_path) in str(error.value)
    assert "\n" not in str(error.value)


def test_a_missing_folder_is_refused(tmp_path):
    with pytest.raises(DataError, match="no such folder"):
        read_source("mpii", Source(tmp_path / "nowhere"), Rejections())


def test_val_list_is_for_mpii_only(tmp_path):
    with pytest.raises(UsageError, match="mpii only"):
        read_source("posetrack17", Source(tmp_path, val_list=tmp_path), Rejections())


def test_every_data_set_says_where_to_get_it():
    assert set(REQUIREMENTS) == set(DATASETS)
    for name, requirement in REQUIREMENTS.items():
        assert name in requirement.command
        assert all(vars(requirement)[part] for part in ("where", "tree", "disk", "time"))
