"""PoseTrack17: one annolist per video, as JSON or Matlab file.

The layout is poseval's: `annolist[{image[{name}], imgnum, is_labeled, ignore_regions[{point}],
annorect[{x1, y1, x2, y2 (head box), track_id, annopoints[{point[{id, x, y, is_visible | score}]}]
}]}]`, every scalar in a list of one. Point ids are poseval's joints 0..14. JSON coordinates are
taken as they are; Matlab's lose their 1.
"""

from pathlib import Path
from typing import Any

import numpy as np

from jaxpose.annotations.annorect import (
    head_box,
    head_box_fields,
    optional_number,
    points_xy,
    read_points,
    scalar,
)
from jaxpose.annotations.json_files import load_json, plain_number, write_json
from jaxpose.annotations.matlab import as_list, load_matlab
from jaxpose.annotations.matlab_files import Struct, save_matlab, struct_array
from jaxpose.annotations.posetrack_folder import (
    annotation_files,
    frames_by_video,
    read_videos,
    video_file,
)
from jaxpose.annotations.schema import OCCLUDED, AnnotationSet, Frame, Person, Rejections
from jaxpose.annotations.validation import (
    RecordError,
    check_track,
    check_within_reach,
    flag,
    in_file,
    integer,
    mapping,
    present,
    refusing,
    relative_name,
    require_joints,
)
from jaxpose.skeletons import POSETRACK17

_MATLAB_ORIGIN = 1


def read_posetrack17(path: str | Path, rejections: Rejections | None = None) -> AnnotationSet:
    """Read PoseTrack17 annotations or predictions.

    Args:
      path: an annolist `.json` or `.mat`, or a folder of them (JSON counts where a video has
        both). A video's id is the name of its file, its frames are numbered in file order.
      rejections: collects refused records; without it the first one raises.

    Returns:
      The frames in file order, unlabelled ones included with is_labeled False. Image ids are the
      image names; persons without points keep their head box.

    Raises:
      DataError: a file is damaged or of another layout, or too many records are refused.
    """
    refused = Rejections() if rejections is None else rejections
    files = annotation_files(path, (".json", ".mat"))
    return read_videos(files, lambda file: _read_video(file, refused))


def _read_video(path: Path, rejections: Rejections) -> AnnotationSet:
    origin = _MATLAB_ORIGIN if path.suffix == ".mat" else 0
    document = load_matlab(path) if origin else load_json(path)
    with in_file(path):
        entries = as_list(present(mapping(document, "the file"), "annolist", "the file"))
        for index, entry in enumerate(entries):
            for field in ("annorect", "image"):
                present(mapping(entry, f"annolist[{index}]"), field, f"annolist[{index}]")
    frames: list[Frame] = []
    names: set[str] = set()
    for index, entry in enumerate(entries):
        with refusing(rejections, path, f"annolist[{index}]"):
            frame = _read_frame(entry, index, path, origin, rejections)
            if frame.filename in names:
                raise RecordError(f"image {frame.filename} occurs twice")
            names.add(frame.filename)
            frames.append(frame)
    return AnnotationSet(POSETRACK17, tuple(frames))


def _read_frame(
    entry: dict[str, Any], index: int, path: Path, origin: int, rejections: Rejections
) -> Frame:
    image = mapping(scalar(entry["image"]), "image")
    name = relative_name(scalar(present(image, "name", "image")), "image name")
    labelled = scalar(entry.get("is_labeled"))
    persons: list[Person] = []
    tracks: set[int] = set()
    rects = as_list(entry["annorect"])
    for number, rect in enumerate(rects):
        with refusing(rejections, path, f"annolist[{index}].annorect[{number}]"):
            person = _read_person(mapping(rect, "annorect"), origin)
            check_track(person.track_id, tracks)
            persons.append(person)
    return Frame(
        filename=name,
        image_id=name,
        video_id=path.stem,
        frame_index=index,
        # Where the field is missing, as poseval: frames without anybody are unlabelled.
        is_labeled=bool(rects) if labelled is None else flag(labelled, "is_labeled"),
        persons=tuple(persons),
        ignore_polygons=_read_regions(entry, f"annolist[{index}]", path, origin, rejections),
    )


