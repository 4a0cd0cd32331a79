"""Pose batches from `people` records: one person a row, joints converted to one joint set."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from jaxpose.data.batches import Batch, Labels, Rows
from jaxpose.data.manifest import Manifest
from jaxpose.data.records import Record
from jaxpose.errors import DataError
from jaxpose.skeletons import Skeleton, conversion, convert_keypoints

# Person fields that a batch carries as they are in the record.
_PERSON_FIELDS = ("center", "scale", "head_size", "box_xyxy", "area")


def people_rows(target: Skeleton) -> Rows:
    """Rows of the pose task with the joints of `target`, K of them.

    The fields, beside those of `batches.neutral_batch`: keypoints f32 [B, K, 3], x and y in source
    px and flag; joint_mask f32 [B, K], 1 where the data set has the joint at all; center f32
    [B, 2] source px; scale f32 [B], units of 200 px; head_size f32 [B] px; box_xyxy f32 [B, 4]
    source px; area f32 [B] px^2; nan where unknown. Ids are `dataset/image#person`.
    """
    return Rows(
        config="people",
        check=partial(_check, target),
        neutral=partial(_neutral, target.size),
        name=_name,
        labels=partial(_labels, target),
        graph=partial(_graph, target),
    )


def _check(target: Skeleton, manifest: Manifest) -> None:
    joint_mask(manifest.skeleton, target)


def joint_mask(source: Skeleton, target: Skeleton) -> np.ndarray:
    """float32 [K]: 1 where the data set has the target's joint at all.

    Raises:
      DataError: the two joint sets have no joint in common.
    """
    mask = (conversion(source, target) >= 0).astype(np.float32)
    if not mask.any():
        raise DataError(f"joint sets {source.name} and {target.name} have no joint in common")
    return mask


def _neutral(joints: int, count: int, canvas: int) -> Batch:
    return {
        "keypoints": np.zeros((count, joints, 3), np.float32),
        "joint_mask": np.zeros((count, joints), np.float32),
        "center": np.full((count, 2), canvas / 2, np.float32),
        "scale": np.ones(count, np.float32),
        "head_size": np.full(count, np.nan, np.float32),
        "box_xyxy": np.tile(np.array([0, 0, 1, 1], np.float32), (count, 1)),
        "area": np.full(count, np.nan, np.float32),
    }


def _name(record: Record) -> str:
    return f"{record['dataset']}/{record['image/id']}#{record['person/index']}"


def _labels(target: Skeleton, manifest: Manifest) -> Callable[[Record], Labels]:
    source, mask = manifest.skeleton, joint_mask(manifest.skeleton, target)
    return lambda record: {
        "keypoints": convert_keypoints(record["person/keypoints"], source, target),
        "joint_mask": mask,
        **{field: record[f"person/{field}"] for field in _PERSON_FIELDS},
    }


def _graph(target: Skeleton, tf: Any, manifest: Manifest) -> Callable[[Record], Labels]:
    index = conversion(manifest.skeleton, target)
    mask = joint_mask(manifest.skeleton, target)

    def labels(record: Record) -> Labels:
        keypoints = tf.gather(record["person/keypoints"], np.maximum(index, 0))
        person = tf.strings.as_string(record["person/index"])
        return {
            "keypoints": tf.where((index >= 0)[:, None], keypoints, 0.0),
            "joint_mask": tf.constant(mask),
            **{field: record[f"person/{field}"] for field in _PERSON_FIELDS},
            "id": tf.strings.join([record["dataset"], "/", record["image/id"], "#", person]),
        }

    return labels
