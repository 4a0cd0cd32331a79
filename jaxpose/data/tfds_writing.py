"""How TFDS writes our shards: cut by the number of records, and the same bytes in every process."""

import dataclasses
from collections.abc import Iterable
from typing import Any

import tensorflow_datasets as tfds

from jaxpose.data.records import number_of_shards
from jaxpose.data.tfrecords import load_tensorflow


@dataclasses.dataclass(frozen=True)
class CutByCount:
    """Stands in for TFDS's rule, so that TFRecords are cut where the npz writer cuts."""

    canvas: int

    def get_number_shards(
        self, total_size: int, num_examples: int, uses_precise_sharding: bool = True
    ) -> int:
        """Number of shards of a split; its size in bytes does not count."""
        return number_of_shards(num_examples, self.canvas)


@dataclasses.dataclass(eq=False)
class CountedDownloadConfig(tfds.download.DownloadConfig):
    """TFDS's configuration with our rule for cutting shards."""

    cut: CutByCount | None = None

    def get_shard_config(self) -> Any:
        """Called by TFDS where it sets up its writer."""
        return self.cut


class SameBytes:
    """Writes tf.Examples with their features sorted; TFDS leaves the order to a hash per process.

    Args:
      writer: TFDS's writer of one shard.
    """

    def __init__(self, writer: Any) -> None:
        self.file_format = writer.file_format
        self._writer = writer

    def write(self, path: Any, examples: Iterable[tuple[int, bytes]]) -> Any:
        """Write one shard of (key, serialized tf.Example) pairs."""
        return self._writer.write(path, ((key, _sorted(data)) for key, data in examples))


def _sorted(serialized: bytes) -> bytes:
    example = load_tensorflow().train.Example.FromString(serialized)
    return example.SerializeToString(deterministic=True)
