"""Batches from `images` records: a frame a row, its boxes, and joints, padded to a fixed number."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from jaxpose.data.batches import PROBLEM, Batch, Labels, Rows
from jaxpose.data.manifest import Manifest
from jaxpose.data.people_batches import joint_mask
from jaxpose.data.records import Record
from jaxpose.errors import DataError, UsageError
from jaxpose.skeletons import Skeleton, conversion, convert_keypoints


@dataclass(frozen=True)
class _Wanted:
    """The arguments of `image_rows`."""

    classes: tuple[str, ...]
    most_boxes: int
    most_ignored: int
    joints: Skeleton | None


def image_rows(
    classes: tuple[str, ...], most_boxes: int, most_ignored: int, joints: Skeleton | None = None
) -> Rows:
    """Rows of the detection task and, with `joints`, of the bottom-up task.

    The fields, beside those of `batches.neutral_batch`, with G = most_boxes and I = most_ignored:
    valid f32 [B, 4] canvas px xyxy, the rectangle that holds photograph (x2, y2 exclusive); size
    f32 [B, 2] source px (width, height); boxes f32 [B, G, 4] source px xyxy, as annotated, the
    present ones first; labels int32 [B, G], 0 no box, else 1 + index in `classes`; area f32 [B, G]
    px^2 of a segment, nan where unknown; difficult and crowd bool [B, G]; ignore f32 [B, I, 4]
    source px xyxy, bounding boxes of the regions where nobody annotated, zeros where there is none.
    Ids are `dataset/image`.

    Left out are boxes of other categories (they are background) and boxes that are not finite or
    without area, such as those of persons whose extent nobody knows (no box, and one joint or
    none). Training takes what is under such a person for background.

    With `joints`, K of them, there are also: keypoints f32 [B, G, K, 3], x and y in source px and
    flag; joint_mask f32 [B, K], 1 where the data set has the joint at all; head_size f32 [B, G] px,
    nan where unknown. Persons with an annotated joint are then kept
    whatever their box, which is zeros where it is not finite or without area.

    Args:
      classes: category names of the labels 1, 2, ...
      most_boxes, most_ignored: room for boxes and ignored regions; a record with more of them is
        refused. The manifest's splits say how many there are (`most_boxes`, `most_ignored`).
      joints: joint set of the rows.

    Raises:
      UsageError: no class or one named twice, or no room.
    """
    if not classes or len(set(classes)) < len(classes):
        raise UsageError(f"classes={classes}: name at least one class, and each once")
    if most_boxes < 1 or most_ignored < 0:
        raise UsageError(f"most_boxes={most_boxes}, most_ignored={most_ignored}: 1 and 0 at least")
    wanted = _Wanted(tuple(classes), most_boxes, most_ignored, joints)
    return Rows(
        config="images",
        check=partial(_check, wanted),
        neutral=partial(_neutral, wanted),
        name=_name,
        labels=lambda manifest: partial(_labels, wanted, manifest),
        graph=lambda tf, manifest: partial(_graph_labels, wanted, manifest, tf),
    )


def _check(wanted: _Wanted, manifest: Manifest) -> None:
    lacking = [name for name in wanted.classes if name not in manifest.classes]
    if lacking:
        found = f"its classes are {', '.join(manifest.classes)}, without {', '.join(lacking)}"
        raise DataError(f"{manifest.path}: {found}; set classes to what every data set holds")
    if wanted.joints is not None:
        joint_mask(manifest.skeleton, wanted.joints)


def _neutral(wanted: _Wanted, count: int, canvas: int) -> Batch:
    boxes, ignored = wanted.most_boxes, wanted.most_ignored
    with_joints: Batch = {}
    if wanted.joints is not None:
        with_joints = {
            "keypoints": np.zeros((count, boxes, wanted.joints.size, 3), np.float32),
            "joint_mask": np.zeros((count, wanted.joints.size), np.float32),
            "head_size": np.full((count, boxes), np.nan, np.float32),
        }
    return with_joints | {
        "area": np.full((count, boxes), np.nan, np.float32),
        "valid": np.tile(np.array([0, 0, 1, 1], np.float32), (count, 1)),
        "size": np.ones((count, 2), np.float32),
        "boxes": np.zeros((count, boxes, 4), np.float32),
        "labels": np.zeros((count, boxes), np.int32),
        "difficult": np.zeros((count, boxes), np.bool_),
        "crowd": np.zeros((count, boxes), np.bool_),
        "ignore": np.zeros((count, ignored, 4), np.float32),
    }


def _name(record: Record) -> str:
    return f"{record['dataset']}/{record['image/id']}"


def _labels(wanted: _Wanted, manifest: Manifest, record: Record) -> Labels:
    of_class = np.asarray(record["people/category"])[:, None] == np.array(wanted.classes)
    boxes = record["people/box_xyxy"]
    has_area = (boxes[:, 2:] > boxes[:, :2]).all(1) & np.isfinite(boxes).all(1)
    kept = of_class.any(1) & has_area
    if wanted.joints is not None:
        keypoints = convert_keypoints(record["people/keypoints"], manifest.skeleton, wanted.joints)
        kept = of_class.any(1) & (has_area | (keypoints[..., 2] > 0).any(1))
        boxes = np.where(has_area[:, None], boxes, 0)
    ignored = _extents(record["ignore/xy"], record["ignore/lengths"])
    for what, found, most in (
        ("boxes", kept.sum(), wanted.most_boxes),
        ("ignored regions", len(ignored), wanted.most_ignored),
    ):
        if found > most:
            raise DataError(f"{_name(record)}: {found} {what}{_too_many(most)}")
    most = wanted.most_boxes
    with_joints: Labels = {}
    if wanted.joints is not None:
        with_joints = {
            "keypoints": _filled(keypoints[kept], most),
            "joint_mask": joint_mask(manifest.skeleton, wanted.joints),
            "head_size": _filled(record["people/head_size"][kept], most, np.nan),
        }
    return with_joints | {
        "area": _filled(record["people/area"][kept], most, np.nan),
        "valid": record["image/valid"],
        "size": np.array([record["image/width"], record["image/height"]], np.float32),
        "boxes": _filled(boxes[kept], most),
        "labels": _filled((of_class.argmax(1) + 1)[kept], most),
        "difficult": _filled(record["people/difficult"][kept], most),
        "crowd": _filled(record["people/iscrowd"][kept], most),
        "ignore": _filled(ignored, wanted.most_ignored),
    }


def _too_many(most: int) -> str:
    return f", room for {most}; raise it to what the manifest says"


def _filled(values: np.ndarray, most: int, absent: float = 0) -> np.ndarray:
    filled = np.full((most, *values.shape[1:]), absent, values.dtype)
    filled[: len(values)] = values
    return filled


def _extents(vertices: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """xyxy [M, 4] of polygons [N, 2] one after the other; one without vertices has none."""
    lengths = lengths[lengths > 0]
    if not len(lengths):
        return np.zeros((0, 4), np.float32)
    starts = np.cumsum(lengths) - lengths
    low, high = (extreme.reduceat(vertices, starts) for extreme in (np.minimum, np.maximum))
    return np.concatenate([low, high], 1)


def _graph_labels(wanted: _Wanted, manifest: Manifest, tf: Any, record: Record) -> Labels:
    """The same in TensorFlow; what does not fit is cut off and told as a problem."""
    name = tf.strings.join([record["dataset"], "/", record["image/id"]])
    of_class = record["people/category"][:, None] == tf.constant(wanted.classes)
    boxes = record["people/box_xyxy"]
    has_area = tf.reduce_all(boxes[:, 2:] > boxes[:, :2], 1)
    has_area &= tf.reduce_all(tf.math.is_finite(boxes), 1)
    kept, with_joints = tf.reduce_any(of_class, 1) & has_area, {}
    if wanted.joints is not None:
        keypoints = _graph_joints(wanted.joints, manifest.skeleton, tf, record)
        annotated = tf.reduce_any(keypoints[..., 2] > 0, 1)
        kept = tf.reduce_any(of_class, 1) & (has_area | annotated)
        boxes = tf.where(has_area[:, None], boxes, 0.0)
    ignored = _graph_extents(tf, record["ignore/xy"], record["ignore/lengths"])
    which = tf.where(kept)[:, 0]

    def filled(values: Any, absent: float = 0) -> Any:
        return _graph_filled(tf, tf.gather(values, which), wanted.most_boxes, absent)

    if wanted.joints is not None:
        with_joints = {
            "keypoints": filled(keypoints),
            "joint_mask": tf.constant(joint_mask(manifest.skeleton, wanted.joints)),
            "head_size": filled(record["people/head_size"], np.nan),
        }

    size = tf.stack([record["image/width"], record["image/height"]])
    counts = (
        ("boxes", tf.size(which), wanted.most_boxes),
        ("ignored regions", tf.shape(ignored)[0], wanted.most_ignored),
    )
    return with_joints | {
        "area": filled(record["people/area"], np.nan),
        "valid": record["image/valid"],
        "size": tf.cast(size, tf.float32),
        "boxes": filled(boxes),
        "labels": filled(tf.argmax(of_class, 1, tf.int32) + 1),
        "difficult": filled(record["people/difficult"] != 0),
        "crowd": filled(record["people/iscrowd"] != 0),
        "ignore": _graph_filled(tf, ignored, wanted.most_ignored),
        "id": name,
        PROBLEM: _graph_problem(tf, name, counts),
    }


def _graph_joints(target: Skeleton, source: Skeleton, tf: Any, record: Record) -> Any:
    """Joints of all persons of the record."""
    index = conversion(source, target)
    keypoints = tf.gather(record["people/keypoints"], np.maximum(index, 0), axis=1)
    return tf.where((index >= 0)[None, :, None], keypoints, 0.0)


def _graph_problem(tf: Any, name: Any, counts: Sequence[tuple[str, Any, int]]) -> Any:
    problem = tf.constant("")
    for what, found, most in counts:
        text = tf.strings.join(
            [name, ": ", tf.strings.as_string(found), f" {what}{_too_many(most)}"]
        )
        problem = tf.where((found > most) & (problem == ""), text, problem)
    return problem


def _graph_filled(tf: Any, values: Any, most: int, absent: float = 0) -> Any:
    kept = values[:most]
    missing = [[0, most - tf.shape(kept)[0]], *[[0, 0]] * (len(values.shape) - 1)]
    filler = tf.cast(absent, values.dtype) if absent else 0
    return tf.ensure_shape(tf.pad(kept, missing, constant_values=filler), (most, *values.shape[1:]))


def _graph_extents(tf: Any, vertices: Any, lengths: Any) -> Any:
    lengths = tf.boolean_mask(lengths, lengths > 0)
    polygons = tf.size(lengths)
    which = tf.repeat(tf.range(polygons), lengths)
    low = tf.math.unsorted_segment_min(vertices, which, polygons)
    high = tf.math.unsorted_segment_max(vertices, which, polygons)
    return tf.concat([low, high], 1)
