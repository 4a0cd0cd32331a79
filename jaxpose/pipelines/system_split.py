"""A split of PoseTrack in its original files: what is estimated in it, and what is known of it."""

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from jaxpose.annotations.images import read_image, resolve_inside
from jaxpose.annotations.people import person_box
from jaxpose.annotations.posetrack17 import read_posetrack17
from jaxpose.annotations.posetrack18 import read_posetrack18
from jaxpose.annotations.posetrack_folder import annotation_files
from jaxpose.annotations.schema import AnnotationSet, Frame
from jaxpose.annotations.validation import has_area
from jaxpose.data.convert import check_size
from jaxpose.data.labels import is_annotated
from jaxpose.data.manifest import file_digest
from jaxpose.data.parallel import available_cores
from jaxpose.data.requirements import REQUIREMENTS
from jaxpose.errors import DataError
from jaxpose.evaluation.posetrack_files import common_format
from jaxpose.inference import frames as inference
from jaxpose.inference.own_boxes import person_boxes
from jaxpose.skeletons import POSETRACK17, POSETRACK18, Skeleton

FOLDERS = {"train": "train", "validation": "val", "test": "test"}
DATASETS: dict[str, Callable[[Path], AnnotationSet]] = {
    "posetrack17": read_posetrack17,
    "posetrack18": read_posetrack18,
}
_MOST_THREADS = 16


class Video(NamedTuple):
    """One annotation file: all its frames, and the image files of those that are estimated.

    Attributes:
      file: of the annotations; result files take its stem.
      frames: in the order of the file.
      images: image file of each frame, None for a frame that does not count.
    """

    file: Path
    frames: tuple[Frame, ...]
    images: tuple[Path | None, ...]


class Split(NamedTuple):
    """The videos of a split.

    Attributes:
      dataset: `posetrack17` or `posetrack18`; name: of `FOLDERS`.
      skeleton: of the annotations, thus of the result files.
      videos: sorted by file name.
      labelled: frames with annotated people, those that poseval counts; 0 where nothing is known.
      digest: SHA-256 in hex over the content of the annotation files, and the name and size in
        bytes of every image that is estimated.
      notes: what the readers assumed.
    """

    dataset: str
    name: str
    skeleton: Skeleton
    videos: tuple[Video, ...]
    labelled: int
    digest: str
    notes: tuple[str, ...]

    def estimated(self) -> list[tuple[Frame, Path]]:
        """The frames that are estimated, with their image files, in order."""
        return [
            (frame, path)
            for video in self.videos
            for frame, path in zip(video.frames, video.images, strict=True)
            if path is not None
        ]


def read_split(folder: str | Path, dataset: str | None, split: str) -> Split:
    """Read the annotations of a split and find its images.

    Of `train`, on which thresholds are tuned, and `validation` the frames with annotated people are
    estimated: poseval leaves out the others. Of `test` all are, whether anything is known about
    them or not.

    Args:
      folder: the data set's original files, as `tools/build_records.py --source` takes them.
      dataset: `posetrack17` or `posetrack18`; whichever the files are of without it.
      split: `train`, `validation` or `test`.

    Raises:
      DataError: no such folder or annotations, a damaged file, an image that is named twice or is
        missing, or a split other than `test` that nobody annotated.
    """
    where = Path(folder).expanduser()
    files = _annotation_files(where, dataset, split)
    skeleton = _format(files, dataset)
    read = [(file, DATASETS[skeleton.name](file)) for file in files]
    _refuse_repeated(read)
    videos = tuple(
        Video(file, found.frames, tuple(_image(where, f, split) for f in found.frames))
        for file, found in read
    )
    frames = [frame for video in videos for frame in video.frames]
    labelled = sum(bool(frame.persons) for frame in frames)
    if split != "test" and not labelled:
        raise DataError(f"{files[0].parent}: nobody is annotated in its {len(frames)} frames")
    made = Split(skeleton.name, split, skeleton, videos, labelled, "", _notes(read))
    return made._replace(digest=_digest(made))


