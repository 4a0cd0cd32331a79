"""What a build will convert: the frames of each split with their image files, and a digest."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from jaxpose.annotations.images import resolve_inside
from jaxpose.annotations.people import BOX_OFFSETS, BoxOffsets
from jaxpose.annotations.schema import AnnotationSet, Frame, Rejections
from jaxpose.data.canvas import JPEG_QUALITY
from jaxpose.data.labels import belongs_to_people, is_annotated
from jaxpose.data.manifest import SCHEMA_VERSION, VERSION, file_digest
from jaxpose.data.tally import Tally
from jaxpose.errors import DataError
from jaxpose.skeletons import Skeleton


@dataclass(frozen=True)
class SourceSplit:
    """Annotations of one split, the folder their image names refer to, the files they came from."""

    annotations: AnnotationSet
    images: Path
    files: tuple[Path, ...]


@dataclass(frozen=True)
class FrameJob:
    """A frame to convert, its image file and the file's size in bytes (-1: missing)."""

    frame: Frame
    path: Path
    bytes: int


@dataclass
class Plan:
    """What one build converts.

    Attributes:
      dataset: name under which it is stored; config: `people` or `images`; canvas: side in px.
      jpeg_quality: of the photographs in the records, 1 to 100.
      skeleton: joint set of the keypoints; classes: names of the categories.
      box_offsets: beyond the keypoint extent, where a set has no person boxes.
      splits: frames to convert, in the order of the records; empty splits are left out.
      digest: SHA-256 of the source, see `source_digest`.
      rejections: refused records; conversion adds to them.
      notes: for the manifest.
      tallies: what the records of each split hold; conversion fills them.
    """

    dataset: str
    config: str
    canvas: int
    skeleton: Skeleton
    classes: tuple[str, ...]
    box_offsets: BoxOffsets
    splits: Mapping[str, tuple[FrameJob, ...]]
    digest: str
    rejections: Rejections
    notes: list[str] = field(default_factory=list)
    tallies: dict[str, Tally] = field(default_factory=dict)
    jpeg_quality: int = JPEG_QUALITY

    def most_records(self, split: str) -> int:
        """Records of a split if none is refused."""
        jobs = self.splits[split]
        if self.config == "images":
            return len(jobs)
        return sum(belongs_to_people(person) for job in jobs for person in job.frame.persons)


def make_plan(
    dataset: str,
    config: str,
    canvas: int,
    sources: Mapping[str, SourceSplit],
    rejections: Rejections,
    allow_missing: int = 0,
    box_offsets: BoxOffsets = BOX_OFFSETS,
    jpeg_quality: int = JPEG_QUALITY,
) -> Plan:
    """Find the image files of all frames and put the frames into the order of the records.

    Config `images` keeps unlabelled video frames apart, in splits `<name>_unlabeled`.

    Raises:
      DataError: more images are missing than allowed, a name leads out of its folder, the splits
        differ in their joints or classes, or nothing is left to convert.
    """
    skeleton, classes = _one_vocabulary(dataset, sources)
    jobs = {name: _jobs(source, config, rejections) for name, source in sources.items()}
    missing = [job for split in jobs.values() for job in split if job.bytes < 0]
    if len(missing) > allow_missing:
        first = f"first {missing[0].path}"
        hint = f"--allow_missing={len(missing)} leaves them out"
        training = "--config.data.custom.allow_missing in training"
        raise DataError(
            f"{dataset}: {len(missing)} images are missing, {first}; {hint} ({training})"
        )
    splits = {
        part: tuple(job for job in found if job.bytes >= 0)
        for name, split in jobs.items()
        for part, found in _by_label(name, split).items()
    }
    if not any(splits.values()):
        raise DataError(f"{dataset}: the source holds no frame for config {config}")
    notes = [note for source in sources.values() for note in source.annotations.notes]
    notes += [f"split {name} is empty and was left out" for name in sources if not splits[name]]
    if missing:
        notes.append(f"{len(missing)} missing images were left out")
    if config == "people":
        notes += _without_extent(sources)
    return Plan(
        dataset=dataset,
        config=config,
        canvas=canvas,
        skeleton=skeleton,
        classes=classes,
        box_offsets=box_offsets,
        splits={name: split for name, split in splits.items() if split},
        digest=source_digest(dataset, config, canvas, box_offsets, sources, jobs, jpeg_quality),
        rejections=rejections,
        notes=list(dict.fromkeys(notes)),
        jpeg_quality=jpeg_quality,
    )


