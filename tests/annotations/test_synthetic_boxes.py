"""Drawn people as COCO and VOC files: read back by the readers of the real ones."""

import numpy as np
import pytest

from jaxpose.annotations.coco import read_coco_detection
from jaxpose.annotations.images import read_image
from jaxpose.annotations.synthetic import draw_dataset
from jaxpose.annotations.synthetic_boxes import write_coco_boxes, write_voc_boxes
from jaxpose.annotations.voc import CLASSES, read_voc

AMOUNT = {"train_videos": 3, "val_videos": 2, "frames_per_video": 4, "size": (96, 72)}


@pytest.fixture(scope="module")
def drawn():
    """By split, the stills that are expected: every second frame with annotated people."""
    videos = draw_dataset(5, *AMOUNT.values())
    return {
        split: [f for v in videos if v.split == split for f in v.frames[::2] if f[1].persons]
        for split in ("train", "val")
    }


def coco(folder):
    count = write_coco_boxes(folder, 5, **AMOUNT)
    splits = {s: read_coco_detection(folder / f"annotations/instances_{s}.json") for s in
              ("train", "val")}  # fmt: skip
    return count, splits, folder / "images"


def voc(folder):
    count = write_voc_boxes(folder, 5, **AMOUNT)
    splits = read_voc(folder)
    return count, {"train": splits["train"], "val": splits["validation"]}, folder


@pytest.mark.parametrize("write", [coco, voc])
def test_stills_come_back_with_their_boxes(tmp_path, drawn, write):
    count, splits, root = write(tmp_path)
    assert count == sum(map(len, drawn.values())) > 0
    for split, expected in drawn.items():
        for frame, (image, truth) in zip(splits[split].frames, expected, strict=True):
            stored = read_image(root / frame.filename)
            assert stored.shape == image.shape
            assert np.abs(stored.astype(int) - image).mean() < 6
            marked = [p.iscrowd or p.difficult for p in frame.persons]
            wanted = len(truth.persons), len(truth.ignore_polygons)
            assert (marked.count(False), marked.count(True)) == wanted
            limits = [truth.width, truth.height] * 2
            for person, annotated in zip(frame.persons, truth.persons, strict=False):
                box = np.clip(annotated.box_xyxy, 0, limits)
                np.testing.assert_allclose(person.box_xyxy, box, atol=1e-6)
                assert person.category == "person"


def test_classes(tmp_path):
    _, splits, _ = coco(tmp_path / "coco")
    assert splits["train"].classes == ("person",)
    _, splits, _ = voc(tmp_path / "voc")
    assert splits["train"].classes == CLASSES


def test_the_same_seed_gives_the_same_bytes(tmp_path):
    for name in ("a", "b"):
        write_coco_boxes(tmp_path / name, 5, **AMOUNT)
    files = [sorted(p for p in (tmp_path / n).rglob("*") if p.is_file()) for n in ("a", "b")]
    assert len(files[0]) > 3
    assert [p.read_bytes() for p in files[0]] == [p.read_bytes() for p in files[1]]
