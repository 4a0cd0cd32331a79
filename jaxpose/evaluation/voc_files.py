"""Average precision of detection files by the rules of PASCAL VOC.

Ground truth is a development kit's folder or a COCO annotation file; detections are the kit's text
files, one a class, or a COCO result file.
"""

import re
from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from jaxpose.annotations.coco import read_coco_detection
from jaxpose.annotations.schema import AnnotationSet, Frame, Rejections
from jaxpose.annotations.validation import box_from_xywh, in_file, number, present
from jaxpose.annotations.voc import CLASSES, ORIGIN, YEARS, list_file, read_lists, voc_splits
from jaxpose.errors import DataError
from jaxpose.evaluation.coco_files import read_ground_truth, read_results
from jaxpose.evaluation.precision_recall import Rule
from jaxpose.evaluation.voc import Detections, GroundTruth, MeanPrecision, mean_average_precision

# comp4_det_test_person.txt: persons found in the images of the list `test`.
_KIT_NAME = re.compile(r"(?:.+_)?det_(?P<image_set>[^_]+)_(?P<name>[^_]+)")
_KIT_LINE = "image score xmin ymin xmax ymax"


class _Row(NamedTuple):
    image: str
    category: str
    score: float
    box: np.ndarray


def evaluate(
    ground_truth: str | Path,
    detections: str | Path,
    iou_threshold: float = 0.5,
    rule: Rule = "11point",
    image_set: str | None = None,
    classes: Sequence[str] = (),
    plus_one: bool = True,
    inclusive: bool = True,
    count_difficult: bool = False,
) -> dict[str, Any]:
    """Score detection files; the pixel conventions are those of the kit, see `evaluation.voc`.

    Args:
      ground_truth: a VOCdevkit folder, one of its year folders, or a COCO annotation file (its
        `iscrowd` boxes count as difficult).
      detections: a COCO result file (`.json`), a text file of the kit whose name ends in
        `_<class>.txt`, or a folder of such. Lines hold image, score and corners counted from 1.
        Results name an image by its id; those against a kit by its name or number, and a class by
        its position 1..20 in the alphabetical order.
      iou_threshold, rule, plus_one, inclusive: see `voc.average_precision`.
      image_set: list of the kit, such as `val`; default that in the name of the text files, else
        `test` of 2007 where that is there, else `val`.
      classes: default those of the text files, or all of the ground truth.
      count_difficult: difficult boxes count as others do, instead of being ignored.

    Returns:
      map and ap_<class> in percent (a class without objects has none), images, boxes (those that
      are not difficult) and detections.

    Raises:
      DataError: a file is missing, damaged or of another layout, detections name an image or class
        that the ground truth lacks, or it has no box of the classes.
    """
    files = _detection_files(Path(detections))
    kit = Path(ground_truth).is_dir()
    named = {match["image_set"] for file in files if (match := _KIT_NAME.fullmatch(file.stem))}
    if len(named) > 1:
        raise DataError(f"{detections}: files of several image sets: {', '.join(sorted(named))}")
    read = _read_kit if kit else _read_coco
    truth = read(Path(ground_truth), image_set or next(iter(named), None))
    of_json = files[0].suffix == ".json"
    scored = tuple(classes) or (truth.classes if of_json else tuple(map(_class_of, files)))
    unknown = [name for name in scored if name not in truth.classes]
    if unknown:
        raise DataError(f"{ground_truth}: has no class {', '.join(unknown)}; name those to score")
    if of_json:
        names = dict(enumerate(CLASSES, 1)) if kit else _category_names(ground_truth)
        rows = _read_json(files[0], names)
    else:
        rows = [row for file in files for row in _read_text(file)]
    images = _image_ids(truth.frames, by_id=of_json and not kit)
    for row in rows:
        if row.image not in images:
            raise DataError(
                f"{detections}: image {row.image} is not in the ground truth, or not the only one "
                "of that name; score the same images"
            )
    found = {name: _detections([r for r in rows if r.category == name], images) for name in scored}
    objects = {name: _objects(truth.frames, name, count_difficult) for name in scored}
    mean = mean_average_precision(found, objects, iou_threshold, rule, plus_one, inclusive)
    return _scores(mean, objects, len(truth.frames))


