import io
import zipfile
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from jaxpose.annotations.schema import Frame, Person
from jaxpose.data.labels import frame_labels, people_labels, person_labels
from jaxpose.data.records import number_of_shards, record_fields, shard_boundaries
from jaxpose.data.shard_files import read_shard
from jaxpose.data.shard_writer import write_shard, write_split
from jaxpose.errors import DataError

JOINTS = 3


def record(number, config):
    rng = np.random.default_rng(number)
    persons = tuple(Person(rng.uniform(1, 9, (JOINTS, 3))) for _ in range(1 + number % 3))
    polygons = tuple(rng.uniform(0, 9, (3 + i, 2)) for i in range(number % 3))
    frame = Frame(f"földer/{number}.jpg", f"id{number}", persons=persons, ignore_polygons=polygons)
    if config == "people":
        labels = {f"person/{k}": v for k, v in person_labels(persons[0], 0).items()}
    else:
        kept = persons if number != 1 else ()
        labels = {f"people/{k}": v for k, v in people_labels(kept, JOINTS).items()}
    canvas = {
        "image/encoded": rng.bytes(20 + number),
        "image/matrix": rng.normal(size=(2, 3)).astype(np.float32),
        "image/valid": np.arange(4, dtype=np.float32),
    }
    return frame_labels(frame, "set", (40, 30)) | labels | canvas


def assert_same(read, written, fields):
    assert read.keys() == fields.keys()
    for name, field in fields.items():
        if field.kind == "jpeg":
            assert read[name].tobytes() == written[name]
        elif field.kind == "str":
            assert list(np.atleast_1d(read[name])) == list(np.atleast_1d(written[name]))
        else:
            np.testing.assert_array_equal(read[name], written[name])
            assert read[name].dtype == field.dtype


@pytest.mark.parametrize("config", ["people", "images"])
def test_records_come_back_as_written(tmp_path, config):
    fields = record_fields(config, JOINTS)
    records = [record(number, config) for number in range(5)]
    write_shard(tmp_path / "a.npz", records, fields)
    read = read_shard(tmp_path / "a.npz", fields)
    assert len(read) == 5
    for got, written in zip(read, records, strict=True):
        assert_same(got, written, fields)


def test_numpy_reads_shards_without_pickle(tmp_path):
    fields = record_fields("people", JOINTS)
    write_shard(tmp_path / "a.npz", [record(number, "people") for number in range(3)], fields)
    with np.load(tmp_path / "a.npz", allow_pickle=False) as archive:
        assert archive["image/id"].tolist() == ["id0", "id1", "id2"]
        assert archive["person/keypoints"].shape == (3, JOINTS, 3)


def test_splits_are_cut_like_tfds_cuts(tmp_path):
    fields = record_fields("people", JOINTS)
    records = [record(number, "people") for number in range(13)]
    written = write_split(tmp_path, "set-train", iter(records), fields, 64)
    bounds = shard_boundaries(13, number_of_shards(13, 64))
    assert bounds == [0, 4, 9, 13]
    assert [count for _, count in written] == [4, 5, 4]
    names = [name for name, _ in written]
    assert names[0] == "set-train-00000-of-00003.npz"
    read = [row for name in names for row in read_shard(tmp_path / name, fields)]
    assert [row["image/id"] for row in read] == [row["image/id"] for row in records]
    assert sorted(path.name for path in tmp_path.iterdir()) == names


def test_every_flip_in_the_data_is_noticed(tmp_path):
    fields = record_fields("people", JOINTS)
    path = tmp_path / "a.npz"
    write_shard(path, [record(number, "people") for number in range(4)], fields)
    data = path.read_bytes()
    intact = read_shard(path, fields)
    noticed = 0
    for position in np.random.default_rng(0).integers(0, len(data), 200).tolist():
        flipped = bytearray(data)
        flipped[position] ^= 1 << (position % 8)
        path.write_bytes(flipped)
        try:
            read = read_shard(path, fields)
        except DataError as error:
            assert "a.npz" in str(error)
            noticed += 1
            continue
        # What no CRC covers (times and the like in the zip's headers) must not matter.
        for got, expected in zip(read, intact, strict=True):
            assert {k: np.asarray(v).tobytes() for k, v in got.items()} == {
                k: np.asarray(v).tobytes() for k, v in expected.items()
            }
    assert noticed > 100


def test_threads_read_at_the_same_time(tmp_path):
    fields = record_fields("people", JOINTS)
    write_shard(tmp_path / "a.npz", [record(number, "people") for number in range(3)], fields)
    with ThreadPoolExecutor(8) as pool:
        counts = list(pool.map(lambda _: len(read_shard(tmp_path / "a.npz", fields)), range(200)))
    assert counts == [3] * 200


def replaced(path, name, content, compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path) as archive:
        members = {info.filename: archive.read(info) for info in archive.infolist()}
    members[f"{name}.npy"] = content
    with zipfile.ZipFile(path, "w", compression) as archive:
        for member, data in members.items():
            archive.writestr(member, data)


def npy(array, **kwargs):
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, array, **kwargs)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("content", "compression"),
    [
        (npy(np.zeros(3, np.float32)), zipfile.ZIP_DEFLATED),  # a bomb would be compressed
        (npy(np.array([{}, 1, 2], object), allow_pickle=True), zipfile.ZIP_STORED),
        (npy(np.zeros(4, np.float32)), zipfile.ZIP_STORED),  # another length than the others
        (npy(np.zeros(3)).replace(b"(3,)", b"(9,)"), zipfile.ZIP_STORED),
        (b"no npy", zipfile.ZIP_STORED),
    ],
)
def test_forged_shards_are_refused(tmp_path, content, compression):
    fields = record_fields("people", JOINTS)
    path = tmp_path / "a.npz"
    write_shard(path, [record(number, "people") for number in range(3)], fields)
    replaced(path, "person/area", content, compression)
    with pytest.raises(DataError, match=r"a.npz: shard is damaged"):
        read_shard(path, fields)
