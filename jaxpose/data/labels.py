"""Labels of a record, from typed annotations; absent values become nan, -1 or ''."""

import numpy as np

from jaxpose.annotations.people import head_size, keypoint_extent, person_box
from jaxpose.annotations.schema import Frame, Person
from jaxpose.data.records import Record
from jaxpose.ops.affine import adjust_mpii, crop_from_head_box, crop_from_person_box

_ABSENT_BOX = np.full(4, np.nan, np.float32)


def crop_geometry(person: Person) -> tuple[np.ndarray, float]:
    """Centre [2] in source px and final scale (units of 200 px) of a person's crop.

    MPII's rule from `objpos` and `scale`, else from the head box, else from the person box; nan
    where the person has no usable geometry.
    """
    extent = keypoint_extent(person.keypoints)
    if person.center is not None and person.scale is not None:
        center, scale = adjust_mpii(np.asarray(person.center), person.scale)
    elif person.head_box is not None and np.all(np.isfinite(extent)):
        center, scale = crop_from_head_box(np.asarray(person.head_box), extent)
    else:
        center, scale = crop_from_person_box(person_box(person)[0])
    if not np.isfinite(scale) or scale <= 0:
        return np.full(2, np.nan), np.nan
    return center, float(scale)


def is_annotated(person: Person) -> bool:
    """Whether one joint at least is annotated, of a person and not of a crowd."""
    return not person.iscrowd and bool(np.any(person.keypoints[:, 2] > 0))


def belongs_to_people(person: Person) -> bool:
    """Whether `people` holds the person: annotated, and of a known extent."""
    return is_annotated(person) and not np.isnan(crop_geometry(person)[1])


def frame_labels(frame: Frame, dataset: str, size: tuple[int, int]) -> Record:
    """The fields of a frame except its canvas; `size` is the photograph's (width, height)."""
    polygons = frame.ignore_polygons
    return {
        "image/id": frame.image_id,
        "image/filename": frame.filename,
        "image/height": np.int32(size[1]),
        "image/width": np.int32(size[0]),
        "video/id": frame.video_id,
        "frame/index": np.int32(frame.frame_index),
        "is_labeled": np.bool_(frame.is_labeled),
        "dataset": dataset,
        "ignore/xy": np.concatenate([np.zeros((0, 2)), *polygons]).astype(np.float32),
        "ignore/lengths": np.array([len(p) for p in polygons], np.int32),
    }


def person_labels(person: Person, index: int) -> Record:
    """The fields of a person, without prefix; `index` is its place among the frame's persons."""
    box, box_source = person_box(person)
    center, scale = crop_geometry(person)
    head_box = _ABSENT_BOX if person.head_box is None else person.head_box
    return {
        "index": np.int32(index),
        "box_xyxy": np.asarray(box, np.float32),
        "box_source": box_source,
        "head_box": np.asarray(head_box, np.float32),
        "head_size": np.float32(head_size(person)),
        "center": np.asarray(center, np.float32),
        "scale": np.float32(scale),
        "keypoints": np.asarray(person.keypoints, np.float32),
        "track_id": np.int32(person.track_id),
        "iscrowd": np.bool_(person.iscrowd),
        "difficult": np.bool_(person.difficult),
        "area": np.float32(np.nan if person.area is None else person.area),
        "category": person.category,
        "class_id": np.int32(0),
    }


def people_labels(persons: tuple[Person, ...], joints: int) -> Record:
    """The fields of all persons of a frame, stacked to [N, ...]; strings as lists."""
    rows = [person_labels(person, index) for index, person in enumerate(persons)]
    if rows:
        return {name: _stacked([row[name] for row in rows]) for name in rows[0]}
    empty = person_labels(Person(np.zeros((joints, 3))), 0)
    return {name: _stacked([value])[:0] for name, value in empty.items()}


def _stacked(values: list) -> list | np.ndarray:
    return values if isinstance(values[0], str) else np.stack(values)
