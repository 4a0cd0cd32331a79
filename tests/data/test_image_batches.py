from types import SimpleNamespace

import numpy as np
import pytest

from jaxpose.data.batches import neutral_batch
from jaxpose.data.image_batches import image_rows
from jaxpose.data.manifest import open_records
from jaxpose.data.pipeline import eval_batches, train_batches
from jaxpose.errors import DataError, UsageError
from jaxpose.skeletons import COCO, POSETRACK17

BOTH = pytest.mark.parametrize("source", ["records", "shards"])
CLASSES = ("person", "dog")


def numpy_row(rows, record, manifest=None):
    return rows.labels(manifest)(record)


def _stored(value):
    """As it is in a TFRecord: whole numbers and flags are int64."""
    if isinstance(value, list):
        return np.array(value, object)
    return value.astype(np.int64) if np.asarray(value).dtype.kind in "bi" else value


def tensor_row(rows, record, manifest=None):
    from jaxpose.data.tfrecords import load_tensorflow

    tf = load_tensorflow()
    tensors = {name: tf.constant(_stored(value)) for name, value in record.items()}
    row = {name: value.numpy() for name, value in rows.graph(tf, manifest)(tensors).items()}
    assert row.pop("id") == b"street/7"
    if problem := row.pop("problem"):
        raise DataError(problem.decode())
    return row


BOTH_ROWS = pytest.mark.parametrize("row_of", [numpy_row, tensor_row])


def record(**changes):
    """A frame of 40 x 30 px: a crowd, a cat, a dog, three without extent, a difficult person."""
    boxes = [[1, 2, 11, 12], [0, 0, 5, 5], [-3.5, 4, 20, 30], [np.nan] * 4, [7, 7, 7, 9],
             [2, 1, 9, np.inf], [7, 7, 8, 9]]  # fmt: skip
    first, second = [[3, 9], [8, 1], [5, 5]], [[30, 2], [21, 4], [25, 12], [29, 8]]
    return {
        "dataset": "street",
        "image/id": "7",
        "image/width": np.int32(40),
        "image/height": np.int32(30),
        "image/valid": np.array([0, 0, 20, 15], np.float32),
        "people/box_xyxy": np.array(boxes, np.float32),
        "people/category": ["person", "cat", "dog", *["person"] * 4],
        "people/iscrowd": np.array([1, 0, 0, 0, 0, 0, 0], np.bool_),
        "people/area": np.array([5, 6, np.nan, 8, 9, 10, 11], np.float32),
        "people/difficult": np.array([0, 0, 0, 1, 1, 1, 1], np.bool_),
        "ignore/xy": np.array(first + second, np.float32),
        "ignore/lengths": np.array([3, 0, 4, 0], np.int32),
    } | changes


def with_joints():
    """The same with PoseTrack17's joints of a crowd, of somebody without a box, and of the dog."""
    keypoints = np.zeros((7, 15, 3), np.float32)
    for person in (0, 2, 3):
        keypoints[person, 13] = (person, 8, 2)  # the nose
    areas = np.arange(7).astype(np.float32)
    return record(
        **{"people/keypoints": keypoints, "people/area": areas, "people/head_size": areas}
    )


def without_people():
    empty = {
        "people/box_xyxy": np.zeros((0, 4), np.float32),
        "people/category": [],
        "people/iscrowd": np.zeros(0, np.bool_),
        "people/area": np.zeros(0, np.float32),
        "people/difficult": np.zeros(0, np.bool_),
        "ignore/xy": np.zeros((0, 2), np.float32),
        "ignore/lengths": np.zeros(0, np.int32),
    }
    return record(**empty)


@BOTH_ROWS
def test_a_record_becomes_padded_labels(row_of):
    row = row_of(image_rows(CLASSES, 4, 3), record())
    expected = {
        "valid": [0, 0, 20, 15],
        "size": [40, 30],
        "boxes": [[1, 2, 11, 12], [-3.5, 4, 20, 30], [7, 7, 8, 9], [0, 0, 0, 0]],
        "labels": [1, 2, 1, 0],
        "difficult": [False, False, True, False],
        "crowd": [True, False, False, False],
        "area": [5, np.nan, 11, np.nan],
        "ignore": [[3, 1, 8, 9], [21, 2, 30, 12], [0, 0, 0, 0]],
    }
    assert row.keys() == expected.keys()
    for name, values in expected.items():
        np.testing.assert_array_equal(row[name], values, name)


@BOTH_ROWS
def test_rows_with_joints_keep_everybody_who_has_a_box_or_a_joint(row_of):
    manifest = SimpleNamespace(skeleton=POSETRACK17)
    rows = image_rows(("person",), 4, 2, COCO)
    row = row_of(rows, with_joints(), manifest)
    assert row["labels"].tolist() == [1, 1, 1, 0]
    assert row["boxes"].tolist() == [[1, 2, 11, 12], [0] * 4, [7, 7, 8, 9], [0] * 4]
    assert row["crowd"].tolist() == [True, False, False, False]
    assert row["keypoints"].shape == (4, 17, 3)
    assert row["keypoints"][:, 0].tolist() == [[0, 8, 2], [3, 8, 2], [0] * 3, [0] * 3]
    shared = [COCO.joints[k] for k in np.flatnonzero(row["joint_mask"])]
    assert len(shared) == 13 and "left_eye" not in shared
    for name in ("area", "head_size"):
        np.testing.assert_array_equal(row[name], [0, 3, 6, np.nan])
    neutral = rows.neutral(2, 64)
    assert {n: v.shape[1:] for n, v in neutral.items()} == {
        n: np.shape(v) for n, v in row.items() if n != "id"
    }


