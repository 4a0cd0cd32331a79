"""OpenPose's JSON: one `<name>_keypoints.json` a frame, written as BODY_25, read from any model."""

import re
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from jaxpose.annotations.images import resolve_inside
from jaxpose.annotations.json_files import load_json, plain_number, write_json
from jaxpose.annotations.people import person_box
from jaxpose.annotations.schema import Person as AnnotatedPerson
from jaxpose.annotations.validation import RecordError, in_file, mapping, numbers, present, sequence
from jaxpose.errors import DataError
from jaxpose.inference.joint_slots import DECIMALS, JointSlots
from jaxpose.inference.openpose_joints import BODY_25, MODELS, to_posetrack, with_mid_hip
from jaxpose.inference.people import FrameResult, Person
from jaxpose.inference.result_names import UniqueNames, safe_name
from jaxpose.skeletons import POSETRACK17

ENDING = "_keypoints.json"
_VERSION = 1.3
# Readers of OpenPose's output expect these keys even where nothing was asked for.
_EMPTY = ("face_keypoints_2d", "hand_left_keypoints_2d", "hand_right_keypoints_2d",
          "pose_keypoints_3d", "face_keypoints_3d", "hand_left_keypoints_3d",
          "hand_right_keypoints_3d")  # fmt: skip
# OpenPose names the frames of a video `<video>_<12 digits>`.
_VIDEO_FRAME = re.compile(r"(.+)_(\d{12})", re.ASCII)


class OpenPoseResults:
    """Writes `<folder>/<name of the frame without suffix>_keypoints.json` as soon as a frame comes.

    Neck is head_bottom, MidHip the mean of the hips where both are there. People without a joint
    are left out, as OpenPose does; a frame that could not be read has no people.
    """

    def __init__(
        self, folder: Path, joint_names: tuple[str, ...], keypoint_threshold: float = 0.0
    ) -> None:
        self._folder, self._names = folder, UniqueNames()
        self._slots = JointSlots(joint_names, BODY_25, keypoint_threshold)
        self._paths: list[Path] = []
        hips = {"right_hip", "left_hip"} <= set(joint_names)
        note = self._slots.note(without=("mid_hip",) if hips else ())
        self.notes = [f"openpose {note}"] if note else []

    def add(self, frame: FrameResult) -> None:
        """Write a frame.

        Raises:
          DataError: the file cannot be written, or a symbolic link leads out of the folder.
        """
        filled = [with_mid_hip(*self._slots.fill(person)) for person in frame.people]
        people = [_person_fields(values) for values, there in filled if there.any()]
        name = self._names.claim(str(PurePosixPath(safe_name(frame.name)).with_suffix("")))
        path = resolve_inside(self._folder, name + ENDING)
        write_json(path, {"version": _VERSION, "people": people})
        self._paths.append(path)

    def close(self) -> list[Path]:
        """All files written."""
        return self._paths


def _person_fields(values: np.ndarray) -> dict[str, Any]:
    rounded = np.concatenate([np.round(values[:, :2], DECIMALS), values[:, 2:]], 1)
    flat = [plain_number(value) for value in rounded.ravel()]
    return {"person_id": [-1], "pose_keypoints_2d": flat} | {key: [] for key in _EMPTY}


def read_openpose(
    folder: str | Path, extrapolate_head_top: bool = False
) -> tuple[list[FrameResult], list[str]]:
    """Read the JSON files of an OpenPose run, of its BODY_25, COCO or MPI model, as PoseTrack's.

    The files of a sub-folder are the frames of a sequence of its name, and so are files named
    `<video>_<12 digits>`; their index is their place in the order of their numbers.

    Args:
      folder: of `*_keypoints.json` files, sub-folders included.
      extrapolate_head_top: BODY_25 and COCO have no top of the head; guess it from neck and nose
        (`openpose_joints.HEAD_TOP_BEYOND_NOSE`). Without it head_top is missing.

    Returns:
      Frames of people with PoseTrack17's 15 joints (nan and score 0 where OpenPose found none), the
      person's score the mean over its joints, its box the keypoint extent x 1.3; width and height
      are 0, as the files do not tell them. And notes on what was assumed.

    Raises:
      DataError: no such files, or one is damaged or of another model.
    """
    folder = Path(folder)
    files = [(_frame_name(file, folder), file) for file in folder.rglob("*" + ENDING)]
    if not files:
        raise DataError(f"{folder}: no *{ENDING} files of OpenPose in this folder")
    frames: list[FrameResult] = []
    models: set[str] = set()
    positions: dict[str, int] = {}
    for (video, _), file in sorted(files, key=lambda item: _order(*item[0])):
        people = _read_people(file, extrapolate_head_top, models)
        index = positions[video] = positions.get(video, -1) + 1
        name = file.relative_to(folder).as_posix().removesuffix(ENDING)
        frames.append(FrameResult(name, 0, 0, people, video, index if video else -1))
    return frames, _notes(models, extrapolate_head_top)


def _notes(models: set[str], extrapolated: bool) -> list[str]:
    if not models:
        return ["OpenPose found nobody in any frame"]
    head = "extrapolated beyond the nose" if extrapolated else "missing"
    known = sorted(models - {"mpi_15"})
    notes = [f"OpenPose {', '.join(sorted(models))}: neck counts as head_bottom"]
    return notes + ([f"OpenPose {', '.join(known)}: head_top is {head}"] if known else [])


def _frame_name(file: Path, folder: Path) -> tuple[str, str]:
    """The sequence, '' for a still, and the name within it."""
    parent = file.parent.relative_to(folder).as_posix()
    stem = file.name.removesuffix(ENDING)
    if parent != ".":
        return parent, stem
    match = _VIDEO_FRAME.fullmatch(stem)
    return (match[1], match[2]) if match else ("", stem)


def _order(video: str, stem: str) -> tuple[str, list[tuple[int, str]]]:
    """Sequences by name, frames by the numbers in their names: 2 before 10."""
    parts = re.split(r"(\d+)", stem, flags=re.ASCII)
    return video, [(int(part), "") if n % 2 else (0, part) for n, part in enumerate(parts)]


def _read_people(file: Path, head_top: bool, models: set[str]) -> tuple[Person, ...]:
    people = []
    document = load_json(file)
    with in_file(file):
        records = sequence(present(mapping(document, "the file"), "people", "the file"), "people")
    for n, record in enumerate(records):
        with in_file(f"{file}: people[{n}]"):
            key = "pose_keypoints_2d"
            flat = numbers(present(mapping(record, "person"), key, "person"), key)
            if not len(flat):
                continue  # a face or hands alone
            model = MODELS.get(len(flat) // 3)
            if model is None or len(flat) % 3:
                sizes = ", ".join(f"{3 * size} ({m.name})" for size, m in MODELS.items())
                raise RecordError(f"{key} holds {len(flat)} numbers, expected {sizes}")
            models.add(model.name)
            person = _person(to_posetrack(flat.reshape(-1, 3), model, head_top))
            people += [person] if person else []
    return tuple(people)


def _person(joints: np.ndarray) -> Person | None:
    there = joints[:, 2] > 0
    if not there.any():
        return None
    flagged = np.concatenate([joints[:, :2], 2.0 * there[:, None]], 1)
    return Person(
        box_xyxy=person_box(AnnotatedPerson(flagged))[0],
        score=float(joints[there, 2].mean()),
        keypoints=np.where(there[:, None], joints[:, :2], np.nan),
        keypoint_scores=np.where(there, joints[:, 2], 0.0),
        joint_names=POSETRACK17.joints,
    )
