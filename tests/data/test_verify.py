import shutil

import pytest

from jaxpose.data.manifest import open_records
from jaxpose.data.verify import verify
from jaxpose.errors import DataError

BOTH = pytest.mark.parametrize("source", ["records", "shards"])


@BOTH
def test_an_intact_set_is_verified(built, source):
    folder = built.of(source)[0]
    assert verify(folder) == open_records(folder)


@BOTH
def test_every_flip_is_found_and_named(built, tmp_path, source):
    folder = shutil.copytree(built.of(source)[0], tmp_path / "set")
    shard = sorted(folder.glob("*-of-*"))[1]
    data = shard.read_bytes()
    for position in (0, 5, len(data) // 2, len(data) - 1):
        flipped = bytearray(data)
        flipped[position] ^= 16
        shard.write_bytes(flipped)
        with pytest.raises(DataError, match=shard.name):
            verify(folder)


@BOTH
def test_a_consistent_forgery_is_found_by_reading(built, tmp_path, source):
    """A shard damaged before its digest was taken: only the records' CRCs tell."""
    folder = shutil.copytree(built.of(source)[0], tmp_path / "set")
    shard = sorted(folder.glob("*-of-*"))[1]
    before = next(s for s in open_records(folder).split("train").shards if s.file == shard.name)
    flipped = bytearray(shard.read_bytes())
    flipped[len(flipped) // 3] ^= 16
    shard.write_bytes(flipped)
    import hashlib

    manifest = folder / "manifest.json"
    digest = hashlib.sha256(flipped).hexdigest()
    manifest.write_text(manifest.read_text().replace(before.sha256, digest))
    with pytest.raises(DataError, match=shard.name):
        verify(folder)
