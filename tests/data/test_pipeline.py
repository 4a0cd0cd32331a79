import itertools
from dataclasses import dataclass

import numpy as np
import pytest

from jaxpose.data.batches import Rows
from jaxpose.data.build import build
from jaxpose.data.image_batches import image_rows
from jaxpose.data.people_batches import people_rows
from jaxpose.data.pipeline import count_records, eval_batches, steps_per_epoch, train_batches
from jaxpose.errors import DataError, UsageError
from jaxpose.skeletons import COCO, POSETRACK17, Skeleton, convert_keypoints

_POSE = people_rows(POSETRACK17)
BOTH = pytest.mark.parametrize("source", ["records", "shards"])


@dataclass(frozen=True)
class Case:
    """Two built data sets, what to read of them, and the records in the first one's validation."""

    built: object
    rows: Rows
    validation: int


@pytest.fixture(params=["people", "images"])
def case(request):
    """Both kinds of batches."""
    if request.param == "people":
        # 7 images, 1 + number % 2 persons each, numbers 25 to 31.
        return Case(request.getfixturevalue("built"), people_rows(POSETRACK17), 11)
    rows = image_rows(("person", "dog"), most_boxes=4, most_ignored=2)
    return Case(request.getfixturevalue("built_images"), rows, 7)


def take(batches, count):
    taken = list(itertools.islice(batches, count))
    batches.close()
    return taken


def train(built, source, count, rows=_POSE, **kwargs):
    kwargs = {"weights": (2, 1), "rows": rows, "batch_size": 8, "seed": 5} | kwargs
    return take(train_batches(built.of(source), source=source, window_shards=2, **kwargs), count)


def assert_equal(first, second):
    assert len(first) == len(second)
    for a, b in zip(first, second, strict=True):
        assert a.keys() == b.keys()
        for name in a:
            assert a[name].dtype == b[name].dtype, name
            np.testing.assert_array_equal(a[name], b[name], name)


def test_records_and_shards_give_the_same_batches(case):
    # 25 batches of 8 reach the fourth epoch of the larger set. Images are equal bit for bit, since
    # both decoders are libjpeg-turbo with the accurate integer DCT.
    both = (train(case.built, source, 25, case.rows) for source in ("records", "shards"))
    assert_equal(*both)


def test_tensorflow_gets_the_order_in_pieces_that_do_not_show(built, monkeypatch):
    from jaxpose.data import tfrecords

    monkeypatch.setattr(tfrecords, "_HORIZON_ROWS", (20, 20))  # 3 batches of 8
    assert_equal(train(built, "records", 8), train(built, "shards", 8))


@BOTH
def test_a_batch_is_as_the_contract_says(built, source):
    batch = train(built, source, 1)[0]
    shapes = {
        "image": (np.uint8, (8, 64, 64, 3)),
        "matrix": (np.float32, (8, 2, 3)),
        "keypoints": (np.float32, (8, 15, 3)),
        "joint_mask": (np.float32, (8, 15)),
        "center": (np.float32, (8, 2)),
        "scale": (np.float32, (8,)),
        "head_size": (np.float32, (8,)),
        "box_xyxy": (np.float32, (8, 4)),
        "area": (np.float32, (8,)),
        "mask": (np.float32, (8,)),
        "id": (np.object_, (8,)),
        "dataset": (np.int32, (8,)),
    }
    assert {k: (v.dtype.type, v.shape) for k, v in batch.items()} == shapes
    assert batch["mask"].all()
    assert all(isinstance(name, str) for name in batch["id"])
    names = ["coco_keypoints", "lspet"]
    assert [name.split("/")[0] for name in batch["id"]] == [names[d] for d in batch["dataset"]]
    assert set(batch["dataset"]) == {0, 1}


@BOTH
def test_joints_that_a_set_lacks_are_masked(built, source):
    batch = train(built, source, 1)[0]
    lacks = {0: {"head_bottom", "head_top"}, 1: {"nose"}}
    for row, d in enumerate(batch["dataset"]):
        missing = [joint in lacks[d] for joint in POSETRACK17.joints]
        np.testing.assert_array_equal(batch["joint_mask"][row], 1.0 - np.array(missing))
        assert not batch["keypoints"][row][missing].any()


@BOTH
def test_any_step_continues_the_run(case, source):
    resumed = train(case.built, source, 3, case.rows, start_step=9)
    assert_equal(resumed, train(case.built, source, 12, case.rows)[9:])


