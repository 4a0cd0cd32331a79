"""PoseTrack18: one COCO-shaped JSON per video with 17 joint slots (two ears are never used)."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from jaxpose.annotations.coco_documents import read_document, require_known_joints
from jaxpose.annotations.coco_writing import (
    annotation_fields,
    annotation_ids,
    category_fields,
    image_number,
    size_fields,
)
from jaxpose.annotations.json_files import plain_number, write_json
from jaxpose.annotations.posetrack_folder import (
    annotation_files,
    frames_by_video,
    read_videos,
    video_file,
)
from jaxpose.annotations.schema import AnnotationSet, Frame, Person, Rejections
from jaxpose.annotations.validation import require_joints
from jaxpose.skeletons import POSETRACK18

_ANNOTATED = 1  # the only flag PoseTrack18 writes: it does not tell whether a joint is occluded


def read_posetrack18(path: str | Path, rejections: Rejections | None = None) -> AnnotationSet:
    """Read PoseTrack18 annotations or predictions.

    Args:
      path: a per-video or merged `.json`, or a folder of per-video ones.
      rejections: collects refused records; without it the first one raises.

    Returns:
      The frames in file order, unlabelled ones included with is_labeled False. A video's id is the
      name of its image folder where that begins with `vid_id` (000342_mpii_test, also the name of
      its annotation file), else `vid_id`. Annotated joints, all but those of (0, 0, 0), have v = 2:
      the format does not tell whether they are occluded.

    Raises:
      DataError: a file is damaged or of another layout, or too many records are refused.
    """
    refused = Rejections() if rejections is None else rejections
    return read_videos(annotation_files(path, (".json",)), lambda file: _read_file(file, refused))


def _read_file(path: Path, rejections: Rejections) -> AnnotationSet:
    document = read_document(path, rejections, posetrack=True)
    require_known_joints(document, POSETRACK18, path)
    frames = []
    for position, frame in enumerate(document.frames):
        if not frame.video_id:
            frame = replace(frame, video_id=path.stem, frame_index=position)
        frames.append(frame)
    return AnnotationSet(POSETRACK18, tuple(frames), document.notes, document.classes)


def write_posetrack18(folder: str | Path, annotation_set: AnnotationSet) -> list[Path]:
    """Write one `<video id>.json` per video; the inverse of `read_posetrack18`.

    Occluded and visible joints become alike, since the format holds one flag for both. Joint
    scores of predictions are written, ground truth gets an empty `scores` as in the originals.

    Raises:
      DataError: joints other than PoseTrack18's, a frame without a video, or a file that cannot
        be written.
    """
    require_joints(annotation_set, POSETRACK18, folder)
    paths = []
    for video_id, frames in frames_by_video(annotation_set).items():
        paths.append(video_file(folder, video_id, ".json"))
        write_json(paths[-1], _document(frames))
    return paths


def _document(frames: list[Frame]) -> dict[str, Any]:
    annotations = [
        {"scores": []} | annotation_fields(_with_one_flag(person), frame, identifier)
        for frame, ids in zip(frames, annotation_ids(frames), strict=True)
        for person, identifier in zip(frame.persons, ids, strict=True)
    ]
    return {
        "images": [_image_fields(frame, len(frames)) for frame in frames],
        "annotations": annotations,
        "categories": [category_fields(POSETRACK18, "person")],
    }


def _with_one_flag(person: Person) -> Person:
    keypoints = person.keypoints.copy()
    keypoints[:, 2] = np.where(keypoints[:, 2] > 0, _ANNOTATED, 0)
    return replace(person, keypoints=keypoints)


def _image_fields(frame: Frame, count: int) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "file_name": frame.filename,
        "id": image_number(frame.image_id),
        "frame_id": image_number(frame.image_id),
        "vid_id": _vid_id(frame),
        "nframes": count,
        "is_labeled": frame.is_labeled,
        "has_no_densepose": True,
        **size_fields(frame),
    }
    for axis, name in enumerate(("ignore_regions_x", "ignore_regions_y")):
        if frame.ignore_polygons:
            polygons = frame.ignore_polygons
            fields[name] = [[plain_number(v) for v in polygon[:, axis]] for polygon in polygons]
    return fields


def _vid_id(frame: Frame) -> str:
    """The number that begins PoseTrack18's folder names; other video ids stay whole."""
    number = re.match(r"\d+(?=_)", frame.video_id)
    in_own_folder = frame.filename.split("/")[-2:-1] == [frame.video_id]
    return number.group() if number and in_own_folder else frame.video_id
