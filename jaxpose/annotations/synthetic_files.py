"""How the synthetic set lies on disk: image names, joints and annotation files of each format."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from jaxpose.annotations.mpii import write_mpii_json
from jaxpose.annotations.posetrack17 import write_posetrack17
from jaxpose.annotations.posetrack18 import write_posetrack18
from jaxpose.annotations.schema import AnnotationSet, Frame
from jaxpose.annotations.synthetic_motion import SYNTHETIC
from jaxpose.errors import DataError
from jaxpose.skeletons import MPII, POSETRACK17, POSETRACK18, Skeleton, convert_keypoints

FORMATS: dict[str, Skeleton] = {
    "posetrack18": POSETRACK18,
    "posetrack17": POSETRACK17,
    "mpii": MPII,
}
_JPEG_QUALITY = 93


def image_name(format_name: str, split: str, video: str, frame: int) -> str:
    """File name of a frame as the annotation holds it."""
    if format_name == "mpii":
        return f"{video}_{frame:06d}.jpg"
    return f"images/{split}/{video}/{frame:06d}.jpg"


def image_root(directory: str | Path, format_name: str) -> Path:
    """The folder that a format's image names start from."""
    root = Path(directory) / format_name
    return root / "images" if format_name == "mpii" else root


def convert_frame(record: Frame, format_name: str) -> Frame:
    """The annotation with the joints of a format; stills belong to no video."""
    target = FORMATS[format_name]
    persons = tuple(
        replace(p, keypoints=convert_keypoints(p.keypoints, SYNTHETIC, target))
        for p in record.persons
    )
    if format_name != "mpii":
        return replace(record, persons=persons)
    return replace(record, persons=persons, video_id="", frame_index=-1, ignore_polygons=())


def write_jpeg(path: Path, image: np.ndarray) -> None:
    """Write uint8 [h, w, 3] RGB; raises DataError where the file cannot be written."""
    bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    done, data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    assert done, "OpenCV's wheels always hold a JPEG encoder"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data.tobytes())
    except OSError as error:
        raise DataError(f"{path}: image cannot be written: {error.strerror}") from None


def write_annotations(
    directory: Path, format_name: str, split: str, frames: Iterable[Frame]
) -> None:
    """Write the annotation files of one split; nothing where it has no frames."""
    records = AnnotationSet(FORMATS[format_name], tuple(frames))
    if not records.frames:
        return
    root = directory / format_name
    if format_name == "mpii":
        write_mpii_json(
            root / "annot" / ("train.json" if split == "train" else "valid.json"), records
        )
    else:
        write = write_posetrack18 if format_name == "posetrack18" else write_posetrack17
        write(root / "annotations" / split, records)