@BOTH
def test_processes_decode_their_rows(case, source):
    whole = train(case.built, source, 4, case.rows)
    halves = [
        train(case.built, source, 4, case.rows, process_index=p, process_count=2) for p in (0, 1)
    ]
    joined = [
        {name: np.concatenate([a[name], b[name]]) for name in a}
        for a, b in zip(*halves, strict=True)
    ]
    assert_equal(joined, whole)


@BOTH
@pytest.mark.parametrize("process_count", [1, 2])
def test_evaluation_sees_each_example_once(case, source, process_count):
    folder, count = case.built.of(source)[0], case.validation
    parts = [
        list(eval_batches(folder, "validation", case.rows, 6, p, process_count, source))
        for p in range(process_count)
    ]
    assert [len(part) for part in parts] == [2] * process_count
    rows = [row for batches in zip(*parts, strict=True) for b in batches for row in zip(
        b["id"], b["mask"], strict=True)]  # fmt: skip
    assert sum(mask for _, mask in rows) == count == len({name for name, mask in rows if mask})
    assert [mask for _, mask in rows] == [1.0] * count + [0.0] * (12 - count)
    assert [name for name, mask in rows if not mask] == [""] * (12 - count)


def test_padding_rows_give_no_nan_on_the_device(built):
    *_, last = eval_batches(built.shards[0], "validation", people_rows(COCO), 8, source="shards")
    padding = {k: v[last["mask"] == 0] for k, v in last.items()}
    assert len(padding["mask"]) == 5
    assert not padding["image"].any() and not padding["joint_mask"].any()
    assert (np.linalg.det(padding["matrix"][:, :, :2]) == 1).all()
    assert (padding["scale"] > 0).all() and np.isfinite(padding["center"]).all()


def test_evaluation_is_equal_from_records_and_shards(case):
    both = (
        list(eval_batches(case.built.of(source)[1], "train", case.rows, 4, source=source))
        for source in ("records", "shards")
    )
    assert_equal(*both)


def test_keypoints_are_converted_by_name(built):
    own, target = (
        list(eval_batches(built.shards[0], "validation", people_rows(skeleton), 4, source="shards"))
        for skeleton in (COCO, POSETRACK17)
    )
    for a, b in zip(own, target, strict=True):
        expected = convert_keypoints(a["keypoints"], COCO, POSETRACK17)
        np.testing.assert_array_equal(b["keypoints"], expected)


def test_mixture_follows_the_weights_or_the_sizes(built):
    def share(weights):
        batches = train(built, "shards", 5, batch_size=200, weights=weights)
        return np.mean(np.concatenate([batch["dataset"] for batch in batches]))

    assert share((3, 1)) == 0.25
    sizes = [count_records([folder], "train") for folder in built.shards]
    assert share(None) == pytest.approx(sizes[1] / sum(sizes), abs=0.001)


def test_an_epoch_is_rounded_up(built):
    assert count_records(built.records, "train") == 36 + 20
    assert steps_per_epoch(built.records, 8) == 7
    assert steps_per_epoch(built.records, 9) == 7


@BOTH
def test_wrong_use_is_refused(built, source):
    good = {
        "weights": None,
        "rows": people_rows(COCO),
        "batch_size": 8,
        "seed": 0,
        "source": source,
    }
    folders = built.of(source)
    wrong = [{"batch_size": 7, "process_count": 2}, {"weights": [1]}, {"source": "zip"}]
    for change in wrong:
        with pytest.raises(UsageError):
            next(train_batches(folders, **(good | change)))
    with pytest.raises(UsageError, match="no data set"):
        train_batches([], **good)
    with pytest.raises(DataError, match="no split 'test'"):
        train_batches(folders, **good, split="test")
    with pytest.raises(DataError, match="no joint in common"):
        next(
            train_batches(folders, **(good | {"rows": people_rows(Skeleton("hands", ("thumb",)))}))
        )
    other = built.of("shards" if source == "records" else "records")
    with pytest.raises(DataError, match=f"--format={source}"):
        train_batches(other, **good)


def test_sets_that_do_not_fit_together_are_refused(built, coco_source, tmp_path):
    folders = {
        (config, canvas): build(
            "coco_keypoints",
            coco_source,
            tmp_path,
            config,
            canvas,
            "shards",
            f"set{canvas}",
            progress=False,
        )  # fmt: skip
        for config, canvas in (("people", 96), ("images", 64))
    }
    good = {
        "weights": None,
        "rows": people_rows(COCO),
        "batch_size": 8,
        "seed": 0,
        "source": "shards",
    }
    with pytest.raises(DataError, match="canvas 96 px but .* has 64 px"):
        train_batches([built.shards[0], folders["people", 96]], **good)
    with pytest.raises(DataError, match="config images, these batches need people"):
        train_batches([folders["images", 64]], **good)
