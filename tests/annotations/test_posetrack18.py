import json
import os
from pathlib import Path

import numpy as np
import pytest

from jaxpose.annotations.posetrack18 import read_posetrack18, write_posetrack18
from jaxpose.annotations.schema import AnnotationSet, Frame, Person, Rejections
from jaxpose.errors import DataError
from jaxpose.skeletons import COCO, POSETRACK18

CATEGORY = {"id": 1, "name": "person", "keypoints": list(POSETRACK18.joints)}
NAME = "images/val/000342_mpii_test/{:06d}.jpg"


def image(index, **more):
    return {"file_name": NAME.format(index), "id": 10003420000 + index, "vid_id": "000342",
            "is_labeled": True, "nframes": 3, **more}  # fmt: skip


def annotation(index, track, **more):
    keypoints = [0, 0, 0] * 17
    keypoints[3:9] = [100, 110, 1, 120.5, 90, 1]
    return {"id": 1000342000000 + 100 * index + track, "image_id": 10003420000 + index,
            "category_id": 1, "keypoints": keypoints, "track_id": track, "scores": [],
            "bbox": [10, 20, 30, 40], "bbox_head": [12, 22, 5, 6], **more}  # fmt: skip


def saved(tmp_path, images, annotations, name="000342_mpii_test.json"):
    path = tmp_path / name
    document = {"images": images, "annotations": annotations, "categories": [CATEGORY]}
    path.write_text(json.dumps(document))
    return path


def test_hand_written_file(tmp_path):
    regions = {"ignore_regions_x": [[1, 2, 3], [4, 5, 6]], "ignore_regions_y": [[7, 8, 9]] * 2}
    images = [image(0, is_labeled=False), image(1, **regions), image(2, width=64, height=48)]
    path = saved(tmp_path, images, [annotation(1, 3), annotation(2, 0), annotation(1, 2)])
    frames = read_posetrack18(path).frames
    assert [f.is_labeled for f in frames] == [False, True, True]
    assert [f.frame_index for f in frames] == [0, 1, 2]
    assert {f.video_id for f in frames} == {"000342_mpii_test"}
    assert frames[1].image_id == "10003420001" and frames[1].filename == NAME.format(1)
    assert (frames[1].width, frames[2].width, frames[2].height) == (None, 64, 48)
    assert [p.track_id for p in frames[1].persons] == [3, 2]
    person = frames[1].persons[0]
    np.testing.assert_array_equal(person.keypoints[:4], [[0] * 3, [100, 110, 2], [120.5, 90, 2],
                                                         [0] * 3])  # fmt: skip
    np.testing.assert_array_equal(person.box_xyxy, [10, 20, 40, 60])
    np.testing.assert_array_equal(person.head_box, [12, 22, 17, 28])
    assert person.scores is None and not person.iscrowd
    np.testing.assert_array_equal(frames[1].ignore_polygons[1], [[4, 7], [5, 8], [6, 9]])


def test_only_zeros_are_not_annotated(tmp_path):
    """As in poseval's converter; v may be PoseTrack17's is_visible, a score or anything else."""
    keypoints = [5, 6, 0, 7, 8, 0.25, 0, 0, 1, 0, 9, 0, 3, 4, -2] + [0] * 36
    path = saved(tmp_path, [image(0)], [annotation(0, 0, keypoints=keypoints)])
    (person,) = read_posetrack18(path).frames[0].persons
    np.testing.assert_array_equal(
        person.keypoints[:6], [[5, 6, 2], [7, 8, 2], [0, 0, 2], [0, 9, 2], [3, 4, 2], [0, 0, 0]]
    )


def test_a_person_without_anything_marks_its_frame(tmp_path):
    bare = {"keypoints": [0] * 51, "bbox": [0, 0, 0, 0], "bbox_head": [0, 0, 0, 0]}
    path = saved(tmp_path, [image(0)], [annotation(0, 4, **bare)])
    (person,) = read_posetrack18(path).frames[0].persons
    assert person.track_id == 4 and not person.keypoints.any()
    assert person.box_xyxy is None and person.head_box is None


