"""Predictions in the layout of PoseTrack: one file per sequence, for poseval and the challenges.

`posetrack17_results` makes writers of annolists with 15 joints, where a joint left out is not
written; `posetrack18_results` of COCO-like files with 17 slots, where it is 0,0,0.
"""

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path, PurePosixPath

import numpy as np

from jaxpose.annotations import schema
from jaxpose.annotations.people import person_box
from jaxpose.annotations.posetrack17 import write_posetrack17
from jaxpose.annotations.posetrack18 import write_posetrack18
from jaxpose.annotations.schema import VISIBLE, AnnotationSet
from jaxpose.inference.joint_slots import DECIMALS, JointSlots
from jaxpose.inference.people import FrameResult, Person
from jaxpose.inference.result_names import UniqueNames
from jaxpose.skeletons import POSETRACK17, POSETRACK18, Skeleton

# Stills without a folder make one sequence of this name.
STILLS = "stills"
_IDS_PER_SEQUENCE = 1_000_000

_Key = tuple[bool, str]  # whether the sequence is a video, and its name
Writer = Callable[[Path, AnnotationSet], list[Path]]


class PoseTrackResults:
    """Writes `<folder>/<sequence>.json`; a frame without people, or not readable, is written too.

    The sequence of a video's frame is its video, that of a still its folder: the one in its name,
    else the one that was the input. Sequences of
    `000342_mpii_test`'s pattern get PoseTrack's image ids (10003420000 + frame), others ids that
    are unique in the run. track_id is the place of the person in its frame.

    A video is written as soon as a frame of something else comes, folders of stills at `close`.
    """

    def __init__(
        self,
        folder: Path,
        joint_names: tuple[str, ...],
        keypoint_threshold: float = 0.0,
        *,
        skeleton: Skeleton,
        write: Writer,
        absent: str,
    ) -> None:
        self._folder, self._write = folder, write
        self._slots = JointSlots(joint_names, skeleton, keypoint_threshold)
        self._frames: dict[_Key, list[schema.Frame]] = {}
        self._sequences: dict[_Key, tuple[int, str]] = {}
        self._names, self._image_ids = UniqueNames(), set[int]()
        self._paths: list[Path] = []
        note = self._slots.note(absent=absent)
        self.notes = [note] if note else []

    def add(self, frame: FrameResult) -> None:
        """Take a frame; its name must differ from all others."""
        sequence = frame.video or str(PurePosixPath(frame.name).parent)
        # With its dot, the input's folder differs from a folder of the same name within it.
        sequence = f"./{frame.folder}" if sequence == "." else sequence
        key = (bool(frame.video), sequence)
        for other in [k for k in self._frames if k[0] and k != key]:
            self._finish(other)
        if key not in self._sequences:
            wish = PurePosixPath(sequence).name or STILLS
            self._sequences[key] = (len(self._sequences) + 1, self._names.claim(wish))
        frames = self._frames.setdefault(key, [])
        number, video_id = self._sequences[key]
        image_id = posetrack_image_id(f"{video_id}/{PurePosixPath(frame.name).name}")
        if image_id is None or image_id in self._image_ids:
            image_id = number * _IDS_PER_SEQUENCE + len(frames)
        self._image_ids.add(image_id)
        frames.append(predicted_frame(frame, self._slots, video_id, image_id, len(frames)))

    def close(self) -> list[Path]:
        """Write what is not written yet; all files. Raises DataError if one cannot be written."""
        for key in list(self._frames):
            self._finish(key)
        return self._paths

    def _finish(self, key: _Key) -> None:
        frames = tuple(self._frames.pop(key))
        self._paths += self._write(self._folder, AnnotationSet(self._slots.target, frames))


posetrack17_results = partial(
    PoseTrackResults, skeleton=POSETRACK17, write=write_posetrack17, absent="not written"
)
posetrack18_results = partial(
    PoseTrackResults, skeleton=POSETRACK18, write=write_posetrack18, absent="written as 0,0,0"
)


def posetrack_image_id(name: str) -> int | None:
    """PoseTrack18's id of `.../000342_mpii_test/000007.jpg`, 10003420007; None for other names."""
    match = re.search(r"(?:^|/)(\d{6})_[^/]*/0*(\d{1,4})(?:\.[^./]*)?$", name, re.ASCII)
    return int(f"1{match[1]}{int(match[2]):04d}") if match else None


def predicted_frame(
    frame: FrameResult, slots: JointSlots, video_id: str, image_id: int | str, index: int
) -> schema.Frame:
    """A frame as the writers of `annotations` take it, its people with track ids 0, 1, ...

    Args:
      frame: with its people.
      slots: to the joints of the format.
      video_id, image_id, index: of the frame there.
    """
    return schema.Frame(
        filename=frame.name,
        image_id=str(image_id),
        width=frame.width or None,
        height=frame.height or None,
        video_id=video_id,
        frame_index=index,
        persons=tuple(_predicted(person, slots, n) for n, person in enumerate(frame.people)),
    )


def _predicted(person: Person, slots: JointSlots, track_id: int) -> schema.Person:
    values, filled = slots.fill(person)
    keypoints = np.where(filled[:, None], [1, 1, 0] * values + [0, 0, VISIBLE], 0.0)
    box = np.round(np.asarray(person.box_xyxy, np.float64), DECIMALS)
    return schema.Person(
        keypoints=keypoints,
        box_xyxy=box if np.isfinite(box).all() else None,
        track_id=track_id,
        scores=values[:, 2],
        score=float(person.score),
    )


def frame_results(annotation_set: AnnotationSet) -> list[FrameResult]:
    """Annotations or predictions of any joint set as results, such as those read back.

    Joints that are not annotated are nan with score 0. Where the file has none, a joint's score is
    1, a person's the mean over its joints, and a box the keypoint extent x 1.3. People without
    keypoints and box are left out.
    """
    return [
        FrameResult(
            name=frame.filename,
            width=frame.width or 0,
            height=frame.height or 0,
            people=tuple(
                _estimated(person, annotation_set.skeleton)
                for person in frame.persons
                if person.box_xyxy is not None or person.keypoints[:, 2].any()
            ),
            video=frame.video_id,
            index=frame.frame_index,
        )
        for frame in annotation_set.frames
    ]


def _estimated(person: schema.Person, skeleton: Skeleton) -> Person:
    there = person.keypoints[:, 2] > 0
    scores = np.where(there, 1.0 if person.scores is None else person.scores, 0.0)
    mean = float(scores[there].mean()) if there.any() else 1.0
    return Person(
        box_xyxy=person_box(person)[0],
        score=mean if person.score is None else person.score,
        keypoints=np.where(there[:, None], person.keypoints[:, :2], np.nan),
        keypoint_scores=scores,
        joint_names=skeleton.joints,
    )
