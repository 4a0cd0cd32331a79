"""Labels of a record, from typed annotations; absent values become nan, -1 or ''."""

import numpy as np

from jaxpose.annotations.people import (
    BOX_OFFSETS,
    BoxOffsets,
    head_size,
    keypoint_extent,
    person_box,
)
from jaxpose.annotations.schema import Frame, Person
from jaxpose.data.records import Record
from jaxpose.ops.affine import adjust_mpii, crop_from_head_box, crop_from_person_box

_ABSENT_BOX = np.full(4, np.nan, np.float32)


def crop_rule(person: Person) -> str:
    """What a person's crop is made from: `objpos and scale`, `head box` or `person box`."""
    if person.center is not None and person.scale is not None:
        return "objpos and scale"
    has_head = person.head_box is not None and np.any(person.keypoints[:, 2] > 0)
    return "head box" if has_head else "person box"


def crop_geometry(person: Person) -> tuple[np.ndarray, float]:
    """Centre [2] in source px and final scale (units of 200 px) of a person's crop.

    MPII's rule from `objpos` and `scale`, else from the head box, else from the person box (the
    annotated one or the keypoint extent x 1.3, which the rule was measured with); nan where the
    person has no usable geometry.
    """
    rule = crop_rule(person)
    if rule == "objpos and scale":
        center, scale = adjust_mpii(np.asarray(person.center), person.scale)
    elif rule == "head box":
        extent = keypoint_extent(person.keypoints)
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


def person_labels(
    person: Person,
    index: int,
    classes: tuple[str, ...] = ("person",),
    box_offsets: BoxOffsets = BOX_OFFSETS,
) -> Record:
    """The fields of a person, without prefix; no keypoints in a set without joints.

    Args:
      person: of a category among `classes`.
      index: its place among the frame's persons.
      classes: names of the categories.
      box_offsets: beyond the keypoint extent where the person has no box.
    """
    box, box_source = person_box(person, box_offsets)
    center, scale = crop_geometry(person)
    head_box = _ABSENT_BOX if person.head_box is None else person.head_box
    keypoints = np.asarray(person.keypoints, np.float32)
    return ({"keypoints": keypoints} if len(keypoints) else {}) | {
        "index": np.int32(index),
        "box_xyxy": np.asarray(box, np.float32),
        "box_source": box_source,
        "head_box": np.asarray(head_box, np.float32),
        "head_size": np.float32(head_size(person)),
        "center": np.asarray(center, np.float32),
        "scale": np.float32(scale),
        "track_id": np.int32(person.track_id),
        "iscrowd": np.bool_(person.iscrowd),
        "difficult": np.bool_(person.difficult),
        "area": np.float32(np.nan if person.area is None else person.area),
        "category": person.category,
        "class_id": np.int32(classes.index(person.category)),
    }


def people_labels(
    persons: tuple[Person, ...],
    joints: int,
    classes: tuple[str, ...] = ("person",),
    box_offsets: BoxOffsets = BOX_OFFSETS,
) -> Record:
    """The fields of all persons of a frame, stacked to [N, ...]; strings as lists.

    Arguments are those of `person_labels`; `joints` is the size of the joint set.
    """
    rows = [person_labels(person, i, classes, box_offsets) for i, person in enumerate(persons)]
    if rows:
        return {name: _stacked([row[name] for row in rows]) for name in rows[0]}
    empty = person_labels(Person(np.zeros((joints, 3)), category=classes[0]), 0, classes)
    return {name: _stacked([value])[:0] for name, value in empty.items()}


def _stacked(values: list) -> list | np.ndarray:
    return values if isinstance(values[0], str) else np.stack(values)
