"""Full check of a built data set: every byte is read."""

from pathlib import Path

from jaxpose.data.manifest import Manifest, Shard, damage_error, damaged_shard, open_records
from jaxpose.data.shard_files import read_window
from jaxpose.errors import DataError


def verify(path: str | Path) -> Manifest:
    """Check sizes, counts and digests of all shards, and the CRC of every record.

    Raises:
      DataError: naming the first shard that differs from the manifest.
    """
    manifest = open_records(path)
    for split in manifest.splits.values():
        damaged = damaged_shard(manifest, split.shards)
        if damaged is not None:
            raise damage_error(manifest, damaged)
        for shard in split.shards:
            _read_records(manifest, shard)
    return manifest


def _read_records(manifest: Manifest, shard: Shard) -> None:
    if manifest.format == "npz":
        read_window(manifest, [shard])
        return
    from jaxpose.data.tfrecords import load_tensorflow

    tf = load_tensorflow()
    try:
        count = sum(1 for _ in tf.data.TFRecordDataset(str(manifest.path / shard.file)))
    except tf.errors.OpError as error:
        raise damage_error(manifest, shard) from error
    if count != shard.records:
        raise DataError(f"{manifest.path / shard.file}: {count} records, not {shard.records}")
