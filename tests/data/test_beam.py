"""Conversion through Apache Beam against that on one machine."""

import shutil

import numpy as np
import pytest

from jaxpose.data.build import build
from jaxpose.data.manifest import open_records
from jaxpose.data.records import number_of_shards, shard_boundaries
from jaxpose.errors import DataError, UsageError

CANVAS = 64


def beam_build(source, data_dir, config="people", **options):
    arguments = (source, data_dir, config, CANVAS)
    given = {"progress": False, "beam_options": ["runner=DirectRunner"]} | options
    return build("coco_keypoints", *arguments, **given)


def contents(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_beam_is_for_records_alone(coco_source, tmp_path):
    with pytest.raises(UsageError, match="--beam writes TFRecords"):
        beam_build(coco_source, tmp_path, format="shards")


@pytest.mark.parametrize("records", [1, 5, 6, 13, 36, 1001])
def test_keys_cut_where_the_other_writers_cut(records):
    """By TFDS's rule for Beam: equal parts of the range up to the largest key."""
    beam_conversion = pytest.importorskip("jaxpose.data.beam_conversion", exc_type=ImportError)
    keys = [beam_conversion.record_key(n, records, CANVAS) for n in range(records)]
    assert keys == sorted(set(keys))
    shards = number_of_shards(records, CANVAS)
    found = [min(key * shards // keys[-1], shards - 1) for key in keys]
    bounds = shard_boundaries(records, shards)
    assert [found.count(n) for n in range(shards)] == list(np.diff(bounds))
    assert found == sorted(found) and (shards > 1) == (records > 5)


def test_the_same_files_as_on_one_machine(coco_source, built, tmp_path):
    """Shards, manifest with digests, tallies and notes, TFDS's own files: byte for byte."""
    pytest.importorskip("apache_beam")
    folder = beam_build(coco_source, tmp_path)
    assert len(open_records(folder).split("train").shards) > 3
    assert contents(folder) == contents(built.records[0])
    assert [path.name for path in folder.parent.iterdir() if path.name != ".lock"] == ["1.0.0"]


def test_whole_frames_with_some_refused(coco_source, tmp_path):
    """Refused ones leave no gap; their number is checked, and their rows are in order."""
    pytest.importorskip("apache_beam")
    source = shutil.copytree(coco_source, tmp_path / "source")
    for number in (3, 17, 28):
        path = source / f"images/{number:06d}.jpg"
        path.write_bytes(path.read_bytes()[:-400])
    with pytest.raises(DataError, match="3 records refused, 2 allowed by --skip_bad"):
        beam_build(source, tmp_path / "refused", "images", skip_bad=2)
    assert not list((tmp_path / "refused").rglob("*.tfrecord*"))
    options = {"progress": False, "skip_bad": 3}
    alone = build("coco_keypoints", source, tmp_path / "alone", "images", CANVAS, **options)
    beam = beam_build(source, tmp_path / "beam", "images", skip_bad=3)
    assert contents(beam) == contents(alone)
    for path in (source / "images").iterdir():
        path.write_bytes(b"no picture")
    with pytest.raises(DataError):
        beam_build(source, tmp_path / "none", "images", skip_bad=99)
