"""What MPII's two file formats share: 1-based centres, absent values, and the validation split."""

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np

from jaxpose.annotations.schema import AnnotationSet
from jaxpose.annotations.validation import RecordError
from jaxpose.errors import DataError

ORIGIN = 1
ABSENT = -1
_HASHED_PARTS = 10


def read_center(center: np.ndarray) -> np.ndarray | None:
    """A 1-based Matlab centre as 0-based [2]; (-1, -1) is none."""
    return None if (center == ABSENT).all() else center - ORIGIN


def read_scale(scale: float) -> float | None:
    """A raw scale; -1 is none, any other value that is not positive is refused."""
    if scale == ABSENT:
        return None
    if scale <= 0:
        raise RecordError(f"scale is {scale:g}")
    return scale


def split_validation(
    annotation_set: AnnotationSet, val_list: str | Path | None = None
) -> dict[str, AnnotationSet]:
    """Split MPII's labelled images into 'train' and 'validation'; the notes say how.

    Args:
      annotation_set: the images with published annotations.
      val_list: text file with one image name per line (repeated names count once). Without it a
        tenth of the images, chosen by a hash of the image name: the same on every machine.

    Raises:
      DataError: the list cannot be read or names no image of the set.
    """
    names = {frame.filename for frame in annotation_set.frames}
    if val_list is None:
        chosen = {name for name in names if _hashed_part(name) == 0}
        note = "validation: a fixed tenth of the images by SHA-1 of the image name (no val_list)"
    else:
        listed = _listed_names(Path(val_list))
        chosen = names & listed
        note = f"validation: {len(chosen)} images of {Path(val_list).name}"
        if not chosen:
            raise DataError(f"{val_list}: none of its {len(listed)} names is an image of the set")
        if chosen < listed:
            note += f", {len(listed) - len(chosen)} of its names are not in the set"
    return {
        split: replace(
            annotation_set,
            frames=tuple(f for f in annotation_set.frames if (f.filename in chosen) == wanted),
            notes=(*annotation_set.notes, note),
        )
        for split, wanted in (("train", False), ("validation", True))
    }


def _hashed_part(name: str) -> int:
    return int(hashlib.sha1(name.encode()).hexdigest(), 16) % _HASHED_PARTS


def _listed_names(path: Path) -> set[str]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read as a list of image names: {error}") from None
    return {line.strip() for line in lines if line.strip()}
