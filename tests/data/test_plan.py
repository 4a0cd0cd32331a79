from dataclasses import replace

import cv2
import numpy as np
import pytest

from jaxpose.annotations.people import BOX_OFFSETS
from jaxpose.annotations.schema import AnnotationSet, Frame, Person, Rejections
from jaxpose.data.convert import convert_split
from jaxpose.data.plan import SourceSplit, make_plan, source_digest
from jaxpose.errors import DataError
from jaxpose.skeletons import COCO, LSP, Skeleton


def person(x=20.0, y=20.0, joints=17, **kwargs):
    keypoints = np.zeros((joints, 3))
    keypoints[0] = (x, y, 2)
    box = np.array([x - 10, y - 10, x + 10, y + 10])
    return Person(keypoints, **({"box_xyxy": box} | kwargs))


def frame(number, *persons):
    return Frame(f"{number}.png", str(number), persons=persons)


def split_of(folder, *frames, skeleton: Skeleton = COCO):
    (folder / "annotations.json").write_text("any")
    for each in frames:
        cv2.imwrite(str(folder / each.filename), np.full((40, 50, 3), 90, np.uint8))
    return SourceSplit(AnnotationSet(skeleton, frames), folder, (folder / "annotations.json",))


def plan_of(folder, *frames, config="people", allowed=0):
    sources = {"train": split_of(folder, *frames)}
    return make_plan("set", config, 64, sources, Rejections(allowed))


def test_order_is_a_hash_of_the_ids_and_not_that_of_the_file(tmp_path):
    frames = [frame(number, person()) for number in range(20)]
    order = [job.frame.image_id for job in plan_of(tmp_path, *frames).splits["train"]]
    again = [job.frame.image_id for job in plan_of(tmp_path, *frames[::-1]).splits["train"]]
    assert order == again
    assert sorted(order) != order
    assert sorted(order) == sorted(str(number) for number in range(20))


def test_people_need_frames_with_people_only(tmp_path):
    frames = [frame(1, person()), frame(2), frame(3, person(iscrowd=True))]
    assert len(plan_of(tmp_path, *frames).splits["train"]) == 1
    assert len(plan_of(tmp_path, *frames, config="images").splits["train"]) == 3


def test_unlabelled_frames_are_kept_apart_and_never_people(tmp_path):
    unlabelled = replace(frame(2), is_labeled=False)
    odd = replace(frame(3, person()), is_labeled=False)
    splits = plan_of(
        tmp_path, frame(1, person()), unlabelled, odd, frame(4), config="images"
    ).splits
    ids = {name: sorted(job.frame.image_id for job in jobs) for name, jobs in splits.items()}
    assert ids == {"train": ["1", "4"], "train_unlabeled": ["2", "3"]}
    people = plan_of(tmp_path, frame(1, person()), unlabelled, odd)
    assert [job.frame.image_id for job in people.splits["train"]] == ["1"]


def test_a_set_without_unlabelled_frames_has_no_split_for_them(tmp_path):
    plan = plan_of(tmp_path, frame(1, person()), config="images")
    assert list(plan.splits) == ["train"] and plan.notes == []
    only = plan_of(tmp_path, replace(frame(1), is_labeled=False), config="images")
    assert list(only.splits) == ["train_unlabeled"]
    assert only.notes == ["split train is empty and was left out"]


def test_most_records_counts_people_or_frames(tmp_path):
    frames = [frame(1, person(), person(30), person(iscrowd=True)), frame(2, person())]
    assert plan_of(tmp_path, *frames).most_records("train") == 3
    assert plan_of(tmp_path, *frames, config="images").most_records("train") == 2


def test_persons_of_unknown_extent_are_noted(tmp_path):
    plan = plan_of(tmp_path, frame(1, person(), person(box_xyxy=None)))
    assert plan.notes == ["1 persons of unknown extent (one joint, no box) were left out"]
    assert len(list(convert_split(plan, "train", progress=False))) == 1


def test_a_source_without_people_is_refused(tmp_path):
    with pytest.raises(DataError, match="no frame for config people"):
        plan_of(tmp_path, frame(1))
    with pytest.raises(DataError, match="no annotation files"):
        make_plan("set", "people", 64, {}, Rejections())


def test_splits_must_agree_in_their_joints(tmp_path):
    sources = {
        "train": split_of(tmp_path, frame(1, person())),
        "validation": split_of(tmp_path, frame(2, person(joints=14)), skeleton=LSP),
    }
    with pytest.raises(DataError, match="differ in their joints"):
        make_plan("set", "people", 64, sources, Rejections())


def test_splits_must_agree_in_their_classes(tmp_path):
    validation = split_of(tmp_path, frame(2, person()))
    other = replace(validation.annotations, classes=("person", "dog"))
    sources = {
        "train": split_of(tmp_path, frame(1, person())),
        "validation": replace(validation, annotations=other),
    }
    with pytest.raises(DataError, match="differ in their classes"):
        make_plan("set", "images", 64, sources, Rejections())


def test_conversion_counts_what_the_records_hold(tmp_path):
    plan = plan_of(tmp_path, frame(1, person(), person(), person(400, 300)), allowed=1)
    list(convert_split(plan, "train", progress=False))
    assert plan.tallies["train"].boxes == {"annotated": 2}
    images = plan_of(tmp_path, frame(1, person(), person()), frame(2), config="images")
    list(convert_split(images, "train", progress=False))
    assert images.tallies["train"].most_boxes == 2


def test_a_person_outside_the_photograph_is_refused_by_name(tmp_path):
    away = frame(7, person(), person(400.0, 300.0))
    with pytest.raises(DataError, match=r"7.png: 7#1: person's crop misses the image"):
        list(convert_split(plan_of(tmp_path, away), "train", progress=False))
    plan = plan_of(tmp_path, away, allowed=1)
    assert len(list(convert_split(plan, "train", progress=False))) == 1
    assert [row["record"] for row in plan.rejections.rows] == ["7#1"]


def test_the_digest_depends_on_the_annotations_and_the_images(tmp_path):
    digests = {plan_of(tmp_path, frame(1, person())).digest}
    digests.add(plan_of(tmp_path, frame(1, person()), config="images").digest)
    sources = {"train": split_of(tmp_path, frame(1, person()))}
    digests.add(
        make_plan(
            "set", "people", 64, sources, Rejections(), box_offsets=(0.2, 0.2, 0.2, 0.2)
        ).digest
    )
    plan = plan_of(tmp_path, frame(1, person()))
    source = SourceSplit(AnnotationSet(COCO, (plan.splits["train"][0].frame,)), tmp_path,
                         (tmp_path / "annotations.json",))  # fmt: skip
    (tmp_path / "annotations.json").write_text("other")
    digests.add(make_plan("set", "people", 64, {"train": source}, Rejections()).digest)
    (tmp_path / "1.png").write_bytes(b"other")
    digests.add(make_plan("set", "people", 64, {"train": source}, Rejections()).digest)
    assert len(digests) == 5


def test_records_of_earlier_versions_keep_their_digest():
    """Computed when JPEGs were still decoded whole: such sets must not be refused."""
    digest = source_digest("set", "people", 64, BOX_OFFSETS, {}, {})
    assert digest == "b21a59efea9e8c0b0c4d25b229bec1dbc59f2f4af19e72e7370f150b714d31e5"
