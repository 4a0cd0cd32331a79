"""Writing PASCAL VOC annotations and image lists."""

import re
from collections.abc import Mapping
from pathlib import Path
from xml.etree import ElementTree

from jaxpose.annotations.images import resolve_inside
from jaxpose.annotations.json_files import plain_number
from jaxpose.annotations.schema import AnnotationSet, Frame, Person
from jaxpose.annotations.voc import CLASSES, CORNERS, ORIGIN, YEARS, list_file, xml_file
from jaxpose.errors import DataError

_IMAGE_NAME = re.compile(rf"(?P<year>{'|'.join(YEARS)})/JPEGImages/(?P<image>[^/\\\s]+)\.jpg")


def write_voc(devkit: str | Path, lists: Mapping[str, AnnotationSet]) -> list[Path]:
    """Write annotations and image lists; the inverse of `read_lists`.

    Args:
      devkit: folder of the years.
      lists: sets by list name, such as `trainval`; each frame's file name says its year.

    Returns:
      The image lists, then the annotation files.

    Raises:
      DataError: a frame without a size or with another kind of file name, an object without a
        box or of another class, or a file that cannot be written.
    """
    names: dict[Path, list[str]] = {}
    documents: dict[Path, bytes] = {}
    for list_name, found in lists.items():
        for frame in found.frames:
            name = _IMAGE_NAME.fullmatch(frame.filename)
            if name is None:
                raise DataError(f"{frame.filename}: VOC names are like VOC2007/JPEGImages/1.jpg")
            path = list_file(devkit, name["year"], list_name)
            names.setdefault(path, []).append(name["image"])
            documents[xml_file(devkit, frame)] = _document(frame)
    contents = {path: "".join(f"{n}\n" for n in found).encode() for path, found in names.items()}
    for path, content in (contents | documents).items():
        _write(resolve_inside(devkit, path.relative_to(devkit).as_posix()), content)
    return [*contents, *documents]


def _document(frame: Frame) -> bytes:
    if frame.width is None or frame.height is None:
        raise DataError(f"{frame.filename}: VOC needs the size of the image")
    year, _, image = frame.filename.split("/")
    annotation = ElementTree.Element("annotation")
    _add(annotation, {"folder": year, "filename": image})
    size = ElementTree.SubElement(annotation, "size")
    _add(size, {"width": frame.width, "height": frame.height, "depth": 3})
    for person in frame.persons:
        _add_object(annotation, person, frame.filename)
    ElementTree.indent(annotation, "\t")
    return ElementTree.tostring(annotation, encoding="utf-8") + b"\n"


def _add_object(annotation: ElementTree.Element, person: Person, name: str) -> None:
    if person.category not in CLASSES or person.box_xyxy is None:
        raise DataError(f"{name}: VOC holds boxes of its 20 classes, not {person.category!r}")
    element = ElementTree.SubElement(annotation, "object")
    flags = {"truncated": int(person.truncated), "difficult": int(person.difficult)}
    _add(element, {"name": person.category, **flags})
    corners = [plain_number(corner + ORIGIN) for corner in person.box_xyxy]
    bounds = ElementTree.SubElement(element, "bndbox")
    _add(bounds, dict(zip(CORNERS, corners, strict=True)))


def _add(element: ElementTree.Element, values: Mapping[str, str | int | float]) -> None:
    for tag, value in values.items():
        ElementTree.SubElement(element, tag).text = str(value)


def _write(path: Path, content: bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    except OSError as error:
        raise DataError(f"{path}: cannot be written: {error.strerror}") from None
