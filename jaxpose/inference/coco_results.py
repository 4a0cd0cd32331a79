"""COCO keypoint results: `results.json`, and `images.json` that says which image an id is.

`COCO("images.json").loadRes("results.json")` of pycocotools reads the two.
"""

from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import numpy as np

from jaxpose.annotations.coco_writing import CATEGORY_ID, category_fields
from jaxpose.annotations.json_files import load_json, plain_number, write_json, write_json_list
from jaxpose.annotations.validation import (
    RecordError,
    box_from_xywh,
    identifier,
    in_file,
    integer,
    mapping,
    number,
    numbers,
    present,
    sequence,
    text,
)
from jaxpose.inference.joint_slots import JointSlots, xywh
from jaxpose.inference.people import FrameResult, Person
from jaxpose.skeletons import COCO

RESULTS, IMAGES = "results.json", "images.json"


class _Kept(NamedTuple):
    """A frame without its people, and float64 [P, 1 + 4 + 51]: their scores, boxes xywh, joints."""

    frame: FrameResult
    rows: np.ndarray


class CocoResults:
    """Writes a run into `<folder>/results.json` and `<folder>/images.json`.

    image_id is the number that each file name consists of, where all are different numbers as
    COCO's are; else images count from 1. Images that could not be read are listed with their error.
    Only numbers are held until `close`: 448 bytes a person.
    """

    def __init__(
        self, folder: Path, joint_names: tuple[str, ...], keypoint_threshold: float = 0.0
    ) -> None:
        self._folder = folder
        self._slots = JointSlots(joint_names, COCO, keypoint_threshold)
        self._kept: list[_Kept] = []
        self.notes = [note for note in (self._slots.note(),) if note]

    def add(self, frame: FrameResult) -> None:
        """Take a frame; its name must differ from all others."""
        rows = np.empty((len(frame.people), 5 + 3 * COCO.size))
        for row, person in zip(rows, frame.people, strict=True):
            row[0], row[1:5] = person.score, xywh(person.box_xyxy)
            row[5:] = self._slots.fill(person)[0].ravel()
        self._kept.append(_Kept(frame._replace(people=()), rows))

    def close(self) -> list[Path]:
        """Write both files.

        Raises:
          DataError: they cannot be written. ValueError: a person's score is not finite.
        """
        ids, rule = _image_ids([kept.frame.name for kept in self._kept])
        self.notes.append(f"coco: image_id {rule}")
        paths = [self._folder / RESULTS, self._folder / IMAGES]
        write_json_list(paths[0], self._results(ids))
        images = [_image_fields(kept.frame, i) for kept, i in zip(self._kept, ids, strict=True)]
        categories = [category_fields(COCO, "person")]
        write_json(paths[1], {"images": images, "annotations": [], "categories": categories})
        return paths

    def _results(self, ids: list[int]) -> Iterator[dict[str, Any]]:
        for kept, image_id in zip(self._kept, ids, strict=True):
            for row in kept.rows.tolist():
                yield {
                    "image_id": image_id,
                    "category_id": CATEGORY_ID,
                    "keypoints": [plain_number(value) for value in row[5:]],
                    "score": row[0],
                    "bbox": [plain_number(value) for value in row[1:5]],
                }


def _image_ids(names: list[str]) -> tuple[list[int], str]:
    """An id for each image, and how they were chosen."""
    stems = [PurePosixPath(name).stem for name in names]
    if stems and all(stem.isascii() and stem.isdigit() for stem in stems):
        numbers = [int(stem) for stem in stems]
        # Beyond 2^53 other JSON readers round.
        if len(set(numbers)) == len(numbers) and max(numbers) < 2**53:
            return numbers, "is the number in the file name"
    return list(range(1, len(names) + 1)), f"counts from 1 in the order of {IMAGES}"


def _image_fields(frame: FrameResult, image_id: int) -> dict[str, Any]:
    fields: dict[str, Any] = {"id": image_id, "file_name": frame.name}
    if frame.width > 0 and frame.height > 0:
        fields |= {"width": frame.width, "height": frame.height}
    if frame.video:
        fields |= {"video": frame.video, "frame_index": frame.index}
    return fields | ({"error": frame.error} if frame.error else {})


def read_coco_results(folder: str | Path) -> list[FrameResult]:
    """Read what `CocoResults` wrote.

    Returns:
      The frames in the order of `images.json`, people in that of `results.json` with COCO's 17
      joints; a joint written as 0,0,0 is nan with score 0.

    Raises:
      DataError: a file is missing or damaged, or a result has no image.
    """
    folder = Path(folder)
    images, results = load_json(folder / IMAGES), load_json(folder / RESULTS)
    frames: dict[str, FrameResult] = {}
    people: dict[str, list[Person]] = {}
    with in_file(folder / IMAGES):
        records = sequence(present(mapping(images, "the file"), "images", "the file"), "images")
    for n, record in enumerate(records):
        with in_file(f"{folder / IMAGES}: images[{n}]"):
            fields = mapping(record, "image")
            own = identifier(present(fields, "id", "image"), "id")
            if own in frames:
                raise RecordError(f"id {own} occurs twice")
            frames[own], people[own] = _read_frame(fields), []
    with in_file(folder / RESULTS):
        records = sequence(results, "the file")
    for n, record in enumerate(records):
        with in_file(f"{folder / RESULTS}: result {n}"):
            fields = mapping(record, "result")
            owner = identifier(present(fields, "image_id", "result"), "image_id")
            if owner not in people:
                raise RecordError(f"image_id {owner} is not in {IMAGES}")
            people[owner].append(_read_person(fields))
    return [frame._replace(people=tuple(people[own])) for own, frame in frames.items()]


def _read_frame(fields: dict[str, Any]) -> FrameResult:
    return FrameResult(
        name=text(present(fields, "file_name", "image"), "file_name"),
        width=integer(fields.get("width", 0), "width"),
        height=integer(fields.get("height", 0), "height"),
        people=(),
        video=text(fields["video"], "video") if "video" in fields else "",
        index=integer(fields.get("frame_index", -1), "frame_index"),
        error=text(fields["error"], "error") if "error" in fields else "",
    )


def _read_person(fields: dict[str, Any]) -> Person:
    flat = numbers(present(fields, "keypoints", "result"), "keypoints", 3 * COCO.size)
    joints = flat.reshape(-1, 3)
    absent = (joints == 0).all(1)
    return Person(
        box_xyxy=box_from_xywh(present(fields, "bbox", "result"), "bbox"),
        score=number(present(fields, "score", "result"), "score"),
        keypoints=np.where(absent[:, None], np.nan, joints[:, :2]),
        keypoint_scores=joints[:, 2],
        joint_names=COCO.joints,
    )