def test_a_flat_ignore_region_is_one_polygon(tmp_path):
    flat = image(0, ignore_regions_x=[1, 2, 3], ignore_regions_y=[4, 5, 6])
    (polygon,) = read_posetrack18(saved(tmp_path, [flat], [])).frames[0].ignore_polygons
    np.testing.assert_array_equal(polygon, [[1, 4], [2, 5], [3, 6]])


def test_video_ids(tmp_path):
    images = [
        image(0),
        image(1, file_name="elsewhere/1.jpg"),
        image(2, file_name="2.jpg"),
        image(3, vid_id=None),
        image(4, vid_id=77, file_name="77_a/4.jpg"),
    ]
    frames = read_posetrack18(saved(tmp_path, images, [], "stem.json")).frames
    assert [(f.video_id, f.frame_index) for f in frames] == [
        ("000342_mpii_test", 0), ("000342", 0), ("000342", 1), ("stem", 3), ("77_a", 0),
    ]  # fmt: skip


def synthetic(folder="{video}", scores=False):
    generator = np.random.default_rng(5)
    frames = []
    for number, video in enumerate(("000017_mpii_test", "drawn_0001")):
        for index in range(4):
            persons = []
            for track in range(index):
                flags = generator.integers(0, 2, 17) * 2
                xy = np.round(generator.uniform(-20, 600, (17, 2)) * 64) / 64
                joint_scores = np.round(generator.uniform(size=17), 3)
                persons.append(
                    Person(
                        np.where(flags[:, None] > 0, np.insert(xy, 2, flags, 1), 0.0),
                        box_xyxy=None if track else np.array([-5, 6, 70.5, 80]),
                        head_box=np.array([1, 2, 3.25, 4]) if track else None,
                        track_id=track - 1,
                        scores=joint_scores if scores else None,
                        score=0.5 if scores else None,
                    )
                )
            name = f"images/{folder.format(video=video)}/{index}.jpg"
            polygons = (np.array([[1.0, 2], [30, 2], [30, 40.5]]),) * (index % 3)
            size = (640, 480) if number else (None, None)
            frames.append(Frame(name, str(number * 100 + index), *size, video, index, index != 0,
                                tuple(persons), polygons))  # fmt: skip
    return AnnotationSet(POSETRACK18, tuple(frames))


def assert_equal(one, other):
    assert one.skeleton == other.skeleton and len(one.frames) == len(other.frames)
    for a, b in zip(one.frames, other.frames, strict=True):
        for name in ("filename", "image_id", "width", "height", "video_id", "frame_index",
                     "is_labeled"):  # fmt: skip
            assert getattr(a, name) == getattr(b, name), name
        for p, q in zip(a.ignore_polygons, b.ignore_polygons, strict=True):
            np.testing.assert_array_equal(p, q)
        for p, q in zip(a.persons, b.persons, strict=True):
            for name in ("keypoints", "box_xyxy", "head_box", "track_id", "scores", "score"):
                np.testing.assert_array_equal(
                    np.asarray(getattr(p, name), float), np.asarray(getattr(q, name), float)
                )


@pytest.mark.parametrize("scores", [False, True])
@pytest.mark.parametrize("folder", ["{video}", "other"])
def test_round_trip(tmp_path, folder, scores):
    written = write_posetrack18(tmp_path, synthetic(folder, scores))
    assert [path.name for path in written] == ["000017_mpii_test.json", "drawn_0001.json"]
    expected = synthetic(folder, scores)
    if folder == "other":  # nothing ties the number to a folder: the id is written whole
        document = json.loads(written[0].read_text())
        assert document["images"][0]["vid_id"] == "000017_mpii_test"
    assert_equal(read_posetrack18(tmp_path), expected)


