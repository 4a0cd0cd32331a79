"""Reading documents of COCO's shape: images, annotations, categories.

PoseTrack18 files are such documents with more fields (vid_id, is_labeled, ignore_regions_x/_y,
bbox_head, track_id, scores); any COCO file may use these too.
"""

from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from jaxpose.annotations.coco_images import ImageEntry, read_images, record_name
from jaxpose.annotations.json_files import load_json
from jaxpose.annotations.schema import VISIBLE, AnnotationSet, Frame, Person, Rejections
from jaxpose.annotations.validation import (
    RecordError,
    box_from_xywh,
    check_track,
    check_within_reach,
    checked_keypoints,
    flag,
    has_area,
    identifier,
    in_file,
    integer,
    mapping,
    number,
    numbers,
    present,
    refusing,
    sequence,
    text,
)
from jaxpose.errors import DataError
from jaxpose.skeletons import KNOWN, NO_JOINTS, Skeleton


@dataclass
class _Reading:
    """What the records of one document are read against; `names` are those of the categories."""

    path: Path
    rejections: Rejections
    names: dict[str, str]
    skeleton: Skeleton
    other_categories: set[str]
    posetrack: bool
    counts: Counter[str] = field(default_factory=Counter)


def read_document(
    path: Path, rejections: Rejections, boxes_only: bool = False, posetrack: bool = False
) -> AnnotationSet:
    """Read a COCO-shaped file: frames in the order of its images, persons in that of annotations.

    Args:
      path: the file.
      rejections: collects refused records.
      boxes_only: read the boxes of all categories and no keypoints.
      posetrack: read as poseval does, see `_posetrack_keypoints`; a person with neither a box nor
        keypoints stays, because it marks its frame as labelled.

    Raises:
      DataError: not such a document, too many refusals, no category, or, with keypoints, none or
        several that have some.
    """
    document = load_json(path)
    with in_file(path):
        document = mapping(document, "the file")
        lists = [
            sequence(present(document, key, "the file"), key)
            for key in ("categories", "images", "annotations")
        ]
        records = [mapping(category, "category") for category in lists[0]]
        categories = _all_categories(records) if boxes_only else _posed_category(records)
        reading = _Reading(path, rejections, *categories, posetrack)
    images = read_images(lists[1], path, rejections)
    ids: set[str] = set()
    for index, record in enumerate(lists[2]):
        with refusing(rejections, path, record_name("annotations", index, record)):
            _read_annotation(mapping(record, "annotation"), images, ids, reading)
    frames = (replace(entry.frame, persons=tuple(entry.persons)) for entry in images.values())
    notes = tuple(f"{count} {what}" for what, count in reading.counts.items())
    classes = tuple(reading.names.values())
    return AnnotationSet(reading.skeleton, tuple(frames), notes, classes)


def _category_ids(records: list[dict[str, Any]]) -> list[str]:
    identifiers = [identifier(present(r, "id", "category"), "category id") for r in records]
    if len(set(identifiers)) < len(identifiers):
        raise RecordError("categories: an id occurs twice")
    return identifiers


def _all_categories(
    records: list[dict[str, Any]],
) -> tuple[dict[str, str], Skeleton, set[str]]:
    """Names by id in the order of the ids, no joints, and that no category is left out."""
    found = list(zip(_category_ids(records), records, strict=True))
    if all(type(record["id"]) is int for record in records):
        found.sort(key=lambda pair: pair[1]["id"])
    names = {i: text(present(r, "name", "category"), "category name") for i, r in found}
    if not names or len(set(names.values())) < len(names):
        raise RecordError("categories: none, or a name occurs twice")
    return names, NO_JOINTS, set()


def _posed_category(
    records: list[dict[str, Any]],
) -> tuple[dict[str, str], Skeleton, set[str]]:
    """The name of the one category with keypoints, by its id, its joints, and the other ids."""
    identifiers = _category_ids(records)
    posed = [n for n, record in enumerate(records) if record.get("keypoints")]
    if len(posed) > 1:
        posed = [n for n in posed if records[n].get("name") == "person"]
    if len(posed) != 1:
        raise RecordError("categories: exactly one with keypoints is needed, or one named person")
    chosen, own = records[posed[0]], identifiers[posed[0]]
    name = text(chosen.get("name", "person"), "category name")
    return {own: name}, _read_skeleton(chosen), set(identifiers) - {own}