def _annotation_files(folder: Path, dataset: str | None, split: str) -> list[Path]:
    if not folder.is_dir():
        raise DataError(f"--frames={folder}: no such folder; give one of the original files")
    annotations = folder / "annotations" / FOLDERS[split]
    if not annotations.is_dir():
        tree = REQUIREMENTS[dataset or "posetrack18"].tree.replace("\n", "; ")
        raise DataError(
            f"{annotations}: no such folder, so no {split} split; expected in {folder}: {tree}"
        )
    return annotation_files(annotations, (".json", ".mat"))


def _format(files: Sequence[Path], dataset: str | None) -> Skeleton:
    """Joint set of the files' format; raises DataError if that is not the data set's."""
    texts = [file for file in files if file.suffix == ".json"]
    found = common_format(texts) if texts else POSETRACK17
    if found is POSETRACK18 and len(texts) < len(files):
        raise DataError(f"{files[0].parent}: holds PoseTrack18's JSON and PoseTrack17's .mat files")
    if dataset not in (None, found.name):
        raise DataError(f"{files[0]}: is of {found.name}, not of --dataset={dataset}")
    return found


def _refuse_repeated(read: Sequence[tuple[Path, AnnotationSet]]) -> None:
    owners: dict[str, Path] = {}
    for file, found in read:
        for frame in found.frames:
            owner = owners.setdefault(frame.filename, file)
            if owner != file:
                raise DataError(f"{file}: image {frame.filename} occurs in {owner.name} too")


def _image(folder: Path, frame: Frame, split: str) -> Path | None:
    wanted = split == "test" or frame.persons
    return resolve_inside(folder, frame.filename) if wanted else None


def _notes(read: Sequence[tuple[Path, AnnotationSet]]) -> tuple[str, ...]:
    return tuple(f"{file.name}: {note}" for file, found in read for note in found.notes)


def _digest(split: Split) -> str:
    jobs = split.estimated()
    sizes = [path.stat().st_size if path.is_file() else -1 for _, path in jobs]
    if -1 in sizes:
        first = jobs[sizes.index(-1)][1]
        raise DataError(
            f"{first}: no such image; {sizes.count(-1)} of the {len(sizes)} images of the split "
            "are missing, and every frame counts"
        )
    files = [[video.file.name, file_digest(video.file)] for video in split.videos]
    images = [[frame.filename, size] for (frame, _), size in zip(jobs, sizes, strict=True)]
    what = json.dumps([split.dataset, split.name, files, images])
    return hashlib.sha256(what.encode()).hexdigest()


def truth_boxes(frame: Frame) -> tuple[inference.Boxes, int]:
    """Boxes of a frame's annotated people, score 1, and how many have none.

    Those are the annotated boxes, else the extent of the joints x 1.3. Crowds and people without
    annotated joints are left out, as they are when poseval counts people.
    """
    people = [person for person in frame.persons if is_annotated(person)]
    boxes = [person_box(person)[0] for person in people]
    sound = [box for box in boxes if has_area(box)]
    return person_boxes(np.array(sound)), len(boxes) - len(sound)


def decoded_frames(jobs: Sequence[tuple[Frame, Path]]) -> Iterator[inference.Frame]:
    """The frames with their pixels as stored, decoded ahead in threads.

    Raises:
      DataError: an image is damaged, or has another size than its annotation says.
    """
    threads = min(_MOST_THREADS, available_cores())
    calls = (partial(_decoded, frame, path) for frame, path in jobs)
    return inference.results_ahead(calls, 2 * threads, threads)


def _decoded(frame: Frame, path: Path) -> inference.Frame:
    started = time.perf_counter()
    image = read_image(path)
    try:
        check_size(frame, image.shape[1], image.shape[0])
    except DataError as error:
        raise DataError(f"{path}: {error}") from None
    took = time.perf_counter() - started
    return inference.Frame(frame.filename, image, decode_seconds=took)
