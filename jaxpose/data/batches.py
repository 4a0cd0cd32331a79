"""The batch of the pose task: names, dtypes, and the neutral rows that pad an evaluation batch."""

from collections.abc import Sequence

import numpy as np

from jaxpose.data.manifest import Manifest
from jaxpose.errors import DataError, UsageError
from jaxpose.skeletons import Skeleton, conversion

Batch = dict[str, np.ndarray]
# Person fields that a batch carries as they are in the record.
PERSON_FIELDS = ("center", "scale", "head_size", "box_xyxy", "area")


def neutral_batch(rows: int, canvas: int, joints: int) -> Batch:
    """A batch of padding: mask 0, black images, and geometry that gives no nan on the device.

    Returns:
      image uint8 [B, S, S, 3]; matrix f32 [B, 2, 3] source px -> canvas px; keypoints f32
      [B, K, 3] source px; joint_mask f32 [B, K]; center f32 [B, 2]; scale f32 [B]; head_size f32
      [B]; box_xyxy f32 [B, 4]; area f32 [B]; mask f32 [B]; id object [B]; dataset int32 [B].
    """
    ids = np.full(rows, "", object)
    return {
        "image": np.zeros((rows, canvas, canvas, 3), np.uint8),
        "matrix": np.tile(np.eye(2, 3, dtype=np.float32), (rows, 1, 1)),
        "keypoints": np.zeros((rows, joints, 3), np.float32),
        "joint_mask": np.zeros((rows, joints), np.float32),
        "center": np.full((rows, 2), canvas / 2, np.float32),
        "scale": np.ones(rows, np.float32),
        "head_size": np.full(rows, np.nan, np.float32),
        "box_xyxy": np.tile(np.array([0, 0, 1, 1], np.float32), (rows, 1)),
        "area": np.full(rows, np.nan, np.float32),
        "mask": np.zeros(rows, np.float32),
        "id": ids,
        "dataset": np.zeros(rows, np.int32),
    }


def padded(batch: Batch, rows: int, canvas: int, joints: int) -> Batch:
    """The batch, filled up to `rows` rows with neutral ones."""
    missing = rows - len(batch["mask"])
    if missing == 0:
        return batch
    filler = neutral_batch(missing, canvas, joints)
    return {name: np.concatenate([values, filler[name]]) for name, values in batch.items()}


def joint_mask(source: Skeleton, target: Skeleton) -> np.ndarray:
    """float32 [K]: 1 where the data set has the target's joint at all.

    Raises:
      DataError: the two joint sets have no joint in common.
    """
    mask = (conversion(source, target) >= 0).astype(np.float32)
    if not mask.any():
        raise DataError(f"joint sets {source.name} and {target.name} have no joint in common")
    return mask


def check_manifests(manifests: Sequence[Manifest], source: str, format: str) -> int:
    """The canvas side that all data sets share.

    Raises:
      UsageError: no data set. DataError: a set of another format, config or canvas.
    """
    if not manifests:
        raise UsageError("no data set given: name at least one record folder")
    for manifest in manifests:
        if manifest.format != format:
            hint = f"build it with tools/build_records.py --format={source}"
            raise DataError(f"{manifest.path}: holds {manifest.format} files, not {format}; {hint}")
        if manifest.config != "people":
            raise DataError(f"{manifest.path}: config {manifest.config}, pose batches need people")
        if manifest.canvas != manifests[0].canvas:
            first = f"{manifests[0].path} has {manifests[0].canvas}"
            raise DataError(f"{manifest.path}: canvas {manifest.canvas} px but {first} px; rebuild")
    return manifests[0].canvas
