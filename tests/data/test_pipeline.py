import itertools
import json
import shutil
import subprocess
import sys

import numpy as np
import pytest

from jaxpose.data.build import build
from jaxpose.data.pipeline import count_records, eval_batches, steps_per_epoch, train_batches
from jaxpose.errors import DataError, UsageError
from jaxpose.skeletons import COCO, LSP, POSETRACK17, Skeleton, convert_keypoints

BOTH = pytest.mark.parametrize("source", ["records", "shards"])


def take(batches, count):
    taken = list(itertools.islice(batches, count))
    batches.close()
    return taken


def train(built, source, count, **kwargs):
    kwargs = {"weights": (2, 1), "target": POSETRACK17, "batch_size": 8, "seed": 5} | kwargs
    return take(train_batches(built.of(source), source=source, window_shards=2, **kwargs), count)


def assert_equal(first, second):
    assert len(first) == len(second)
    for a, b in zip(first, second, strict=True):
        assert a.keys() == b.keys()
        for name in a:
            assert a[name].dtype == b[name].dtype, name
            np.testing.assert_array_equal(a[name], b[name], name)


def test_records_and_shards_give_the_same_batches(built):
    # 25 batches of 8 reach the fourth epoch of the larger set. Images are equal bit for bit, since
    # both decoders are libjpeg-turbo with the accurate integer DCT.
    assert_equal(train(built, "records", 25), train(built, "shards", 25))


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
def test_any_step_continues_the_run(built, source):
    assert_equal(train(built, source, 3, start_step=9), train(built, source, 12)[9:])


@BOTH
def test_processes_decode_their_rows(built, source):
    whole = train(built, source, 4)
    halves = [train(built, source, 4, process_index=p, process_count=2) for p in (0, 1)]
    joined = [
        {name: np.concatenate([a[name], b[name]]) for name in a}
        for a, b in zip(*halves, strict=True)
    ]
    assert_equal(joined, whole)


@BOTH
@pytest.mark.parametrize("process_count", [1, 2])
def test_evaluation_sees_each_example_once(built, source, process_count):
    folder = built.of(source)[0]
    parts = [
        list(eval_batches(folder, "validation", COCO, 8, p, process_count, source))
        for p in range(process_count)
    ]
    # 7 images, 1 + number % 2 persons each, numbers 25 to 31: 11 persons in 2 batches.
    assert [len(part) for part in parts] == [2] * process_count
    rows = [row for batches in zip(*parts, strict=True) for b in batches for row in zip(
        b["id"], b["mask"], strict=True)]  # fmt: skip
    assert sum(mask for _, mask in rows) == 11 == len({name for name, mask in rows if mask})
    assert [mask for _, mask in rows] == [1.0] * 11 + [0.0] * 5
    assert [name for name, mask in rows if not mask] == [""] * 5


def test_padding_rows_give_no_nan_on_the_device(built):
    *_, last = eval_batches(built.shards[0], "validation", COCO, 8, source="shards")
    padding = {k: v[last["mask"] == 0] for k, v in last.items()}
    assert len(padding["mask"]) == 5
    assert not padding["image"].any() and not padding["joint_mask"].any()
    assert (np.linalg.det(padding["matrix"][:, :, :2]) == 1).all()
    assert (padding["scale"] > 0).all() and np.isfinite(padding["center"]).all()


def test_evaluation_is_equal_from_records_and_shards(built):
    batches = [
        list(eval_batches(built.of(s)[1], "train", LSP, 4, source=s)) for s in ("records", "shards")
    ]
    assert_equal(*batches)


def test_keypoints_are_converted_by_name(built):
    own, target = (
        list(eval_batches(built.shards[0], "validation", skeleton, 4, source="shards"))
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
    good = {"weights": None, "target": COCO, "batch_size": 8, "seed": 0, "source": source}
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
        next(train_batches(folders, **(good | {"target": Skeleton("hands", ("thumb",))})))
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
    good = {"weights": None, "target": COCO, "batch_size": 8, "seed": 0, "source": "shards"}
    with pytest.raises(DataError, match="canvas 96 px but .* has 64 px"):
        train_batches([built.shards[0], folders["people", 96]], **good)
    with pytest.raises(DataError, match="config images, pose batches need people"):
        train_batches([folders["images", 64]], **good)


@pytest.fixture
def copy(built, tmp_path):
    """A function that copies a built set, for a test to damage."""
    return lambda source: shutil.copytree(built.of(source)[0], tmp_path / source)


def read_all(folder, source):
    return list(eval_batches(folder, "train", COCO, 8, source=source))


def third_shard(folder):
    return sorted(folder.glob("*train*-of-*"))[2]


@BOTH
def test_a_flipped_bit_is_reported_with_its_shard(copy, source):
    folder = copy(source)
    shard = third_shard(folder)
    data = shard.read_bytes()
    rng = np.random.default_rng(1)
    for position in rng.integers(len(data) // 4, len(data) // 2, 3).tolist():
        flipped = bytearray(data)
        flipped[position] ^= 1 << (position % 8)
        shard.write_bytes(flipped)
        with pytest.raises(DataError, match=shard.name):
            read_all(folder, source)


@BOTH
def test_cut_empty_and_missing_shards_are_reported_at_opening(copy, source):
    folder = copy(source)
    shard = third_shard(folder)
    data = shard.read_bytes()
    for damage in (data[: len(data) // 2], b"", None):
        shard.unlink() if damage is None else shard.write_bytes(damage)
        with pytest.raises(DataError, match=shard.name):
            eval_batches(folder, "train", COCO, 8, source=source)


@BOTH
def test_a_shard_cut_after_opening_is_reported(copy, source):
    folder = copy(source)
    batches = train_batches([folder], None, COCO, 4, 0, source=source, window_shards=1)
    next(batches)
    for shard in folder.glob("*train*-of-*"):
        shard.write_bytes(shard.read_bytes()[:-1000])
    with pytest.raises(DataError, match=r"coco_keypoints-train"):
        take(batches, 200)


def test_a_wrong_count_is_reported(copy):
    folder = copy("shards")
    file = folder / "manifest.json"
    content = json.loads(file.read_text())
    shards = content["splits"]["train"]["shards"]
    shards[1]["records"] += 1
    shards[2]["records"] -= 1
    file.write_text(json.dumps(content))
    with pytest.raises(DataError, match=shards[1]["file"]):
        read_all(folder, "shards")


_STOPS_EARLY = """
import sys
import jax  # as a trainer does; it also changes what is left at the interpreter's exit
if sys.argv[2] == "shards":
    sys.modules["tensorflow"] = sys.modules["tensorflow_datasets"] = None
from jaxpose.data.build import build
from jaxpose.data.pipeline import eval_batches, train_batches
from jaxpose.skeletons import COCO
batches = train_batches([sys.argv[1]], None, COCO, 8, 0, source=sys.argv[2])
print(next(batches)["mask"].sum())
"""


@BOTH
def test_a_consumer_may_stop_at_any_time(built, source):
    """The shards' half runs with TensorFlow blocked."""
    command = [sys.executable, "-c", _STOPS_EARLY, str(built.of(source)[0]), source]
    done = subprocess.run(command, capture_output=True, timeout=60, text=True)
    assert (done.returncode, done.stdout) == (0, "8.0\n"), done.stderr
    assert "Traceback" not in done.stderr and "Exception ignored" not in done.stderr
