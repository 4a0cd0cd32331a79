"""PASCAL VOC: boxes of 20 classes, one XML file an image, below one `VOCdevkit` folder.

`VOC2007` and `VOC2012` hold `Annotations/*.xml`, `ImageSets/Main/*.txt` and `JPEGImages/*.jpg`.
Corners count pixels from 1 and lie inside the box; they lose their 1 here and become edge
coordinates, as the public SSD code does (ssd.pytorch, data/voc0712.py). VOC2012 has some fractional
ones. Boxes of body parts (`part`) are not read.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from jaxpose.annotations.schema import AnnotationSet, Frame, Person, Rejections
from jaxpose.annotations.validation import (
    RecordError,
    box_from_corners,
    check_within_reach,
    has_area,
    refusing,
    relative_name,
    shown,
)
from jaxpose.annotations.xml_files import child, child_flag, child_number, child_text, read_xml
from jaxpose.errors import DataError
from jaxpose.skeletons import NO_JOINTS

CLASSES = (
    "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow",
    "diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train",
    "tvmonitor",
)  # fmt: skip
YEARS = ("VOC2007", "VOC2012")
CORNERS = ("xmin", "ymin", "xmax", "ymax")
ORIGIN = 1
# (year, list) pairs, such as ("VOC2007", "test").
ImageLists = tuple[tuple[str, str], ...]


def voc_splits(devkit: str | Path) -> dict[str, ImageLists]:
    """The image lists of each split that a devkit folder holds.

    `train`: trainval of both years ("07+12" of the SSD paper), `validation`: the test list of 2007,
    the only one with published annotations. Without it, train and val lists keep them apart.
    """

    def those_of(name: str, years: Iterable[str] = YEARS) -> ImageLists:
        lists = [(year, name) for year in years]
        return tuple(each for each in lists if list_file(devkit, *each).is_file())

    test = those_of("test", ["VOC2007"])
    if test:
        splits = {"train": those_of("trainval"), "validation": test}
    else:
        splits = {"train": those_of("train"), "validation": those_of("val")}
    return {split: lists for split, lists in splits.items() if lists}


def list_file(devkit: str | Path, year: str, name: str) -> Path:
    """Where an image list lies."""
    return Path(devkit) / year / "ImageSets" / "Main" / f"{name}.txt"


def xml_file(devkit: str | Path, frame: Frame) -> Path:
    """Where the annotation of a frame lies, named like its image."""
    year, _, image = frame.filename.split("/")
    return Path(devkit) / year / "Annotations" / f"{Path(image).stem}.xml"


def read_voc(devkit: str | Path, rejections: Rejections | None = None) -> dict[str, AnnotationSet]:
    """Read the splits `train` and `validation` of a devkit; see `voc_splits`.

    Returns:
      By split name, sets with all 20 classes and no joints. A frame's id is its year and number,
      `VOC2007/000001`, as the two years use the same numbers. The notes say which lists were read.

    Raises:
      DataError: no list is there, or too many records are refused.
    """
    refused = Rejections() if rejections is None else rejections
    splits = voc_splits(devkit)
    if not splits:
        expected = list_file(devkit, "VOC2007", "trainval")
        raise DataError(f"{devkit}: no VOC image lists here, such as {expected}")
    sets = {split: read_lists(devkit, lists, refused) for split, lists in splits.items()}
    shared = _shared_images(sets)
    overlap = [f"{shared} images are both in train and in validation"] * (shared > 0)
    named = {
        split: f"{split} is {' + '.join(f'{year} {name}' for year, name in lists)}"
        for split, lists in splits.items()
    }
    return {
        split: replace(found, notes=(named[split], *found.notes, *overlap))
        for split, found in sets.items()
    }


def _shared_images(sets: Mapping[str, AnnotationSet]) -> int:
    ids = [{frame.image_id for frame in found.frames} for found in sets.values()]
    return len(set.intersection(*ids)) if len(ids) > 1 else 0


def read_lists(devkit: str | Path, lists: ImageLists, rejections: Rejections) -> AnnotationSet:
    """Read the images of some lists, in their order; raises DataError as `read_voc`."""
    counts: Counter[str] = Counter()
    frames = []
    for year, name in lists:
        for image in _listed(list_file(devkit, year, name), rejections):
            path = Path(devkit) / year / "Annotations" / f"{image}.xml"
            with refusing(rejections, path, f"{year}/{image}"):
                frames.append(_read_frame(path, year, image, rejections, counts))
    notes = tuple(f"{count} {what}" for what, count in counts.items())
    return AnnotationSet(NO_JOINTS, tuple(frames), notes, CLASSES)


def _listed(path: Path, rejections: Rejections) -> list[str]:
    """Image names of a list, one a line."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read as a list of images: {error}") from None
    names: dict[str, None] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        with refusing(rejections, path, f"line {number}"):
            name = relative_name(line.strip(), "image name")
            if "/" in name or name.split() != [name]:
                raise RecordError(f"{shown(line)} is no single image name")
            if name in names:
                raise RecordError(f"image {name} is listed twice")
            names[name] = None
    return list(names)


def _read_frame(
    path: Path, year: str, image: str, rejections: Rejections, counts: Counter[str]
) -> Frame:
    annotation = read_xml(path, "annotation")
    size = child(annotation, "size")
    width, height = (_side(size, tag) for tag in ("width", "height"))
    objects = []
    for index, element in enumerate(annotation.findall("object")):
        with refusing(rejections, path, f"object {index}"):
            found = _read_object(element, width, height)
            if found is None:
                counts["objects with an empty box left out"] += 1
            else:
                objects.append(found)
    name = f"{year}/JPEGImages/{image}.jpg"
    return Frame(name, f"{year}/{image}", width, height, persons=tuple(objects))


def _side(size: ElementTree.Element, tag: str) -> int:
    side = child_number(size, tag)
    if side < 1 or not side.is_integer():
        raise RecordError(f"image {tag} is {side:g}")
    return int(side)


def _read_object(element: ElementTree.Element, width: int, height: int) -> Person | None:
    """One object; None where its box covers nothing of the image."""
    name = child_text(element, "name")
    if name not in CLASSES:
        raise RecordError(f"name {shown(name)} is none of the 20 classes")
    bounds = child(element, "bndbox")
    corners = [child_number(bounds, tag) - ORIGIN for tag in CORNERS]
    person = Person(
        keypoints=np.zeros((0, 3)),
        box_xyxy=box_from_corners(corners, "bndbox"),
        difficult=child_flag(element, "difficult"),
        truncated=child_flag(element, "truncated"),
        category=name,
    )
    check_within_reach(person, width, height)
    return person if has_area(np.array(corners), width, height) else None
