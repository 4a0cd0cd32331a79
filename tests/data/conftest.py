"""Tiny sources, and data sets built from them in both formats."""

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from jaxpose.annotations.coco import read_coco_keypoints, write_coco_keypoints
from jaxpose.annotations.schema import AnnotationSet, Frame, Person
from jaxpose.data.build import build
from jaxpose.data.manifest import record_folder
from jaxpose.data.plan import SourceSplit
from jaxpose.skeletons import COCO, LSP, NO_JOINTS, Skeleton

CANVAS = 64
SHARD_RECORDS = 5


@dataclass(frozen=True)
class Built:
    """Folders of two data sets, by format."""

    records: tuple[Path, Path]
    shards: tuple[Path, Path]

    def of(self, source: str) -> tuple[Path, Path]:
        return self.records if source == "records" else self.shards


def _person(rng: np.random.Generator, skeleton: Skeleton, size: tuple[int, int]) -> Person:
    low, high = np.array([4.0, 4.0]), np.array(size) - 5.0
    xy = np.round(rng.uniform(low, high, (skeleton.size, 2)), 2)
    seen = rng.integers(0, 3, skeleton.size)
    seen[0] = 2
    keypoints = np.where(seen[:, None] > 0, np.column_stack([xy, seen]), 0.0)
    box = np.array([2.0, 2.0, size[0] - 3.0, size[1] - 3.0])
    return Person(keypoints=keypoints, box_xyxy=box, area=float(rng.integers(100, 900)))


def _photo(rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    small = rng.integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return cv2.resize(small, size, interpolation=cv2.INTER_CUBIC)


def write_source(
    folder: Path, skeleton: Skeleton, train: int, validation: int, seed: int = 0
) -> Path:
    """A COCO-format source: images/ and annotations/person_keypoints_{train,val}.json."""
    rng = np.random.default_rng(seed)
    (folder / "images").mkdir(parents=True, exist_ok=True)
    number = 0
    for split, count in (("train", train), ("val", validation)):
        frames = []
        for _ in range(count):
            number += 1
            size = (int(rng.integers(40, 120)), int(rng.integers(40, 120)))
            name = f"{number:06d}.jpg"
            cv2.imwrite(str(folder / "images" / name), _photo(rng, size))
            persons = tuple(_person(rng, skeleton, size) for _ in range(1 + number % 2))
            frames.append(Frame(name, str(number), size[0], size[1], persons=persons))
        path = folder / "annotations" / f"person_keypoints_{split}.json"
        write_coco_keypoints(path, AnnotationSet(skeleton, tuple(frames)))
    return folder


@pytest.fixture(scope="session")
def make_source() -> Callable[..., Path]:
    return write_source


@pytest.fixture(scope="session")
def coco_source(made_once: Callable) -> Path:
    """24 + 7 images with 1 or 2 persons of COCO's 17 joints each."""
    return made_once("coco", lambda folder: write_source(folder, COCO, 24, 7))


@pytest.fixture(scope="session", autouse=True)
def small_shards() -> Iterator[None]:
    """Shards of a few records instead of 32 MiB, so that tiny sets have several."""
    with pytest.MonkeyPatch.context() as patch:
        size = int(0.4 * CANVAS**2 * SHARD_RECORDS)
        patch.setattr("jaxpose.data.records._SHARD_BYTES", size)
        yield


@pytest.fixture(scope="session")
def built(
    coco_source: Path, made_once: Callable, tmp_path_factory: pytest.TempPathFactory
) -> Built:
    """`coco_keypoints` and `lspet` (14 joints), built as records and as shards."""
    sets = {"coco_keypoints": coco_source, "lspet": made_once("lsp", _write_lsp)}

    def make(folder: Path) -> None:
        for format in ("records", "shards"):
            for name, source in sets.items():
                arguments = (source, folder, "people", CANVAS, format, name)
                build("coco_keypoints", *arguments, progress=False)

    # A copy, since whoever builds again takes the lock of what is there.
    copied = tmp_path_factory.mktemp("built") / "people"
    shutil.copytree(made_once("built", make), copied)
    folders = (
        tuple(record_folder(copied, name, "people", format) for name in sets)
        for format in ("records", "shards")
    )
    return Built(*folders)


def _write_lsp(folder: Path) -> None:
    write_source(folder, LSP, 13, 4, seed=1)


@dataclass(frozen=True)
class BuiltImages(Built):
    """The same of config `images`, with the frames that they were built from, by set and id."""

    frames: tuple[dict[str, Frame], dict[str, Frame]]


def _with_objects(
    frame: Frame, rng: np.random.Generator, skeleton: Skeleton, classes: tuple[str, ...]
) -> Frame:
    """The frame with 0 to 3 objects, one of unknown extent at times, and 0 to 2 polygons."""
    one_joint = np.zeros((skeleton.size, 3))
    one_joint[:1] = 9, 9, 2
    objects = [
        Person(
            keypoints=np.zeros((skeleton.size, 3)),
            box_xyxy=np.sort(rng.uniform(0, 40, (2, 2)), 0).ravel(),
            category=classes[rng.integers(len(classes))],
            difficult=bool(rng.integers(2)),
            iscrowd=bool(rng.integers(2)),
        )
        for _ in range(rng.integers(4))
    ]
    if rng.integers(3) == 0:
        unknown = Person(one_joint, category=classes[0])
        objects.insert(int(rng.integers(len(objects) + 1)), unknown)
    polygons = tuple(rng.uniform(0, 40, (rng.integers(3, 6), 2)) for _ in range(rng.integers(3)))
    return replace(frame, persons=tuple(objects), ignore_polygons=polygons)


def _image_splits(
    source: Path, seed: int, skeleton: Skeleton, classes: tuple[str, ...]
) -> dict[str, SourceSplit]:
    """The frames of a source of `write_source`, with other annotations."""
    rng = np.random.default_rng(seed)
    splits = {}
    for split, file in (("train", "train"), ("validation", "val")):
        path = source / "annotations" / f"person_keypoints_{file}.json"
        plain = read_coco_keypoints(path).frames
        frames = tuple(_with_objects(frame, rng, skeleton, classes) for frame in plain)
        annotations = AnnotationSet(skeleton, frames, classes=classes)
        splits[split] = SourceSplit(annotations, source / "images", (path,))
    return splits


@pytest.fixture(scope="session")
def built_images(coco_source: Path, made_once: Callable) -> BuiltImages:
    """`street` (person, dog) of 24 + 7 frames; `farm` (dog, cat, person, no joints) of 13 + 4."""
    farm = made_once("farm", lambda folder: write_source(folder, COCO, 13, 4, seed=1))
    sets = {
        "street": (coco_source, _image_splits(coco_source, 2, COCO, ("person", "dog"))),
        "farm": (farm, _image_splits(farm, 3, NO_JOINTS, ("dog", "cat", "person"))),
    }

    def make(folder: Path) -> None:
        for name, (source, splits) in sets.items():
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr("jaxpose.data.build.read_source", lambda *_, splits=splits: splits)
                for format in ("records", "shards"):
                    arguments = (source, folder, "images", CANVAS, format, name)
                    build("coco_keypoints", *arguments, progress=False)

    root = made_once("built_images", make)
    records, shards = (
        tuple(record_folder(root, name, "images", format) for name in sets)
        for format in ("records", "shards")
    )
    frames = tuple(
        {frame.image_id: frame for part in splits.values() for frame in part.annotations.frames}
        for _, splits in sets.values()
    )
    return BuiltImages(records, shards, frames)