def test_occlusion_is_written_as_annotated(tmp_path):
    keypoints = np.zeros((17, 3))
    keypoints[:2] = [[5, 6, 1], [7, 8, 2]]
    frame = Frame("v/0.jpg", "1", video_id="v", frame_index=0, persons=(Person(keypoints),))
    (path,) = write_posetrack18(tmp_path, AnnotationSet(POSETRACK18, (frame,)))
    (record,) = json.loads(path.read_text())["annotations"]
    assert record["keypoints"][:6] == [5, 6, 1, 7, 8, 1] and record["num_keypoints"] == 2


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"keypoints": [0] * 50}, "keypoints holds 50 numbers, expected 51"),
        ({"keypoints": None, "num_keypoints": 3}, "not a list"),
        ({"keypoints": [1e300, 2, 1] + [0] * 48}, "absurdly far"),
        ({"bbox": [1, 2, -3, 4]}, "bbox has a negative size"),
        ({"bbox_head": [1, 2, 3]}, "bbox_head holds 3 numbers"),
        ({"image_id": 5}, "image_id 5 has no image"),
        ({"id": 1000342000000}, "annotation id 1000342000000 occurs twice"),
        ({"track_id": 0}, "track_id 0 occurs twice"),
        ({"category_id": 2}, "category_id 2"),
        ({"scores": [0.5]}, "scores holds 1 numbers"),
        ({"iscrowd": 2}, "iscrowd"),
    ],
)
def test_bad_annotations_are_refused_by_name(tmp_path, change, reason):
    path = saved(tmp_path, [image(0)], [annotation(0, 0), annotation(0, 1, **change)])
    with pytest.raises(DataError, match=reason) as caught:
        read_posetrack18(path)
    assert str(caught.value).startswith(f"{path}: annotations[1] (id ")
    rejections = Rejections(allowed=1)
    (frame,) = read_posetrack18(path, rejections).frames
    assert [p.track_id for p in frame.persons] == [0] and len(rejections.rows) == 1


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"file_name": "/etc/passwd"}, "absolute path"),
        ({"id": 10003420000}, "occurs twice"),
        ({"is_labeled": "yes"}, "is_labeled"),
        ({"width": 0}, "width is 0"),
        ({"ignore_regions_x": [[1, 2]]}, "1 ignore_regions_x but 0"),
        ({"ignore_regions_x": [[1, 2]], "ignore_regions_y": [[1]]}, "2 x but 1 y"),
        ({"ignore_regions_x": [[1], 2], "ignore_regions_y": [[1], [2]]}, "not a list"),
    ],
)
def test_bad_images_are_refused_by_name(tmp_path, change, reason):
    path = saved(tmp_path, [image(0), image(1, **change)], [])
    with pytest.raises(DataError, match=reason) as caught:
        read_posetrack18(path)
    assert str(caught.value).startswith(f"{path}: images[1] (id ")


def test_other_joints_are_refused(tmp_path):
    document = {"images": [], "annotations": [],
                "categories": [{"id": 1, "keypoints": list(COCO.joints)}]}  # fmt: skip
    (tmp_path / "a.json").write_text(json.dumps(document))
    with pytest.raises(DataError, match="joints of posetrack18"):
        read_posetrack18(tmp_path)
    with pytest.raises(DataError, match="the set has coco"):
        write_posetrack18(tmp_path, AnnotationSet(COCO, ()))


@pytest.mark.skipif("JAXPOSE_SAMPLES" not in os.environ, reason="needs the sample data")
def test_real_files_come_back_value_for_value(tmp_path):
    folder = Path(os.environ["JAXPOSE_SAMPLES"]) / "posetrack18" / "annotations" / "val"
    annotations = read_posetrack18(folder)
    assert [len(frame.persons) for frame in annotations.frames] == [1, 2, 11]
    for path in write_posetrack18(tmp_path, annotations):
        original = json.loads((folder / path.name).read_text())
        copy = json.loads(path.read_text())
        assert copy["categories"][0]["keypoints"] == original["categories"][0]["keypoints"]
        for a, b in zip(original["images"], copy["images"], strict=True):
            for kind in ("ignore_regions_x", "ignore_regions_y"):
                flat = not isinstance(a[kind][0], list)
                a[kind] = [a[kind]] if flat else a[kind]
            # nframes counts the frames of the whole video, of which the sample holds one.
            assert {k: a[k] for k in b if k != "nframes"} == {
                k: v for k, v in b.items() if k != "nframes"
            }
        for a, b in zip(original["annotations"], copy["annotations"], strict=True):
            assert a.keys() == b.keys()
            for key in a:
                if key.startswith("bbox"):
                    np.testing.assert_allclose(b[key], a[key], atol=1e-9)
                else:
                    assert b[key] == a[key], key
