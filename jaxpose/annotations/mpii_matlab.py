"""MPII's official Matlab file, `RELEASE` with its nested structs."""

from collections.abc import Collection
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
from jaxpose.annotations.matlab import as_list, load_matlab
from jaxpose.annotations.matlab_files import Struct, cell_array, save_matlab, struct_array
from jaxpose.annotations.mpii_records import ORIGIN, read_center, read_scale, split_validation
from jaxpose.annotations.schema import OCCLUDED, AnnotationSet, Frame, Person, Rejections
from jaxpose.annotations.validation import (
    RecordError,
    check_within_reach,
    flag,
    in_file,
    mapping,
    present,
    refusing,
    relative_name,
    require_joints,
)
from jaxpose.skeletons import MPII


def read_mpii_mat(
    path: str | Path,
    val_list: str | Path | None = None,
    rejections: Rejections | None = None,
) -> dict[str, AnnotationSet]:
    """Read MPII's Matlab file: the images with img_train = 1, since the others have no poses.

    Scalars and arrays of one, absent and empty fields are all accepted; coordinates lose their 1;
    a joint without is_visible counts as visible. Persons without annopoints keep their scale and
    centre.

    Args:
      path: mpii_human_pose_v1_u12_1.mat or a file of the same layout.
      val_list: see `split_validation`.
      rejections: collects refused records; without it the first one raises.

    Returns:
      'train' and 'validation'; image ids are the image names.

    Raises:
      DataError: damaged file, a neighbouring layout (the missing field is named), or too many
        refused records.
    """
    refused = Rejections() if rejections is None else rejections
    variables = load_matlab(path)
    with in_file(path):
        release = mapping(present(variables, "RELEASE", "the file"), "RELEASE")
        entries = [mapping(e, "annolist") for e in as_list(present(release, "annolist", "RELEASE"))]
        training = as_list(present(release, "img_train", "RELEASE"))
        if len(training) != len(entries):
            raise RecordError(f"{len(training)} img_train for {len(entries)} annolist")
        for index, entry in enumerate(entries):
            for field in ("image", "annorect"):
                present(entry, field, f"RELEASE.annolist({index + 1})")
    frames: dict[str, Frame] = {}
    for index, (entry, trained) in enumerate(zip(entries, training, strict=True)):
        record = f"RELEASE.annolist({index + 1})"
        with refusing(refused, path, record):
            if flag(trained, "img_train"):
                frame = _read_frame(entry, record, path, refused)
                if frames.setdefault(frame.filename, frame) is not frame:
                    raise RecordError(f"image {frame.filename} occurs twice")
    return split_validation(AnnotationSet(MPII, tuple(frames.values())), val_list)


def _read_frame(entry: Struct, record: str, path: Path | str, rejections: Rejections) -> Frame:
    image = mapping(scalar(entry["image"]), "image")
    name = relative_name(scalar(present(image, "name", "image")), "image name")
    persons = []
    for number, rect in enumerate(as_list(entry["annorect"])):
        with refusing(rejections, path, f"{record}.annorect({number + 1})"):
            person = _read_person(mapping(rect, "annorect"))
            if _says_something(person):
                persons.append(person)
    return Frame(name, name, persons=tuple(persons))


def _read_person(rect: dict[str, Any]) -> Person:
    position = scalar(rect.get("objpos"))
    center = None
    if position is not None:
        # The common -1 of (1, 1)-based data is told before the 1 is taken off.
        center = read_center(points_xy([mapping(position, "objpos")], 0)[0])
    scale = optional_number(rect, "scale")
    person = Person(
        keypoints=read_points(rect, MPII.size, ORIGIN)[0],
        head_box=head_box(rect, ORIGIN),
        center=center,
        scale=None if scale is None else read_scale(scale),
    )
    check_within_reach(person)
    return person


def _says_something(person: Person) -> bool:
    """False for the struct of empty fields that stands for nobody."""
    parts = (person.head_box, person.center, person.scale)
    return bool(person.keypoints[:, 2].any()) or any(part is not None for part in parts)


def write_mpii_mat(
    path: str | Path, annotation_set: AnnotationSet, test_images: Collection[str] = ()
) -> None:
    """Write MPII's nested Matlab layout; the inverse of `read_mpii_mat`. Needs scipy.

    Args:
      path: the .mat file.
      annotation_set: frames with MPII joints; single_person lists all persons of each.
      test_images: names of the frames that get img_train = 0.

    Raises:
      DataError: joints other than MPII's, or the file cannot be written.
    """
    require_joints(annotation_set, MPII, path)
    frames = annotation_set.frames
    annolist = [
        {
            "image": {"name": frame.filename},
            "annorect": [_person_fields(person) for person in frame.persons],
            "frame_sec": [],
            "vididx": [],
        }
        for frame in frames
    ]
    release = {
        "annolist": struct_array(annolist),
        "img_train": np.array([[float(f.filename not in test_images) for f in frames]]),
        "version": "12",
        "single_person": cell_array([np.arange(1.0, len(f.persons) + 1)[:, None] for f in frames]),
    }
    save_matlab(path, {"RELEASE": release})


def _person_fields(person: Person) -> Struct:
    fields: Struct = dict(head_box_fields(person.head_box, ORIGIN))
    points = [
        {
            "x": float(x) + ORIGIN,
            "y": float(y) + ORIGIN,
            "id": float(joint),
            "is_visible": float(v != OCCLUDED),
        }
        for joint, (x, y, v) in enumerate(person.keypoints)
        if v > 0
    ]
    if points:
        fields["annopoints"] = {"point": points}
    if person.scale is not None:
        fields["scale"] = person.scale
    if person.center is not None:
        x, y = person.center + ORIGIN
        fields["objpos"] = {"x": float(x), "y": float(y)}
    return fields