def _scores(mean: MeanPrecision, objects: Mapping[str, GroundTruth], images: int) -> dict[str, Any]:
    if np.isnan(mean.value):
        raise DataError(f"the ground truth has no box of {', '.join(objects)} to find")
    positives = sum(
        int(np.count_nonzero(~np.asarray(difficult, bool)))
        for boxes in objects.values()
        for _, difficult in boxes.values()
    )
    aps = {f"ap_{name}": 100 * ap for name, ap in mean.per_class.items() if not np.isnan(ap)}
    counts = {"images": images, "boxes": positives, "detections": mean.detected}
    return {"map": 100 * mean.value} | aps | counts


def _objects(frames: Iterable[Frame], name: str, count_difficult: bool) -> GroundTruth:
    objects: dict[Hashable, tuple[ArrayLike, ArrayLike]] = {}
    for frame in frames:
        own = [p for p in frame.persons if p.category == name and p.box_xyxy is not None]
        boxes = np.array([person.box_xyxy for person in own]).reshape(-1, 4)
        ignored = [p.iscrowd or (p.difficult and not count_difficult) for p in own]
        objects[frame.image_id] = boxes, ignored
    return objects


def _detections(rows: Sequence[_Row], images: dict[str, str]) -> Detections:
    boxes = np.array([row.box for row in rows]).reshape(-1, 4)
    return Detections([images[row.image] for row in rows], [row.score for row in rows], boxes)


def _image_ids(frames: Sequence[Frame], by_id: bool) -> dict[str, str]:
    """Ids of the images by what detections may call them; names of several images are left out."""
    ids = {frame.image_id: frame.image_id for frame in frames}
    if by_id:
        return ids
    pairs = [(name, frame.image_id) for frame in frames for name in _names(frame)]
    counts = Counter(name for name, _ in pairs)
    return {name: image for name, image in pairs if counts[name] == 1} | ids


def _names(frame: Frame) -> set[str]:
    """000005 and 5 of VOC2007/JPEGImages/000005.jpg; 2008_000002 and 2008000002 of VOC2012."""
    stem = Path(frame.filename).stem
    digits = stem.replace("_", "")
    return {stem, str(int(digits))} if digits.isascii() and digits.isdigit() else {stem}


def _read_kit(path: Path, image_set: str | None) -> AnnotationSet:
    devkit, years = (path.parent, [path.name]) if path.name in YEARS else (path, list(YEARS))
    if image_set is None:
        found = [each for each in voc_splits(devkit).get("validation", ()) if each[0] in years]
    else:
        found = [(y, image_set) for y in years if list_file(devkit, y, image_set).is_file()]
    if not found:
        expected = list_file(devkit, years[0], image_set or "test")
        raise DataError(f"{path}: no list of images to score, such as {expected}")
    return read_lists(devkit, tuple(found), Rejections())


def _read_coco(path: Path, image_set: str | None) -> AnnotationSet:
    del image_set  # the file is the set
    return read_coco_detection(path)


def _category_names(path: str | Path) -> dict[Any, str]:
    return {category["id"]: category["name"] for category in read_ground_truth(path)["categories"]}


def _detection_files(path: Path) -> list[Path]:
    files = [path] if path.is_file() else sorted(path.glob("*_*.txt"))
    if not files:
        raise DataError(f"{path}: neither a detection file nor a folder of <name>_<class>.txt")
    return files


def _class_of(path: Path) -> str:
    return path.stem.rpartition("_")[2]


def _read_text(path: Path) -> list[_Row]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read as text: {error}") from None
    rows = []
    for place, line in enumerate(lines, 1):
        image, *values = line.split() or [""]
        try:
            score, *corners = map(float, values)
            box = np.array(corners).reshape(4) - ORIGIN
        except ValueError:
            raise DataError(
                f"{path}: line {place}: expected {_KIT_LINE}, got {line[:80]!r}"
            ) from None
        rows.append(_Row(image, _class_of(path), score, box))
    return rows


def _read_json(path: Path, classes: dict[Any, str]) -> list[_Row]:
    rows = []
    for index, entry in enumerate(read_results(path)):
        with in_file(path):
            image, category, box, score = (
                present(entry, key, f"entry {index}")
                for key in ("image_id", "category_id", "bbox", "score")
            )
            corners = box_from_xywh(box, f"entry {index}: bbox")
            score = number(score, f"entry {index}: score")
        if category not in classes:
            raise DataError(f"{path}: entry {index}: the ground truth has no category {category!r}")
        rows.append(_Row(str(image), classes[category], score, corners))
    return rows