@BOTH_ROWS
def test_labels_count_in_the_classes_asked_for(row_of):
    assert row_of(image_rows(("dog", "cat", "person"), 4, 2), record())["labels"].tolist() == [
        3, 2, 1, 3]  # fmt: skip
    assert row_of(image_rows(("cat",), 1, 2), record())["labels"].tolist() == [1]


@BOTH_ROWS
def test_a_frame_without_anyone_has_no_labels(row_of):
    row = row_of(image_rows(CLASSES, 2, 1), without_people())
    assert row["boxes"].shape == (2, 4) and row["ignore"].shape == (1, 4)
    assert not any(row[name].any() for name in ("boxes", "labels", "crowd", "ignore"))


@BOTH_ROWS
def test_what_does_not_fit_is_refused(row_of):
    with pytest.raises(DataError, match="^street/7: 3 boxes, room for 2;"):
        row_of(image_rows(CLASSES, 2, 2), record())
    with pytest.raises(DataError, match="^street/7: 2 ignored regions, room for 1;"):
        row_of(image_rows(CLASSES, 3, 1), record())


@pytest.mark.parametrize("arguments", [((), 1, 0), (("a", "a"), 1, 0), (("a",), 0, 0)])
def test_impossible_rows_are_refused(arguments):
    with pytest.raises(UsageError):
        image_rows(*arguments)


def test_padding_rows_give_no_nan_on_the_device():
    batch = neutral_batch(image_rows(CLASSES, 5, 2), 3, 64)
    shapes = {
        "image": (np.uint8, (3, 64, 64, 3)),
        "matrix": (np.float32, (3, 2, 3)),
        "valid": (np.float32, (3, 4)),
        "size": (np.float32, (3, 2)),
        "boxes": (np.float32, (3, 5, 4)),
        "labels": (np.int32, (3, 5)),
        "area": (np.float32, (3, 5)),
        "difficult": (np.bool_, (3, 5)),
        "crowd": (np.bool_, (3, 5)),
        "ignore": (np.float32, (3, 2, 4)),
        "mask": (np.float32, (3,)),
        "id": (np.object_, (3,)),
        "dataset": (np.int32, (3,)),
    }
    assert {k: (v.dtype.type, v.shape) for k, v in batch.items()} == shapes
    assert (batch["matrix"] == np.eye(2, 3)).all() and (batch["size"] == 1).all()
    assert (batch["valid"] == [0, 0, 1, 1]).all()
    assert not any(batch[name].any() for name in ("mask", "labels", "boxes", "ignore"))


def every_row(folder, rows, source, split="train"):
    for batch in eval_batches(folder, split, rows, 4, source=source):
        for i in np.flatnonzero(batch["mask"]):
            yield {name: values[i] for name, values in batch.items()}


@BOTH
@pytest.mark.parametrize("number", [0, 1])
def test_batches_hold_what_was_annotated(built_images, source, number):
    rows = image_rows(CLASSES, 4, 2)
    seen = set()
    for row in every_row(built_images.of(source)[number], rows, source):
        frame = built_images.frames[number][row["id"].partition("/")[2]]
        seen.add(frame.image_id)
        persons = [
            person
            for person in frame.persons
            if person.category in CLASSES and person.box_xyxy is not None
        ]
        real = row["labels"] > 0
        assert real.tolist() == [i < len(persons) for i in range(4)]
        boxes = np.array([p.box_xyxy for p in persons], np.float32).reshape(-1, 4)
        np.testing.assert_array_equal(row["boxes"][real], boxes)
        assert [CLASSES[n - 1] for n in row["labels"][real]] == [p.category for p in persons]
        assert row["crowd"][real].tolist() == [p.iscrowd for p in persons]
        assert row["difficult"][real].tolist() == [p.difficult for p in persons]
        extents = [np.concatenate([p.min(0), p.max(0)]) for p in frame.ignore_polygons]
        extents += [np.zeros(4)] * (2 - len(extents))
        np.testing.assert_allclose(row["ignore"], extents, rtol=1e-6)
        assert row["size"].tolist() == [frame.width, frame.height]
    assert len(seen) == (24, 13)[number]


def test_the_matrix_maps_the_photograph_onto_its_valid_rectangle(built_images):
    reduced = 0
    for row in every_row(built_images.shards[0], image_rows(CLASSES, 4, 2), "shards"):
        corners = np.array([[0, 0], row["size"]]) - 0.5  # edges, in pixel-centre coordinates
        mapped = corners @ row["matrix"][:, :2].T + row["matrix"][:, 2] + 0.5
        np.testing.assert_allclose(mapped.ravel(), row["valid"], atol=1e-4)
        x1, y1, x2, y2 = row["valid"].astype(int)
        assert row["image"][y1:y2, x1:x2].any() and not row["image"][y2:].any()
        assert not row["image"][:, x2:].any()
        reduced += row["matrix"][0, 0] < 1
    assert reduced


@BOTH
def test_a_record_with_too_many_boxes_is_named(built_images, source):
    folder = built_images.of(source)[0]
    split = open_records(folder).split("train")
    assert (split.most_boxes, split.most_ignored) == (4, 2)
    rows = image_rows(CLASSES, 2, 2)
    with pytest.raises(DataError, match=r"^street/\d+: 3 boxes, room for 2;"):
        list(eval_batches(folder, "train", rows, 4, source=source))
    with pytest.raises(DataError, match=r"^street/\d+: 3 boxes, room for 2;"):
        for _ in train_batches([folder], None, rows, 4, 0, source=source):
            pass


def test_a_set_that_lacks_a_class_is_refused(built_images):
    rows = image_rows(("person", "cat"), 4, 2)
    with pytest.raises(DataError, match="street.*: its classes are person, dog, without cat; set"):
        train_batches(built_images.shards, None, rows, 8, 0, source="shards")
