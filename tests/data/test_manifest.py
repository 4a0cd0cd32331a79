import json

import pytest

from jaxpose.data.manifest import (
    Manifest,
    Split,
    check_shard,
    count_tfrecords,
    damaged_shard,
    describe_shard,
    open_records,
    read_manifest,
    record_folder,
    write_manifest,
)
from jaxpose.errors import DataError
from jaxpose.skeletons import MPII


def tfrecord(*sizes):
    """A file of TFRecord's framing; checksums are not looked at here."""
    return b"".join(n.to_bytes(8, "little") + b"crc1" + b"x" * n + b"crc2" for n in sizes)


@pytest.fixture
def manifest(tmp_path):
    (tmp_path / "a.tfrecord").write_bytes(tfrecord(10, 0, 30))
    (tmp_path / "b.tfrecord").write_bytes(tfrecord(7))
    shards = tuple(
        describe_shard(tmp_path / f, n) for f, n in (("a.tfrecord", 3), ("b.tfrecord", 1))
    )
    manifest = Manifest(
        path=tmp_path,
        dataset="set",
        config="people",
        format="tfrecord",
        canvas=64,
        skeleton=MPII,
        classes=("person",),
        source_digest="d" * 64,
        notes=("a note",),
        splits={"train": Split(4, shards, 7, 2)},
    )
    write_manifest(manifest)
    return manifest


def test_what_was_written_is_read(manifest):
    assert open_records(manifest.path) == manifest


def test_layout_is_that_of_tfds(tmp_path):
    assert record_folder(tmp_path, "mpii") == tmp_path / "mpii/people/1.0.0"
    shards = record_folder(tmp_path, "mpii", "images", "shards")
    assert shards == tmp_path / "mpii/images-shards/1.0.0"


@pytest.mark.parametrize(
    ("data", "count"),
    [(b"", 0), (tfrecord(5, 6), 2), (tfrecord(5)[:-1], -1), (tfrecord(5) + b"12345", -1)],
)
def test_records_are_counted_by_their_lengths(tmp_path, data, count):
    (tmp_path / "x").write_bytes(data)
    assert count_tfrecords(tmp_path / "x") == count


def test_missing_cut_and_empty_shards_are_named(manifest):
    shard = manifest.path / "b.tfrecord"
    for data, what in ((tfrecord(7)[:-3], "20 bytes"), (b"", "0 bytes"), (None, "missing")):
        shard.unlink() if data is None else shard.write_bytes(data)
        with pytest.raises(DataError, match=f"b.tfrecord.*{what}"):
            open_records(manifest.path)


def test_another_count_at_the_same_size_is_found(manifest):
    # 3 records of 40 bytes in all fill as much as 2 of 56.
    (manifest.path / "a.tfrecord").write_bytes(tfrecord(26, 30))
    with pytest.raises(DataError, match=r"a.tfrecord.*3 records"):
        check_shard(manifest, manifest.split("train").shards[0])


def test_damage_is_found_by_digest(manifest):
    shards = manifest.split("train").shards
    assert damaged_shard(manifest, shards) is None
    data = bytearray((manifest.path / "b.tfrecord").read_bytes())
    data[13] ^= 1
    (manifest.path / "b.tfrecord").write_bytes(data)
    assert damaged_shard(manifest, shards) == shards[1]


def test_unknown_splits_are_refused_with_those_that_exist(manifest):
    with pytest.raises(DataError, match="test.*train"):
        manifest.split("test")


@pytest.mark.parametrize("text", ["", "[]", "{}", "{" * 9, '{"schema_version": 2}'])
def test_damaged_manifests_are_refused(manifest, text):
    (manifest.path / "manifest.json").write_text(text)
    with pytest.raises(DataError, match=r"manifest.json.*damaged"):
        read_manifest(manifest.path)


@pytest.mark.parametrize("classes", [[], ["person", "person"], "person", None])
def test_impossible_classes_are_refused(manifest, classes):
    file = manifest.path / "manifest.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"classes": classes}))
    with pytest.raises(DataError, match=r"damaged.*class names"):
        read_manifest(manifest.path)


@pytest.mark.parametrize("key", ["most_boxes", "most_ignored"])
@pytest.mark.parametrize("value", [-1, "x", None])
def test_impossible_largest_numbers_are_refused(manifest, key, value):
    file = manifest.path / "manifest.json"
    content = json.loads(file.read_text())
    content["splits"]["train"][key] = value
    file.write_text(json.dumps(content))
    with pytest.raises(DataError, match="damaged"):
        read_manifest(manifest.path)


@pytest.mark.parametrize(
    ("key", "value"), [("file", "../a.tfrecord"), ("records", 0), ("records", 99)]
)
def test_impossible_shards_are_refused(manifest, key, value):
    file = manifest.path / "manifest.json"
    content = json.loads(file.read_text())
    content["splits"]["train"]["shards"][0][key] = value
    file.write_text(json.dumps(content))
    with pytest.raises(DataError, match="damaged"):
        read_manifest(manifest.path)


def test_another_schema_is_refused(manifest):
    file = manifest.path / "manifest.json"
    file.write_text(file.read_text().replace('"schema_version": 2', '"schema_version": 99'))
    with pytest.raises(DataError, match="schema 99.*delete the folder and build it again"):
        read_manifest(manifest.path)


def test_a_folder_without_manifest_is_not_built(tmp_path):
    with pytest.raises(DataError, match="no manifest.json"):
        open_records(tmp_path)