def _read_skeleton(category: dict[str, Any]) -> Skeleton:
    joints = tuple(text(n, "joint name") for n in sequence(category["keypoints"], "keypoints"))
    if len(set(joints)) < len(joints):
        raise RecordError("categories: a joint name occurs twice")
    for skeleton in KNOWN.values():
        if skeleton.joints == joints:
            return skeleton
    limbs = []
    for limb in sequence(category.get("skeleton") or [], "skeleton"):
        ends = [integer(end, "limb end") for end in sequence(limb, "limb")]
        if len(ends) != 2 or not all(1 <= end <= len(joints) for end in ends):
            raise RecordError(f"categories: limb {ends} is no pair of joints 1..{len(joints)}")
        limbs.append((joints[ends[0] - 1], joints[ends[1] - 1]))
    return Skeleton("custom", joints, tuple(limbs))


def _read_annotation(
    record: dict[str, Any],
    images: dict[str, ImageEntry],
    ids: set[str],
    reading: _Reading,
) -> None:
    category = identifier(present(record, "category_id", "annotation"), "category_id")
    if category in reading.other_categories:
        reading.counts["annotations of other categories left out"] += 1
        return
    if category not in reading.names:
        raise RecordError(f"category_id {category} is not among the categories")
    if "id" in record:
        own_id = identifier(record["id"], "annotation id")
        if own_id in ids:
            raise RecordError(f"annotation id {own_id} occurs twice")
        ids.add(own_id)
    owner = identifier(present(record, "image_id", "annotation"), "image_id")
    if owner not in images:
        raise RecordError(f"image_id {owner} has no image")
    image = images[owner]
    person = _read_person(record, reading.names[category], image.frame, reading)
    if person is not None:
        check_track(person.track_id, image.tracks)
        image.persons.append(person)


def _read_person(
    record: dict[str, Any], category: str, frame: Frame, reading: _Reading
) -> Person | None:
    keypoints = _keypoints(record, reading)
    box = None if record.get("bbox") is None else box_from_xywh(record["bbox"], "bbox")
    if box is None and not reading.skeleton.size:
        raise RecordError("annotation has no bbox")
    if box is not None and not has_area(box, frame.width, frame.height):
        # COCO's own train2017 holds two boxes of height 0.
        if not keypoints[:, 2].any() and not reading.posetrack:
            reading.counts["annotations without keypoints and with an empty box left out"] += 1
            return None
        reading.counts["empty boxes ignored, of persons with keypoints"] += 1
        box = None
    person = Person(
        keypoints=keypoints,
        box_xyxy=box,
        head_box=_head_box(record),
        track_id=-1 if record.get("track_id") is None else integer(record["track_id"], "track_id"),
        iscrowd=flag(record.get("iscrowd", 0), "iscrowd"),
        area=None if record.get("area") is None else number(record["area"], "area"),
        category=category,
        scores=_scores(record, reading.skeleton.size),
        score=None if record.get("score") is None else number(record["score"], "score"),
    )
    if person.area is not None and person.area < 0:
        raise RecordError(f"area is {person.area:g}")
    check_within_reach(person, frame.width, frame.height)
    return person


def _head_box(record: dict[str, Any]) -> np.ndarray | None:
    if record.get("bbox_head") is None:
        return None
    box = box_from_xywh(record["bbox_head"], "bbox_head")
    # A box of zero size holds no head; PCKh could not divide by it.
    return None if (box[:2] == box[2:]).all() else box


def _keypoints(record: dict[str, Any], reading: _Reading) -> np.ndarray:
    joints = reading.skeleton.size
    if not joints:
        return np.zeros((0, 3))
    if record.get("keypoints") is None and not record.get("num_keypoints"):
        return np.zeros((joints, 3))  # a box without a pose, as COCO's crowds
    flat = numbers(record.get("keypoints"), "keypoints", 3 * joints)
    checked = _posetrack_keypoints if reading.posetrack else checked_keypoints
    return checked(flat.reshape(joints, 3))


def _posetrack_keypoints(keypoints: np.ndarray) -> np.ndarray:
    """Keypoints [K, 3] with v = 2 wherever not all of x, y, v are 0, as in poseval's converter.

    Files that it made have PoseTrack17's is_visible as v, so that 0 beside a position means
    occluded; predictions hold a score there, or anything else.
    """
    annotated = keypoints.any(1)
    return np.column_stack([keypoints[:, :2], np.where(annotated, VISIBLE, 0)])


def _scores(record: dict[str, Any], joints: int) -> np.ndarray | None:
    return numbers(record["scores"], "scores", joints) if joints and record.get("scores") else None


def require_known_joints(annotation_set: AnnotationSet, skeleton: Skeleton, path: Path) -> None:
    """Raise DataError unless the file's joints are those of the format."""
    if annotation_set.skeleton.joints != skeleton.joints:
        raise DataError(f"{path}: its category does not list the joints of {skeleton.name}")