def _read_person(rect: dict[str, Any], origin: int) -> Person:
    keypoints, scores = read_points(rect, POSETRACK17.size, origin)
    track = scalar(rect.get("track_id"))
    person = Person(
        keypoints=keypoints,
        head_box=head_box(rect, origin),
        track_id=-1 if track is None else integer(track, "track_id"),
        scores=scores,
        score=optional_number(rect, "score"),
    )
    check_within_reach(person)
    return person


def _read_regions(
    entry: dict[str, Any], record: str, path: Path, origin: int, rejections: Rejections
) -> tuple[np.ndarray, ...]:
    polygons = []
    for number, region in enumerate(as_list(entry.get("ignore_regions"))):
        with refusing(rejections, path, f"{record}.ignore_regions[{number}]"):
            found = as_list(mapping(region, "region").get("point"))
            corners = [mapping(point, "point") for point in found]
            if corners:
                polygons.append(points_xy(corners, origin))
    return tuple(polygons)


def write_posetrack17(folder: str | Path, annotation_set: AnnotationSet) -> list[Path]:
    """Write one `<video id>.json` per video; the inverse of `read_posetrack17`.

    Raises:
      DataError: joints other than PoseTrack17's, a frame without a video, or a file that cannot
        be written.
    """
    require_joints(annotation_set, POSETRACK17, folder)
    paths = []
    for video_id, frames in frames_by_video(annotation_set).items():
        paths.append(video_file(folder, video_id, ".json"))
        entries = [_frame_fields(frame, n + 1, 0) for n, frame in enumerate(frames)]
        write_json(paths[-1], {"annolist": [_wrapped(entry) for entry in entries]})
    return paths


def write_posetrack17_mat(folder: str | Path, annotation_set: AnnotationSet) -> list[Path]:
    """Write one `<video id>.mat` per video, 1-based coordinates; needs scipy.

    Raises:
      DataError: as `write_posetrack17`.
    """
    require_joints(annotation_set, POSETRACK17, folder)
    paths = []
    for video_id, frames in frames_by_video(annotation_set).items():
        paths.append(video_file(folder, video_id, ".mat"))
        entries = [_frame_fields(f, n + 1, _MATLAB_ORIGIN) for n, f in enumerate(frames)]
        save_matlab(paths[-1], {"annolist": struct_array(entries)})
    return paths


def _frame_fields(frame: Frame, number: int, origin: int) -> Struct:
    regions: list[Struct] = [
        {"point": [_xy(point, origin) for point in polygon]} for polygon in frame.ignore_polygons
    ]
    fields: Struct = {
        "image": [{"name": frame.filename}],
        "imgnum": number,
        "is_labeled": int(frame.is_labeled),
        "annorect": [_person_fields(person, origin) for person in frame.persons],
    }
    return fields | ({"ignore_regions": regions} if regions else {})


def _xy(point: np.ndarray, origin: int) -> Struct:
    return {"x": float(point[0]) + origin, "y": float(point[1]) + origin}


def _person_fields(person: Person, origin: int) -> Struct:
    fields: Struct = dict(head_box_fields(person.head_box, origin))
    if person.track_id >= 0:
        fields["track_id"] = person.track_id
    if person.score is not None:
        fields["score"] = person.score
    points: list[Struct] = []
    for joint in np.flatnonzero(person.keypoints[:, 2] > 0):
        point = {"id": int(joint), **_xy(person.keypoints[joint], origin)}
        occluded = person.keypoints[joint, 2] == OCCLUDED
        if person.scores is not None:
            point["score"] = float(person.scores[joint])
        if person.scores is None or occluded:
            point["is_visible"] = int(not occluded)
        points.append(point)
    return fields | {"annopoints": [{"point": points}] if points else []}


def _wrapped(value: Any) -> Any:
    """Every number in a list of one, as poseval expects; structs and their lists stay."""
    if isinstance(value, dict):
        return {key: _wrapped(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_wrapped(item) for item in value]
    return value if isinstance(value, str) else [plain_number(value)]
