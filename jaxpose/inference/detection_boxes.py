"""Person boxes from a file, such as another detector's: `--boxes=detections.json`."""

from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import numpy as np

from jaxpose.annotations import schema
from jaxpose.annotations.coco import read_coco_detection, write_coco_detection
from jaxpose.annotations.coco_writing import CATEGORY_ID
from jaxpose.annotations.json_files import load_json
from jaxpose.annotations.posetrack_folder import annotation_files
from jaxpose.annotations.validation import (
    RecordError,
    box_from_xywh,
    has_area,
    in_file,
    integer,
    mapping,
    number,
    relative_name,
)
from jaxpose.errors import DataError
from jaxpose.inference.detections_file import START, read_detections
from jaxpose.inference.people import FrameResult
from jaxpose.inference.posetrack_results import posetrack_image_id
from jaxpose.skeletons import NO_JOINTS

_PERSON = "person"


class _Row(NamedTuple):
    """One box: the file name of its image, or '' and the image's id."""

    name: str
    image_id: int
    box_xyxy: np.ndarray
    score: float


class DetectionBoxes:
    """Boxes by image.

    Attributes:
      notes: what was left out and assumed, for the console.
    """

    def __init__(self, rows: Iterable[_Row], listed: Iterable[str], notes: list[str]) -> None:
        """Sort `rows` by image; `listed` images are known even if they have no box."""
        self.notes = notes
        self._by_name: dict[str, list[_Row]] = {name: [] for name in listed}
        self._by_id: dict[int, list[_Row]] = {}
        for row in rows:
            if row.name:
                self._by_name.setdefault(row.name, []).append(row)
            else:
                self._by_id.setdefault(row.image_id, []).append(row)
        self._by_stem: dict[str, list[str]] = {}
        for name in self._by_name:
            self._by_stem.setdefault(PurePosixPath(name).stem, []).append(name)

    def __len__(self) -> int:
        """Number of images."""
        return len(self._by_name) + len(self._by_id)

    def find(self, name: str) -> tuple[np.ndarray, np.ndarray] | None:
        """The boxes of an image.

        A file name of the list belongs to `name` where one is the end of the other, folder by
        folder, whatever their suffixes: `val/a/000001.jpg`, `a/000001.jpg` and `000001` are alike.
        Where the list has ids alone, the id is PoseTrack18's or the number in the file name.

        Args:
          name: of the image, with forward slashes, such as `FrameResult.name`.

        Returns:
          float64 [N, 4] xyxy px and float64 [N] scores, or None where the list does not know the
          image.

        Raises:
          DataError: two images of the list could be meant.
        """
        rows = self._rows(name)
        if rows is None:
            return None
        boxes = np.array([row.box_xyxy for row in rows], np.float64).reshape(-1, 4)
        return boxes, np.array([row.score for row in rows], np.float64)

    def _rows(self, name: str) -> list[_Row] | None:
        if name in self._by_name:
            return self._by_name[name]
        wanted = PurePosixPath(name)
        near = [n for n in self._by_stem.get(wanted.stem, []) if _same_end(n, name)]
        # Of a.jpg and a.png the one with the right suffix is meant.
        near = [n for n in near if PurePosixPath(n).suffix == wanted.suffix] or near
        if len(near) > 1:
            raise DataError(f"boxes for {name}: {near[0]} or {near[1]}? Give longer paths")
        if near:
            return self._by_name[near[0]]
        for image_id in (posetrack_image_id(name), _stem_number(wanted)):
            if image_id in self._by_id:
                return self._by_id[image_id]
        return None


def _same_end(one: str, other: str) -> bool:
    a, b = (PurePosixPath(name).with_suffix("").parts[::-1] for name in (one, other))
    return all(x == y for x, y in zip(a, b, strict=False))


def _stem_number(path: PurePosixPath) -> int | None:
    return int(path.stem) if path.stem.isascii() and path.stem.isdigit() else None


