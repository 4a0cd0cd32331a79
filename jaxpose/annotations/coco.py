"""COCO keypoint files with any joint names."""

from pathlib import Path

from jaxpose.annotations.coco_documents import read_document
from jaxpose.annotations.coco_writing import (
    annotation_fields,
    annotation_ids,
    category_fields,
    image_number,
    size_fields,
)
from jaxpose.annotations.json_files import write_json
from jaxpose.annotations.schema import AnnotationSet, Rejections


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


def write_coco_keypoints(
    path: str | Path, annotation_set: AnnotationSet, category: str = "person"
) -> None:
    """Write a COCO keypoint file; the inverse of `read_coco_keypoints`.

    Head boxes, track ids and scores are written under PoseTrack18's names, which other readers
    of COCO files ignore. Raises DataError if the file cannot be written.
    """
    frames = annotation_set.frames
    images = [
        {"id": image_number(frame.image_id), "file_name": frame.filename, **size_fields(frame)}
        for frame in frames
    ]
    annotations = [
        annotation_fields(person, frame, identifier)
        for frame, ids in zip(frames, annotation_ids(frames), strict=True)
        for person, identifier in zip(frame.persons, ids, strict=True)
    ]
    document = {
        "images": images,
        "annotations": annotations,
        "categories": [category_fields(annotation_set.skeleton, category)],
    }
    write_json(path, document)
