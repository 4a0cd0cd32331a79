"""MPII Human Pose: the widespread JSON conversion, the official Matlab file, and their split.

Both formats count pixels from 1 and hold raw centres and scales: `center.y` without the 15 x scale
shift, `scale` without the factor 1.25 that pose crops add.
"""

from pathlib import Path
from typing import Any

import numpy as np

from jaxpose.annotations.json_files import load_json, plain_number, write_json
from jaxpose.annotations.mpii_matlab import read_mpii_mat, write_mpii_mat
from jaxpose.annotations.mpii_records import (
    ABSENT,
    ORIGIN,
    read_center,
    read_scale,
    split_validation,
)
from jaxpose.annotations.schema import VISIBLE, AnnotationSet, Frame, Person, Rejections
from jaxpose.annotations.validation import (
    RecordError,
    check_within_reach,
    flag,
    in_file,
    mapping,
    number,
    numbers,
    present,
    refusing,
    relative_name,
    require_joints,
    sequence,
)
from jaxpose.skeletons import MPII

__all__ = [
    "read_mpii_json",
    "read_mpii_mat",
    "split_validation",
    "write_mpii_json",
    "write_mpii_mat",
]

HEAD_SIZE_NOTE = "no head boxes in this format: head size = 25 x raw scale"


def read_mpii_json(path: str | Path, rejections: Rejections | None = None) -> AnnotationSet:
    """Read the widespread MPII JSON: a list of {image, center, scale, joints, joints_vis}.

    Coordinates lose their 1. Entries of one image become one frame, at the place of the first.
    A scale or centre of -1 is absent; joints with joints_vis 0 are not annotated, the others
    count as visible, since the format does not tell.

    Raises:
      DataError: damaged file, other layout, or too many refused records.
    """
    refused = Rejections() if rejections is None else rejections
    document = load_json(path)
    with in_file(path):
        entries = sequence(document, "the file")
    persons: dict[str, list[Person]] = {}
    for index, entry in enumerate(entries):
        with refusing(refused, path, f"entry {index}"):
            fields = mapping(entry, "entry")
            name = relative_name(present(fields, "image", "entry"), "image")
            person = _read_person(fields)
            persons.setdefault(name, []).append(person)
    frames = tuple(Frame(name, name, persons=tuple(found)) for name, found in persons.items())
    return AnnotationSet(MPII, frames, (HEAD_SIZE_NOTE,))


def _read_person(fields: dict[str, Any]) -> Person:
    rows = sequence(present(fields, "joints", "entry"), "joints")
    flags = sequence(present(fields, "joints_vis", "entry"), "joints_vis")
    if len(rows) != MPII.size or len(flags) != MPII.size:
        counts = f"{len(rows)} joints and {len(flags)} joints_vis"
        raise RecordError(f"{counts}, expected {MPII.size} each")
    xy = np.stack([numbers(row, "joint", 2) for row in rows]) - ORIGIN
    annotated = np.array([flag(value, "joints_vis") for value in flags])
    person = Person(
        keypoints=np.where(annotated[:, None], np.insert(xy, 2, VISIBLE, axis=1), 0.0),
        center=read_center(numbers(present(fields, "center", "entry"), "center", 2)),
        scale=read_scale(number(present(fields, "scale", "entry"), "scale")),
    )
    check_within_reach(person)
    return person


def write_mpii_json(path: str | Path, annotation_set: AnnotationSet) -> None:
    """Write the widespread MPII JSON; the inverse of `read_mpii_json`.

    Head boxes, occlusion and frames without persons have no place in this format.

    Raises:
      DataError: joints other than MPII's, or the file cannot be written.
    """
    require_joints(annotation_set, MPII, path)
    entries = [
        _person_fields(person, frame.filename)
        for frame in annotation_set.frames
        for person in frame.persons
    ]
    write_json(path, entries)


def _person_fields(person: Person, image: str) -> dict[str, Any]:
    annotated = person.keypoints[:, 2] > 0
    joints = np.where(annotated[:, None], person.keypoints[:, :2] + ORIGIN, ABSENT)
    center = [ABSENT, ABSENT] if person.center is None else person.center + ORIGIN
    return {
        "joints_vis": annotated.astype(int).tolist(),
        "joints": joints.tolist(),
        "image": image,
        "scale": ABSENT if person.scale is None else plain_number(person.scale),
        "center": [float(value) for value in center],
    }