def _one_vocabulary(
    dataset: str, sources: Mapping[str, SourceSplit]
) -> tuple[Skeleton, tuple[str, ...]]:
    """The joint set and the classes that all splits share."""
    sets = [source.annotations for source in sources.values()]
    if not sets:
        raise DataError(f"{dataset}: the source holds no annotation files")
    if any(found.skeleton.joints != sets[0].skeleton.joints for found in sets):
        raise DataError(f"{dataset}: train and validation differ in their joints")
    if any(found.classes != sets[0].classes for found in sets):
        raise DataError(f"{dataset}: train and validation differ in their classes")
    return sets[0].skeleton, sets[0].classes


def _by_label(name: str, jobs: list[FrameJob]) -> dict[str, list[FrameJob]]:
    """Unlabelled frames in a split of their own: they must never be taken for empty ones."""
    return {
        name: [job for job in jobs if job.frame.is_labeled],
        f"{name}_unlabeled": [job for job in jobs if not job.frame.is_labeled],
    }


def _without_extent(sources: Mapping[str, SourceSplit]) -> list[str]:
    persons = [
        person
        for source in sources.values()
        for frame in source.annotations.frames
        for person in frame.persons
    ]
    count = sum(is_annotated(person) and not belongs_to_people(person) for person in persons)
    return [f"{count} persons of unknown extent (one joint, no box) were left out"] * (count > 0)


def _jobs(source: SourceSplit, config: str, rejections: Rejections) -> list[FrameJob]:
    """Frames that the config needs, in the order of a hash of their id.

    The order mixes videos and scenes already on disk; the persons of a frame stay together, so
    that each photograph is decoded once.
    """
    frames = [
        frame
        for frame in source.annotations.frames
        if config == "images"
        or (frame.is_labeled and any(belongs_to_people(person) for person in frame.persons))
    ]
    jobs = []
    for frame in sorted(frames, key=lambda f: hashlib.sha256(f.image_id.encode()).digest()):
        try:
            path = resolve_inside(source.images, frame.filename)
        except DataError as error:
            rejections.add(source.images, frame.filename, str(error))
            continue
        jobs.append(FrameJob(frame, path, path.stat().st_size if path.is_file() else -1))
    return jobs


def source_digest(
    dataset: str,
    config: str,
    canvas: int,
    box_offsets: BoxOffsets,
    sources: Mapping[str, SourceSplit],
    jobs: Mapping[str, list[FrameJob]],
    jpeg_quality: int = JPEG_QUALITY,
) -> str:
    """SHA-256 in hex over everything that decides about the records.

    That is the name, config, canvas, box offsets and JPEG quality, the content of every annotation
    file, and name and size of every image; an image replaced by another of the same size in bytes
    is not noticed. How JPEGs are decoded is not in it: sets that an earlier version built, from
    JPEGs decoded whole, stay valid, and lack the note `convert.DECODING` in their manifest.
    """
    splits = {
        name: {
            "annotations": sorted(file_digest(path) for path in source.files),
            "images": [[job.frame.filename, job.bytes] for job in jobs[name]],
        }
        for name, source in sources.items()
    }
    what = [SCHEMA_VERSION, VERSION, dataset, config, canvas, box_offsets, splits]
    if jpeg_quality != JPEG_QUALITY:  # sets built before there was a choice keep their digest
        what.append(jpeg_quality)
    return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()
