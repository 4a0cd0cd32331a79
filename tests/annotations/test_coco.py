import json
import os
from pathlib import Path

import numpy as np
import pytest

from jaxpose.annotations.coco import read_coco_keypoints, write_coco_keypoints
from jaxpose.annotations.schema import AnnotationSet, Frame, Person, Rejections
from jaxpose.errors import DataError
from jaxpose.skeletons import COCO, LSP, Skeleton

HAND = {"id": 3, "name": "hand", "keypoints": ["palm", "left_tip", "right_tip"],
        "skeleton": [[1, 2], [1, 3]]}  # fmt: skip


def document(**more):
    content = {
        "images": [{"id": 9, "file_name": "sub/a.jpg", "width": 100, "height": 80}],
        "annotations": [
            {"id": 1, "image_id": 9, "category_id": 3, "bbox": [10, 20, 30, 40], "area": 600.5,
             "iscrowd": 0, "keypoints": [12, 22, 2, 30, 50, 1, 7, 7, 0], "num_keypoints": 2},
            {"id": 2, "image_id": 9, "category_id": 3, "bbox": [0, 0, 100, 80], "iscrowd": 1},
        ],
        "categories": [HAND],
    }  # fmt: skip
    return {**content, **more}


def saved(tmp_path, content):
    path = tmp_path / "coco.json"
    path.write_text(json.dumps(content))
    return path


def changed(**fields):
    content = document()
    content["annotations"][0].update(fields)
    return content


def test_hand_written_file_of_a_custom_set(tmp_path):
    annotations = read_coco_keypoints(saved(tmp_path, document()))
    assert annotations.skeleton == Skeleton(
        "custom", ("palm", "left_tip", "right_tip"), (("palm", "left_tip"), ("palm", "right_tip"))
    )
    (frame,) = annotations.frames
    assert (frame.image_id, frame.filename) == ("9", "sub/a.jpg")
    assert (frame.width, frame.height, frame.video_id, frame.frame_index) == (100, 80, "", -1)
    posed, crowd = frame.persons
    np.testing.assert_array_equal(posed.keypoints, [[12, 22, 2], [30, 50, 1], [0, 0, 0]])
    np.testing.assert_array_equal(posed.box_xyxy, [10, 20, 40, 60])
    assert posed.area == 600.5 and not posed.iscrowd and posed.category == "hand"
    assert crowd.iscrowd and crowd.area is None and not crowd.keypoints.any()


@pytest.mark.parametrize("skeleton", [COCO, LSP])
def test_known_joint_sets_are_recognised(tmp_path, skeleton):
    category = {"id": 1, "name": "person", "keypoints": list(skeleton.joints), "skeleton": []}
    content = {"images": [], "annotations": [], "categories": [category]}
    assert read_coco_keypoints(saved(tmp_path, content)).skeleton is skeleton


def test_other_categories_are_left_out_and_counted(tmp_path):
    content = document(categories=[HAND, {"id": 7, "name": "dog"}])
    content["annotations"][0]["category_id"] = 7
    annotations = read_coco_keypoints(saved(tmp_path, content))
    assert len(annotations.frames[0].persons) == 1
    assert annotations.notes == ("1 annotations of other categories left out",)


def test_the_person_category_wins(tmp_path):
    person = {"id": 1, "name": "person", "keypoints": list(COCO.joints)}
    content = {"images": [], "annotations": [], "categories": [HAND, person]}
    assert read_coco_keypoints(saved(tmp_path, content)).skeleton is COCO


@pytest.mark.parametrize("box", [[10, 20, 30, 0], [10, 20, 0, 0], [100, 20, 5, 5], [-9, 0, 9, 5]])
def test_boxes_without_area_in_the_image_are_dropped_and_counted(tmp_path, box):
    annotations = read_coco_keypoints(saved(tmp_path, changed(bbox=box)))
    posed, _ = annotations.frames[0].persons
    assert posed.box_xyxy is None and posed.keypoints[:, 2].any()
    assert annotations.notes == ("1 empty boxes ignored, of persons with keypoints",)
    content = changed(bbox=box, keypoints=[0] * 9, num_keypoints=0)
    annotations = read_coco_keypoints(saved(tmp_path, content))
    assert len(annotations.frames[0].persons) == 1
    assert annotations.notes == ("1 annotations without keypoints and with an empty box left out",)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"keypoints": [1, 2, 2]}, "holds 3 numbers, expected 9"),
        ({"keypoints": None}, "keypoints is None"),
        ({"keypoints": [1, 2, 5] + [0] * 6}, "visibility is 5"),
        ({"keypoints": [1001, 2, 2] + [0] * 6}, "coordinate 1001"),
        ({"keypoints": ["1", 2, 2] + [0] * 6}, "not a number"),
        ({"bbox": [1, 2, 3, -4]}, "negative size"),
        ({"bbox": [1, 2, 3, 1e400]}, "finite"),
        ({"area": -1}, "area is -1"),
        ({"id": 2}, "id 2 occurs twice"),
        ({"image_id": 8}, "image_id 8 has no image"),
        ({"image_id": [8]}, "image_id is"),
        ({"category_id": 4}, "category_id 4 is not among"),
        ({"iscrowd": None}, "iscrowd is None"),
    ],
)
def test_bad_annotations_are_refused_by_name(tmp_path, fields, reason):
    content = changed(**fields)
    content["annotations"].reverse()  # the changed one comes second
    text = json.dumps(content).replace("Infinity", "1e400")
    path = tmp_path / "coco.json"
    path.write_text(text)
    with pytest.raises(DataError, match=reason) as caught:
        read_coco_keypoints(path)
    assert str(caught.value).startswith(f"{path}: annotations[1] (id ")
    rejections = Rejections(allowed=1)
    (frame,) = read_coco_keypoints(path, rejections).frames
    assert len(frame.persons) == 1
    assert rejections.rows[0]["record"].startswith("annotations[1]")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ([], "not an object"),
        ({}, "no field categories"),
        (document(images={}), "images is"),
        (document(categories=[]), "exactly one with keypoints"),
        (document(categories=[{"id": 1, "name": "person"}]), "exactly one with keypoints"),
        (document(categories=[HAND, {**HAND, "id": 4}]), "exactly one with keypoints"),
        (document(categories=[HAND, HAND]), "an id occurs twice"),
        (document(categories=[{**HAND, "keypoints": ["a", "a"]}]), "joint name occurs twice"),
        (document(categories=[{**HAND, "skeleton": [[0, 1]]}]), r"limb \[0, 1\] is no pair"),
        (document(categories=[{**HAND, "skeleton": [[1, 2, 3]]}]), "is no pair"),
        (document(categories=[{**HAND, "keypoints": "abc"}]), "not a list"),
        (document(categories=[{"keypoints": ["a"]}]), "no field id"),
    ],
)
def test_other_documents_are_refused(tmp_path, content, reason):
    with pytest.raises(DataError, match=reason):
        read_coco_keypoints(saved(tmp_path, content), Rejections(allowed=100))


