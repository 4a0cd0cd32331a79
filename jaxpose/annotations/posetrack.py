"""PoseTrack files whose format, of 2017 or of 2018, shows in the file."""

from pathlib import Path

from jaxpose.annotations.posetrack17 import read_posetrack17
from jaxpose.annotations.posetrack18 import read_posetrack18
from jaxpose.annotations.schema import AnnotationSet, Rejections
from jaxpose.errors import DataError
from jaxpose.skeletons import POSETRACK17, POSETRACK18, Skeleton

# Of annotation files, the ones to be taken first where a video has both.
SUFFIXES = (".json", ".mat")


def posetrack_format(path: str | Path) -> Skeleton:
    """`POSETRACK17` or `POSETRACK18`, whichever the file is of; JSON is searched, not parsed.

    A .mat file is of PoseTrack17, which alone has them.

    Raises:
      DataError: the file cannot be read or names neither format's lists.
    """
    if Path(path).suffix == ".mat":
        return POSETRACK17
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from None
    if b'"annolist"' in content:
        return POSETRACK17
    if b'"images"' in content:
        return POSETRACK18
    raise DataError(
        f"{path}: neither PoseTrack17 (a list annolist) nor PoseTrack18 (a list images); one such "
        "JSON file a video is needed"
    )


def read_posetrack(path: str | Path, rejections: Rejections | None = None) -> AnnotationSet:
    """Read one file of either format; see `read_posetrack17` and `read_posetrack18`."""
    read = read_posetrack17 if posetrack_format(path) is POSETRACK17 else read_posetrack18
    return read(path, rejections)