def read_boxes(path: str | Path) -> DetectionBoxes:
    """Read person boxes.

    Args:
      path: a JSON file or a folder of them, each one of
        - a list of COCO results, `{bbox: [x, y, w, h], score, category_id, image_id | file_name}`;
          category 1 or none is a person;
        - a COCO or PoseTrack18 document of images, annotations and categories: the boxes of the
          category `person`, crowds left out;
        - the detections.json of `python -m jaxpose.evaluate`.
        A box without a score has 1. Boxes without area are left out.

    Raises:
      DataError: the file is missing, damaged or of another form; file and record are named.
    """
    rows: list[_Row] = []
    listed: list[str] = []
    counts = {"boxes of other categories": 0, "boxes without area": 0}
    notes: list[str] = []
    for file in annotation_files(path, (".json",)):
        start = _start(file)
        if start.startswith(b"["):
            rows += _listed_rows(file, counts)
        elif start.startswith(START):
            kept = _kept_rows(file, counts)
            rows, listed = rows + kept[0], listed + kept[1]
        else:
            annotations = read_coco_detection(file)
            notes += [f"{file.name}: {note}" for note in annotations.notes]
            listed += [frame.filename for frame in annotations.frames]
            rows += _document_rows(annotations, file, counts)
    notes += [f"{count} {what} left out" for what, count in counts.items() if count]
    return DetectionBoxes(rows, listed, notes)


def _start(file: Path) -> bytes:
    try:
        with file.open("rb") as stream:
            return stream.read(64).lstrip(b"\xef\xbb\xbf \t\r\n")
    except OSError as error:
        raise DataError(f"{file}: cannot be read: {error.strerror}") from None


def _listed_rows(file: Path, counts: dict[str, int]) -> Iterator[_Row]:
    for n, record in enumerate(load_json(file)):
        with in_file(f"{file}: detection {n}"):
            fields = mapping(record, "detection")
            if fields.get("category_id", CATEGORY_ID) != CATEGORY_ID:
                counts["boxes of other categories"] += 1
                continue
            row = _listed_row(fields)
            if has_area(row.box_xyxy):
                yield row
            else:
                counts["boxes without area"] += 1


def _listed_row(fields: dict[str, Any]) -> _Row:
    name, image_id = fields.get("file_name"), fields.get("image_id")
    if name is None and image_id is None:
        raise RecordError("neither file_name nor image_id")
    if "bbox" not in fields:
        raise RecordError("no bbox")
    score = fields.get("score")
    return _Row(
        name="" if name is None else relative_name(name, "file_name"),
        image_id=-1 if image_id is None or name is not None else integer(image_id, "image_id"),
        box_xyxy=box_from_xywh(fields["bbox"], "bbox"),
        score=1.0 if score is None else number(score, "score"),
    )


def _kept_rows(file: Path, counts: dict[str, int]) -> tuple[list[_Row], list[str]]:
    """The rows of an evaluation's detections, and the names of all its frames."""
    kept = read_detections(file).boxes
    rows = [
        _Row(name, -1, np.asarray(box, np.float64), float(score))
        for name, found in kept.items()
        for box, score in zip(*found, strict=True)
    ]
    sound = [row for row in rows if has_area(row.box_xyxy)]
    counts["boxes without area"] += len(rows) - len(sound)
    return sound, list(kept)


def _document_rows(
    annotations: schema.AnnotationSet, file: Path, counts: dict[str, int]
) -> Iterator[_Row]:
    if _PERSON not in annotations.classes:
        raise DataError(f"{file}: no category {_PERSON}, only {', '.join(annotations.classes)}")
    for frame in annotations.frames:
        for person in frame.persons:
            if person.category != _PERSON or person.iscrowd:
                counts["boxes of other categories"] += 1
            elif person.box_xyxy is not None:
                score = 1.0 if person.score is None else person.score
                yield _Row(frame.filename, -1, person.box_xyxy, score)


def write_boxes(path: str | Path, frames: Iterable[FrameResult]) -> None:
    """Write the people's boxes and scores as a COCO document that `read_boxes` takes.

    Raises:
      DataError: the file cannot be written.
    """
    rows = [
        schema.Frame(
            filename=frame.name,
            image_id=str(number),
            width=frame.width or None,
            height=frame.height or None,
            persons=tuple(
                schema.Person(keypoints=np.zeros((0, 3)), box_xyxy=p.box_xyxy, score=float(p.score))
                for p in frame.people
            ),
        )
        for number, frame in enumerate(frames, 1)
    ]
    write_coco_detection(path, schema.AnnotationSet(NO_JOINTS, tuple(rows)))
