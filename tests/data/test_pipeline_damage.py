import itertools
import json
import shutil
import subprocess
import sys

import numpy as np
import pytest

from jaxpose.data.build import build
from jaxpose.data.image_batches import image_rows
from jaxpose.data.people_batches import people_rows
from jaxpose.data.pipeline import eval_batches, train_batches
from jaxpose.errors import DataError
from jaxpose.skeletons import COCO

_POSE = people_rows(COCO)
BOTH = pytest.mark.parametrize("source", ["records", "shards"])


@pytest.fixture(params=["people", "images"])
def case(request):
    """Both kinds of batches: built data sets and what to read of them."""
    if request.param == "people":
        return request.getfixturevalue("built"), people_rows(COCO)
    return request.getfixturevalue("built_images"), image_rows(("person",), 4, 2)


@pytest.fixture
def copy(built, tmp_path):
    """A function that copies a built set of people, for a test to damage."""
    return lambda source: shutil.copytree(built.of(source)[0], tmp_path / source)


def read_all(folder, source, rows=_POSE):
    return list(eval_batches(folder, "train", rows, 8, source=source))


def third_shard(folder):
    return sorted(folder.glob("*train*-of-*"))[2]


@BOTH
def test_a_flipped_bit_is_reported_with_its_shard(case, source, tmp_path):
    built, rows = case
    folder = shutil.copytree(built.of(source)[0], tmp_path / source)
    shard = third_shard(folder)
    data = shard.read_bytes()
    rng = np.random.default_rng(1)
    # Among the images: a zip's local headers repeat what nobody reads.
    first = data.index(b"\xff\xd8\xff")
    for position in (first + rng.integers(0, 4000, 3)).tolist():
        flipped = bytearray(data)
        flipped[position] ^= 1 << (position % 8)
        shard.write_bytes(flipped)
        with pytest.raises(DataError, match=shard.name):
            read_all(folder, source, rows)


@BOTH
def test_cut_empty_and_missing_shards_are_reported_at_opening(copy, source):
    folder = copy(source)
    shard = third_shard(folder)
    data = shard.read_bytes()
    for damage in (data[: len(data) // 2], b"", None):
        shard.unlink() if damage is None else shard.write_bytes(damage)
        with pytest.raises(DataError, match=shard.name):
            eval_batches(folder, "train", people_rows(COCO), 8, source=source)


@BOTH
def test_a_shard_cut_after_opening_is_reported(copy, source):
    folder = copy(source)
    batches = train_batches([folder], None, people_rows(COCO), 4, 0, source=source, window_shards=1)
    next(batches)
    for shard in folder.glob("*train*-of-*"):
        shard.write_bytes(shard.read_bytes()[:-1000])
    with pytest.raises(DataError, match=r"coco_keypoints-train"):
        list(itertools.islice(batches, 200))


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
from jaxpose.data.people_batches import people_rows
from jaxpose.data.image_batches import image_rows
from jaxpose.data.people_batches import people_rows
from jaxpose.data.pipeline import eval_batches, train_batches
from jaxpose.skeletons import COCO
batches = train_batches([sys.argv[1]], None, people_rows(COCO), 8, 0, source=sys.argv[2])
print(next(batches)["mask"].sum())
"""


@BOTH
def test_a_consumer_may_stop_at_any_time(built, source):
    """The shards' half runs with TensorFlow blocked."""
    command = [sys.executable, "-c", _STOPS_EARLY, str(built.of(source)[0]), source]
    done = subprocess.run(command, capture_output=True, timeout=300, text=True)
    assert (done.returncode, done.stdout) == (0, "8.0\n"), done.stderr
    assert "Traceback" not in done.stderr and "Exception ignored" not in done.stderr


def test_records_without_tensorflow_are_refused_before_they_are_built(
    coco_source, tmp_path, monkeypatch
):
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    with pytest.raises(DataError, match=r"TFRecords need TensorFlow.*pip install .*shards"):
        build("coco_keypoints", coco_source, tmp_path)
    assert not list(tmp_path.iterdir())
    build("coco_keypoints", coco_source, tmp_path, format="shards")
