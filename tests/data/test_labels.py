import numpy as np
import pytest

from jaxpose.annotations.schema import Frame, Person
from jaxpose.data.labels import (
    belongs_to_people,
    crop_geometry,
    frame_labels,
    is_annotated,
    people_labels,
    person_labels,
)
from jaxpose.data.records import record_fields

JOINTS = 3
BOX = np.array([0.0, 0, 9, 9])
KEYPOINTS = np.array([[10.0, 20.0, 2], [30.0, 60.0, 1], [0, 0, 0]])


def test_crop_from_objpos_is_lowered_and_enlarged():
    person = Person(KEYPOINTS, center=np.array([100.0, 50.0]), scale=2.0)
    center, scale = crop_geometry(person)
    np.testing.assert_allclose(center, [100, 80])
    assert scale == pytest.approx(2.5)


def test_crop_from_the_head_box_has_six_diagonals():
    person = Person(KEYPOINTS, head_box=np.array([0.0, 0.0, 30.0, 40.0]))
    center, scale = crop_geometry(person)
    assert 200 * scale == pytest.approx(300)
    np.testing.assert_allclose(center, [20, 40 + 0.035 * 300])


def test_crop_from_the_person_box():
    person = Person(KEYPOINTS, box_xyxy=np.array([0.0, 0.0, 50.0, 100.0]))
    center, scale = crop_geometry(person)
    assert 200 * scale == pytest.approx(110)
    np.testing.assert_allclose(center, [25, 50 + 0.035 * 110])


def test_crop_from_the_keypoints_alone():
    # Extent 20 x 40, so the box is 26 x 52 and the crop side 57.2.
    center, scale = crop_geometry(Person(KEYPOINTS))
    assert 200 * scale == pytest.approx(57.2)
    np.testing.assert_allclose(center, [20, 40 + 0.035 * 57.2])


def test_one_joint_without_a_box_gives_no_crop():
    person = Person(KEYPOINTS * [[1], [0], [0]])
    assert np.isnan(crop_geometry(person)[1])
    assert is_annotated(person) and not belongs_to_people(person)


def test_crowds_and_unannotated_persons_are_not_people():
    box = np.array([0.0, 0, 9, 9])
    assert belongs_to_people(Person(KEYPOINTS, box_xyxy=box))
    assert not belongs_to_people(Person(KEYPOINTS, box_xyxy=box, iscrowd=True))
    assert not belongs_to_people(Person(np.zeros((3, 3)), box_xyxy=box))


def test_absent_values_are_explicit():
    labels = person_labels(Person(KEYPOINTS), 4)
    assert labels["index"] == 4
    assert labels["box_source"] == "keypoints"
    assert np.isnan([labels["head_size"], labels["area"], *labels["head_box"]]).all()
    assert labels["track_id"] == -1


def test_class_ids_count_in_the_classes():
    labels = person_labels(Person(KEYPOINTS, category="dog"), 0, ("cat", "dog"))
    assert (labels["class_id"], labels["category"]) == (1, "dog")
    assert person_labels(Person(KEYPOINTS), 0)["class_id"] == 0


def test_box_offsets_change_the_box_and_not_the_crop():
    labels = person_labels(Person(KEYPOINTS), 0, box_offsets=(0.25, 0.25, 0.25, 0.25))
    np.testing.assert_allclose(labels["box_xyxy"], [5, 10, 35, 70])  # 20 x 40 grows by 5 and 10
    assert labels["scale"] == pytest.approx(57.2 / 200)


def test_head_size_comes_from_the_head_box():
    labels = person_labels(Person(KEYPOINTS, head_box=np.array([0.0, 0.0, 30.0, 40.0])), 0)
    assert labels["head_size"] == pytest.approx(30)
    assert labels["head_box"].tolist() == [0, 0, 30, 40]


def test_polygons_are_concatenated():
    polygons = (np.array([[0.0, 1], [2, 3], [4, 5]]), np.array([[6.0, 7], [8, 9], [1, 1], [2, 2]]))
    labels = frame_labels(Frame("a.jpg", "a", ignore_polygons=polygons), "set", (40, 30))
    assert labels["ignore/lengths"].tolist() == [3, 4]
    np.testing.assert_array_equal(labels["ignore/xy"], np.concatenate(polygons))
    assert (labels["image/width"], labels["image/height"]) == (40, 30)


@pytest.mark.parametrize("joints", [JOINTS, 0])
@pytest.mark.parametrize("count", [0, 1, 3])
def test_people_are_stacked_as_the_fields_say(count, joints):
    labels = people_labels((Person(KEYPOINTS[:joints], BOX),) * count, joints)
    frame = frame_labels(Frame("a.jpg", "a"), "set", (4, 3))
    row = {f"people/{name}": value for name, value in labels.items()} | frame
    canvas = {"image/encoded", "image/matrix", "image/valid"}
    fields = record_fields("images", joints)
    assert row.keys() == fields.keys() - canvas
    for name, value in row.items():
        field = fields[name]
        if field.kind == "str":
            assert len(value) == count if field.shape else isinstance(value, str)
            continue
        assert value.dtype == field.dtype
        length = len(value) if None in field.shape else None
        assert np.shape(value) == tuple(length if s is None else s for s in field.shape)
    assert len(labels["keypoints"]) == count if joints else "keypoints" not in labels
