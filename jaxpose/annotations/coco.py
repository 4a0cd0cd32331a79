"""COCO files: keypoints with any joint names, and boxes of any categories."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jaxpose.annotations.coco_documents import read_document
from jaxpose.annotations.coco_writing import (
    CATEGORY_ID,
    annotation_fields,
    annotation_ids,
    category_fields,
    image_number,
    size_fields,
)
from jaxpose.annotations.json_files import write_json
from jaxpose.annotations.schema import AnnotationSet, Rejections
from jaxpose.skeletons import NO_JOINTS


def read_coco_keypoints(path: str | Path, rejections: Rejections | None = None) -> AnnotationSet:
    """Read a COCO keypoint file.

    The joint set is that of the one category with keypoints (of the one named person, where
    several have some): one of `skeletons.KNOWN` where the names agree, else a `custom` one with
    the file's limbs. Annotations of other categories are left out. A box without area inside the
    image is ignored, and its annotation too if it has no keypoints; the notes count these.

    Args:
      path: the JSON file.
      rejections: collects refused records; without it the first one raises.

    Returns:
      Frames in the order of `images`, image_id the file's id as text.

    Raises:
      DataError: damaged file, other layout, or too many refused records.
    """
    refused = Rejections() if rejections is None else rejections
    return read_document(Path(path), refused)


def read_coco_detection(path: str | Path, rejections: Rejections | None = None) -> AnnotationSet:
    """Read the boxes of a COCO file, such as instances_train2017.json or one of persons alone.

    Boxes are edge coordinates: x, y, x + width, y + height as in the file. Segmentations and
    keypoints are not read. Boxes without area inside the image are left out, counted in the notes.

    Args:
      path: the JSON file.
      rejections: collects refused records; without it the first one raises.

    Returns:
      Frames in the order of `images`, without joints; `classes` are the names of all categories in
      the order of their ids (COCO: 80, its ids have gaps).

    Raises:
      DataError: damaged file, other layout, or too many refused records.
    """
    refused = Rejections() if rejections is None else rejections
    return read_document(Path(path), refused, boxes_only=True)


def write_coco_keypoints(
    path: str | Path, annotation_set: AnnotationSet, category: str = "person"
) -> None:
    """Write a COCO keypoint file; the inverse of `read_coco_keypoints`.

    Head boxes, track ids and scores are written under PoseTrack18's names, which other readers
    of COCO files ignore. Raises DataError if the file cannot be written.
    """
    categories = [category_fields(annotation_set.skeleton, category)]
    names = {person.category for frame in annotation_set.frames for person in frame.persons}
    _write(path, annotation_set, categories, dict.fromkeys(names, CATEGORY_ID))


def write_coco_detection(path: str | Path, annotation_set: AnnotationSet) -> None:
    """Write boxes of all categories; the inverse of `read_coco_detection`.

    Category ids count from 1 in the order of `classes`: COCO's own have gaps. Raises DataError if
    the file cannot be written.
    """
    ids = {name: number for number, name in enumerate(annotation_set.classes, CATEGORY_ID)}
    categories = [category_fields(NO_JOINTS, name, number) for name, number in ids.items()]
    _write(path, annotation_set, categories, ids)


def _write(
    path: str | Path,
    annotation_set: AnnotationSet,
    categories: list[dict[str, Any]],
    category_ids: Mapping[str, int],
) -> None:
    frames = annotation_set.frames
    images = [
        {"id": image_number(frame.image_id), "file_name": frame.filename, **size_fields(frame)}
        for frame in frames
    ]
    annotations = [
        annotation_fields(person, frame, identifier, category_ids[person.category])
        for frame, ids in zip(frames, annotation_ids(frames), strict=True)
        for person, identifier in zip(frame.persons, ids, strict=True)
    ]
    document = {
        "images": images,
        "annotations": annotations,
        "categories": categories,
    }
    write_json(path, document)
