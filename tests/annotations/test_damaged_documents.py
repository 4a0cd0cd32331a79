"""Whatever is changed in a document, a reader returns a valid set or raises DataError."""

import copy
import json

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jaxpose.annotations import mpii_matlab, posetrack17
from jaxpose.annotations.coco import read_coco_detection, read_coco_keypoints
from jaxpose.annotations.mpii import read_mpii_json, read_mpii_mat
from jaxpose.annotations.posetrack17 import read_posetrack17
from jaxpose.annotations.posetrack18 import read_posetrack18
from jaxpose.annotations.schema import Rejections
from jaxpose.errors import DataError
from jaxpose.skeletons import POSETRACK18

COCO_SHAPED = {
    "images": [
        {"id": 1, "file_name": "v_a/0.jpg", "width": 64, "height": 48, "vid_id": "v",
         "is_labeled": True, "ignore_regions_x": [[1, 2, 3]], "ignore_regions_y": [[1, 2, 3]]},
        {"id": 2, "file_name": "v_a/1.jpg", "vid_id": "v"},
    ],
    "annotations": [
        {"id": n, "image_id": 1, "category_id": 1, "keypoints": [3, 4, 1] * 17, "track_id": n,
         "bbox": [1, 2, 30, 40], "bbox_head": [1, 2, 3, 4], "iscrowd": 0, "area": 9.5,
         "scores": [0.5] * 17, "score": 0.5, "num_keypoints": 17}
        for n in (0, 1)
    ],
    "categories": [{"id": 1, "name": "person", "keypoints": list(POSETRACK18.joints),
                    "skeleton": [[1, 2]]}],
}  # fmt: skip
ANNOLIST = {
    "annolist": [
        {"image": [{"name": f"a/{n}.jpg"}], "is_labeled": [1], "annorect": [
            {"x1": [1], "y1": [2], "x2": [3], "y2": [4], "track_id": [n], "score": [0.5],
             "annopoints": [{"point": [{"id": [1], "x": [3], "y": [4], "is_visible": [1],
                                        "score": [0.5]}]}]}],
         "ignore_regions": [{"point": [{"x": [1], "y": [2]}]}]}
        for n in (0, 1)
    ]
}  # fmt: skip
MPII_JSON = [
    {"image": f"{n}.jpg", "center": [3, 4], "scale": 1.5, "joints": [[1, 2]] * 16,
     "joints_vis": [1] * 16}
    for n in (0, 1)
]  # fmt: skip
RELEASE = {
    "RELEASE": {
        "annolist": [
            {"image": {"name": f"{n}.jpg"}, "annorect": {
                "x1": 1, "y1": 2, "x2": 3, "y2": 4, "scale": 1.5, "objpos": {"x": 3, "y": 4},
                "annopoints": {"point": [{"id": 1, "x": 3, "y": 4, "is_visible": "1"}]}}}
            for n in (0, 1)
        ],
        "img_train": [1, 1],
    }
}  # fmt: skip

# Of st.text's own alphabet, Hypothesis takes seconds to work out what is encodable.
CHARACTERS = (st.integers(0, 0x7F) | st.integers(0, 0x10FFFF)).map(chr)
JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 20)
    | st.sampled_from([10**400, -(10**18), 1e308, -0.5, float("inf"), 2**63])
    | st.floats(allow_nan=False)
    | st.sampled_from(["", "1", "person", "../x", "/x", "a\nb", "\ud800", "C:x", "a/b.jpg"])
    | st.text(CHARACTERS, max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("idxy"), inner, max_size=2)
    ),
    max_leaves=5,
)


def places(value, path=()):
    """Every path into a document."""
    yield path
    if isinstance(value, (dict, list)):
        keys = value if isinstance(value, dict) else range(len(value))
        for key in keys:
            yield from places(value[key], (*path, key))


@st.composite
def mutants(draw, document):
    mutant = copy.deepcopy(document)
    for _ in range(draw(st.integers(1, 3))):
        *parents, last = draw(st.sampled_from(list(places(mutant))[1:] or [(None,)]))
        if last is None:
            return mutant
        holder = mutant
        for key in parents:
            holder = holder[key]
        action = draw(st.sampled_from(["replace", "replace", "delete", "repeat"]))
        if action == "replace":
            holder[last] = draw(JSON_VALUES)
        elif action == "delete" or isinstance(holder, dict):
            del holder[last]
        else:
            holder.append(copy.deepcopy(holder[last]))
    return mutant


def check_valid(annotation_set):
    """The promises of schema.py."""
    ids = [frame.image_id for frame in annotation_set.frames]
    assert len(set(ids)) == len(ids)
    for frame in annotation_set.frames:
        assert frame.filename and not {"..", ""} & set(frame.filename.split("/"))
        assert frame.is_labeled in (True, False) and isinstance(frame.frame_index, int)
        assert (frame.frame_index >= 0) == bool(frame.video_id)
        for size in (frame.width, frame.height):
            assert size is None or (isinstance(size, int) and size > 0)
        for polygon in frame.ignore_polygons:
            assert polygon.dtype == np.float64 and polygon.shape[1:] == (2,)
            assert np.isfinite(polygon).all() and len(polygon)
        tracks = [person.track_id for person in frame.persons if person.track_id >= 0]
        assert len(set(tracks)) == len(tracks)
        for person in frame.persons:
            check_person(person, annotation_set.skeleton.size)