def synthetic(ids, skeleton):
    generator = np.random.default_rng(len(ids))
    frames = []
    for n, image_id in enumerate(ids):
        persons = []
        for k in range(n % 4):
            flags = generator.integers(0, 3, skeleton.size)
            flags[0] = 1
            xy = np.round(generator.uniform(-5, 300, (skeleton.size, 2)) * 64) / 64
            persons.append(
                Person(
                    np.where(flags[:, None] > 0, np.insert(xy, 2, flags, 1), 0.0),
                    box_xyxy=None if k == 1 else np.array([1.5, 2, 60.25, 70]),
                    head_box=np.array([1.0, 2, 3, 4]) if k == 1 else None,
                    track_id=k - 1,
                    iscrowd=k == 2,
                    area=None if k == 1 else 99.5,
                )
            )
        size = (320, 240) if n % 2 else (None, None)
        frames.append(Frame(f"{n}.jpg", image_id, *size, persons=tuple(persons)))
    return AnnotationSet(skeleton, tuple(frames))


@pytest.mark.parametrize("ids", [("5", "90", "7", "8"), ("a", "007", "7", "x y")], ids=str)
@pytest.mark.parametrize(
    "skeleton", [COCO, Skeleton("custom", ("a", "left_b"), (("a", "left_b"),))]
)
def test_round_trip(tmp_path, ids, skeleton):
    written = synthetic(ids, skeleton)
    write_coco_keypoints(tmp_path / "a.json", written)
    back = read_coco_keypoints(tmp_path / "a.json")
    assert back.skeleton == skeleton
    for one, other in zip(written.frames, back.frames, strict=True):
        for name in ("filename", "image_id", "width", "height", "video_id", "frame_index"):
            assert getattr(one, name) == getattr(other, name)
        for p, q in zip(one.persons, other.persons, strict=True):
            for name in ("keypoints", "box_xyxy", "head_box", "track_id", "iscrowd", "area"):
                np.testing.assert_array_equal(
                    np.asarray(getattr(p, name), float), np.asarray(getattr(q, name), float)
                )


def test_annotation_ids_stay_unique_in_crowded_images(tmp_path):
    crowd = tuple(Person(np.ones((2, 3))) for _ in range(130))
    frames = (Frame("1.jpg", "1", persons=crowd), Frame("2.jpg", "2", persons=crowd))
    write_coco_keypoints(tmp_path / "a.json", AnnotationSet(Skeleton("custom", ("a", "b")), frames))
    assert [len(f.persons) for f in read_coco_keypoints(tmp_path / "a.json").frames] == [130, 130]


@pytest.mark.skipif("JAXPOSE_SAMPLES" not in os.environ, reason="needs the sample data")
@pytest.mark.parametrize(
    ("file", "images", "people", "joints"),
    [("samples/coco/test_coco.json", 4, 14, COCO),
     ("lspet_people_crops/annotations/person_keypoints_val.json", 500, 500, LSP),
     ("coco_people_crops/annotations/person_keypoints_val.json", 842, 842, COCO)],
)  # fmt: skip
def test_real_files_come_back_value_for_value(tmp_path, file, images, people, joints):
    path = Path(os.environ["JAXPOSE_SAMPLES"]).parent / file
    if not path.is_file():
        pytest.skip(f"needs {file}")
    annotations = read_coco_keypoints(path)
    assert annotations.skeleton is joints and len(annotations.frames) == images
    assert sum(len(frame.persons) for frame in annotations.frames) == people
    write_coco_keypoints(tmp_path / "a.json", annotations)
    original, copy = (json.loads(p.read_text()) for p in (path, tmp_path / "a.json"))
    for a, b in zip(original["images"], copy["images"], strict=True):
        assert {k: a[k] for k in b} == b
    order = {image["id"]: n for n, image in enumerate(original["images"])}
    sorted_originals = sorted(original["annotations"], key=lambda a: order[a["image_id"]])
    for a, b in zip(sorted_originals, copy["annotations"], strict=True):
        np.testing.assert_allclose(a["bbox"], b["bbox"], atol=1e-9)
        for key in ("image_id", "keypoints", "num_keypoints", "iscrowd", "area"):
            assert a[key] == b[key], key
