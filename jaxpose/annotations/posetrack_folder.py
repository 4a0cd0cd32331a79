"""PoseTrack keeps one annotation file per video: folders of them, read and written as one set."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from jaxpose.annotations.images import resolve_inside
from jaxpose.annotations.schema import AnnotationSet, Frame
from jaxpose.errors import DataError


def annotation_files(path: str | Path, suffixes: Sequence[str]) -> list[Path]:
    """The file itself, or the files of a folder in sorted order.

    Where one video lies there in several formats, the first of `suffixes` counts.

    Raises:
      DataError: nothing there, or a folder without such files.
    """
    path = Path(path)
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise DataError(f"{path}: no such annotation file or folder")
    chosen: dict[str, Path] = {}
    for suffix in suffixes:
        for file in path.glob(f"*{suffix}"):
            chosen.setdefault(file.stem, file)
    if not chosen:
        raise DataError(f"{path}: no annotation files ({', '.join(suffixes)}) in this folder")
    return sorted(chosen.values())


def read_videos(files: Iterable[Path], read: Callable[[Path], AnnotationSet]) -> AnnotationSet:
    """One set of the frames of all files, in their order.

    Raises:
      DataError: two files hold the same video or image id, or joint sets or categories differ.
    """
    frames: list[Frame] = []
    notes: list[str] = []
    images: dict[str, Path] = {}
    videos: dict[str, Path] = {}
    first: AnnotationSet | None = None
    for file in files:
        part = read(file)
        first = first or part
        if part.skeleton.joints != first.skeleton.joints:
            raise DataError(f"{file}: its joints differ from those of the files before it")
        if part.classes != first.classes:
            raise DataError(f"{file}: its category differs from that of the files before it")
        for frame in part.frames:
            _claim(images, frame.image_id, file, "image id")
            if frame.video_id:
                _claim(videos, frame.video_id, file, "video")
        frames += part.frames
        notes += part.notes
    assert first is not None, "annotation_files returns at least one file"
    return AnnotationSet(first.skeleton, tuple(frames), tuple(dict.fromkeys(notes)), first.classes)


def _claim(owners: dict[str, Path], name: str, file: Path, kind: str) -> None:
    owner = owners.setdefault(name, file)
    if owner != file:
        raise DataError(f"{file}: {kind} {name} occurs in {owner.name} too")


def frames_by_video(annotation_set: AnnotationSet) -> dict[str, list[Frame]]:
    """Frames of each video in their order; raises DataError for a frame without a video."""
    videos: dict[str, list[Frame]] = {}
    for frame in annotation_set.frames:
        if not frame.video_id:
            raise DataError(f"{frame.filename}: has no video id, PoseTrack files are per video")
        videos.setdefault(frame.video_id, []).append(frame)
    return videos


def video_file(folder: str | Path, video_id: str, suffix: str) -> Path:
    """Where a video's annotations are written; raises DataError if its id leads elsewhere."""
    if "/" in video_id or "\\" in video_id:
        raise DataError(f"{folder}: video id {video_id!r} is no file name")
    return resolve_inside(folder, video_id + suffix)