def check_person(person, joints):
    assert person.keypoints.shape == (joints, 3) and person.keypoints.dtype == np.float64
    assert np.isfinite(person.keypoints).all() and np.abs(person.keypoints).max(initial=0) < 1e6
    assert np.isin(person.keypoints[:, 2], (0, 1, 2)).all()
    assert not person.keypoints[person.keypoints[:, 2] == 0].any()
    for box in (person.box_xyxy, person.head_box):
        if box is not None:
            assert box.shape == (4,) and np.isfinite(box).all()
            assert (box[2:] >= box[:2]).all() and (box[2:] > box[:2]).any()
    if person.box_xyxy is not None:
        assert (person.box_xyxy[2:] > person.box_xyxy[:2]).all()
    assert person.scale is None or 0 < person.scale < 1e5
    assert person.area is None or 0 <= person.area < 1e12
    assert person.center is None or np.isfinite(person.center).all()
    assert person.scores is None or np.isfinite(person.scores).all()
    assert isinstance(person.track_id, int) and isinstance(person.iscrowd, bool)


def check_reader(read, mutant, path, allowed):
    path.write_text(json.dumps(mutant).replace("Infinity", "1e400"))
    try:
        annotation_set = read(path, rejections=Rejections(allowed))
    except DataError as error:
        assert "\n" not in str(error) and str(path) in str(error)
        return
    parts = annotation_set.values() if isinstance(annotation_set, dict) else [annotation_set]
    for part in parts:
        check_valid(part)


CAREFUL = settings(
    max_examples=120, deadline=None, suppress_health_check=list(HealthCheck), database=None
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("mutants")


@CAREFUL
@given(mutants(COCO_SHAPED), st.sampled_from([0, 100]))
def test_coco(folder, mutant, allowed):
    check_reader(read_coco_keypoints, mutant, folder / "coco.json", allowed)


@CAREFUL
@given(mutants(COCO_SHAPED), st.sampled_from([0, 100]))
def test_coco_detection(folder, mutant, allowed):
    check_reader(read_coco_detection, mutant, folder / "boxes.json", allowed)


@CAREFUL
@given(mutants(COCO_SHAPED), st.sampled_from([0, 100]))
def test_posetrack18(folder, mutant, allowed):
    check_reader(read_posetrack18, mutant, folder / "pt18.json", allowed)


@CAREFUL
@given(mutants(ANNOLIST), st.sampled_from([0, 100]))
def test_posetrack17(folder, mutant, allowed):
    check_reader(read_posetrack17, mutant, folder / "pt17.json", allowed)


@CAREFUL
@given(mutants(MPII_JSON), st.sampled_from([0, 100]))
def test_mpii_json(folder, mutant, allowed):
    check_reader(read_mpii_json, mutant, folder / "mpii.json", allowed)


@CAREFUL
@given(mutants(RELEASE), st.sampled_from([0, 100]))
def test_mpii_matlab(folder, mutant, allowed):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mpii_matlab, "load_matlab", lambda path: json.loads(path.read_text()))
        check_reader(read_mpii_mat, mutant, folder / "mpii.mat", allowed)


@CAREFUL
@given(mutants(ANNOLIST), st.sampled_from([0, 100]))
def test_posetrack17_matlab(folder, mutant, allowed):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(posetrack17, "load_matlab", lambda path: json.loads(path.read_text()))
        check_reader(read_posetrack17, mutant, folder / "pt17.mat", allowed)


@pytest.mark.parametrize(
    ("read", "document"),
    [(read_coco_keypoints, COCO_SHAPED), (read_coco_detection, COCO_SHAPED),
     (read_posetrack18, COCO_SHAPED), (read_posetrack17, ANNOLIST),
     (read_mpii_json, MPII_JSON)],
)  # fmt: skip
def test_the_unchanged_documents_are_valid(folder, read, document):
    path = folder / "whole.json"
    path.write_text(json.dumps(document))
    annotation_set = read(path)
    assert len(annotation_set.frames) == 2
    check_valid(annotation_set)


@settings(CAREFUL, max_examples=80)
@given(st.binary(max_size=60) | st.text(alphabet='[]{}",:0123456789.eE-+NaInfity', max_size=40).map(
    str.encode))  # fmt: skip
def test_any_bytes(folder, content):
    path = folder / "any.json"
    path.write_bytes(content)
    for read in (read_coco_keypoints, read_posetrack17, read_mpii_json):
        try:
            check_valid(read(path))
        except DataError as error:
            assert "\n" not in str(error)
