"""Writing documents of COCO's shape: the fields that COCO and PoseTrack18 files share."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from jaxpose.annotations.json_files import plain_number
from jaxpose.annotations.schema import Frame, Person
from jaxpose.skeletons import Skeleton

CATEGORY_ID = 1
# PoseTrack18 numbers its annotations image id x 100 + place in the frame.
_IDS_PER_IMAGE = 100


def category_fields(skeleton: Skeleton, name: str, identifier: int = CATEGORY_ID) -> dict[str, Any]:
    """The `categories` entry; limbs are pairs of 1-based joint indices."""
    fields: dict[str, Any] = {"supercategory": name, "id": identifier, "name": name}
    if skeleton.size:
        fields["keypoints"] = list(skeleton.joints)
        fields["skeleton"] = (skeleton.limb_indices + 1).tolist()
    return fields


def image_number(image_id: str) -> int | str:
    """The id as it stood in the file: a number where it is one, else the text."""
    is_number = image_id.isascii() and image_id.isdigit() and str(int(image_id)) == image_id
    return int(image_id) if is_number else image_id


def size_fields(frame: Frame) -> dict[str, Any]:
    """Width and height where the set knows them."""
    known = {"width": frame.width, "height": frame.height}
    return {key: value for key, value in known.items() if value is not None}


def annotation_ids(frames: Iterable[Frame]) -> list[list[int]]:
    """An id for each person of each frame, unique in the file."""
    frames = list(frames)
    numbers = [image_number(frame.image_id) for frame in frames]
    crowded = any(len(frame.persons) > _IDS_PER_IMAGE for frame in frames)
    if crowded or not all(isinstance(number, int) for number in numbers):
        numbers, stride = list(range(len(frames))), max(len(f.persons) for f in frames) + 1
    else:
        stride = _IDS_PER_IMAGE
    return [
        [int(number) * stride + place for place in range(len(frame.persons))]
        for number, frame in zip(numbers, frames, strict=True)
    ]


def annotation_fields(
    person: Person, frame: Frame, identifier: int, category_id: int = CATEGORY_ID
) -> dict[str, Any]:
    """The `annotations` entry of a person; fields that the person lacks are left out."""
    fields: dict[str, Any] = {
        "id": identifier,
        "image_id": image_number(frame.image_id),
        "category_id": category_id,
        "iscrowd": int(person.iscrowd),
    }
    if len(person.keypoints):
        fields["keypoints"] = [plain_number(value) for value in person.keypoints.ravel()]
        fields["num_keypoints"] = int((person.keypoints[:, 2] > 0).sum())
    if person.box_xyxy is not None:
        fields["bbox"] = _xywh(person.box_xyxy)
    if person.head_box is not None:
        fields["bbox_head"] = _xywh(person.head_box)
    if person.track_id >= 0:
        fields["track_id"] = person.track_id
    if person.area is not None:
        fields["area"] = plain_number(person.area)
    if person.scores is not None:
        fields["scores"] = [plain_number(score) for score in person.scores]
    if person.score is not None:
        fields["score"] = plain_number(person.score)
    return fields


def _xywh(box: np.ndarray) -> list[int | float]:
    x1, y1, x2, y2 = box
    return [plain_number(value) for value in (x1, y1, x2 - x1, y2 - y1)]
