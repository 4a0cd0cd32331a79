"""Build a data set: source folder -> records or shards with a manifest, all or nothing."""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from jaxpose.annotations.people import BOX_OFFSETS, BoxOffsets
from jaxpose.annotations.schema import Rejections
from jaxpose.data.canvas import JPEG_QUALITY
from jaxpose.data.convert import DECODING, convert_split
from jaxpose.data.manifest import (
    FILE_NAME,
    FORMATS,
    Manifest,
    Split,
    describe_shard,
    open_records,
    read_manifest,
    record_folder,
    write_manifest,
)
from jaxpose.data.plan import Plan, make_plan
from jaxpose.data.records import CONFIGS, record_fields
from jaxpose.data.shard_writer import write_split
from jaxpose.data.sources import BOXES_ONLY, DATASETS, Source, drawn_source, read_source
from jaxpose.data.staging import only_maker, staged, sweep
from jaxpose.data.tfrecords import load_tensorflow
from jaxpose.errors import DataError, UsageError

REJECTS = "rejects.jsonl"
_LARGEST_OFFSET = 2.0


def build(
    dataset: str,
    source: str | Path | Source | None,
    data_dir: str | Path,
    config: str = "people",
    canvas: int = 512,
    format: str = "records",
    name: str | None = None,
    skip_bad: int = 0,
    allow_missing: int = 0,
    progress: bool = True,
    box_offsets: BoxOffsets = BOX_OFFSETS,
    jpeg_quality: int = JPEG_QUALITY,
    beam_options: Sequence[str] | None = None,
) -> Path:
    """Convert a data set; does nothing where it is built already from the same source.

    Args:
      dataset: one of `sources.DATASETS`.
      source: folder of the original files, or a `Source` that names them one by one; None for
        `synthetic`, which is drawn then.
      data_dir: where built data sets lie.
      config: `people` (one person a record) or `images` (whole frames).
      canvas: side of the canvas in px.
      format: `records` (TFRecord through TFDS) or `shards` (npz, without TensorFlow).
      name: stored under this name instead of `dataset`.
      skip_bad: records that may be refused; they are written to rejects.jsonl.
      allow_missing: images that may be missing.
      progress: show a progress bar.
      box_offsets: a person without an annotated box gets the keypoint extent, and beyond it so
        many of its widths and heights to the left, top, right and bottom.
      jpeg_quality: of the photographs in the records, 1 to 100.
      beam_options: convert through Apache Beam, with these options of its pipeline; [] runs it on
        this machine. Records are refused at the end of the conversion then. Without, on all cores.

    Returns:
      The record folder, as `open_records` takes it.

    Raises:
      UsageError: an unknown data set, config or format, `people` of a set without joints, or Beam
        for shards or without Beam.
      DataError: bad or missing input, another source under this name, or no TensorFlow for records.
    """
    _check_arguments(dataset, config, canvas, format, name)
    if not 1 <= jpeg_quality <= 100:
        raise UsageError(f"jpeg_quality={jpeg_quality}: must lie between 1 and 100")
    if beam_options is not None and format != "records":
        raise UsageError(f"--beam writes TFRecords: it does not go with --format={format}")
    if len(box_offsets) != 4 or not all(0 <= share <= _LARGEST_OFFSET for share in box_offsets):
        raise UsageError(
            f"box_offsets={box_offsets}: four numbers (left, top, right, bottom) from 0 to "
            f"{_LARGEST_OFFSET:g}, in widths and heights of the keypoint extent"
        )
    if format == "records":
        load_tensorflow()  # before the work that would be lost: says how to get it, or do without
    stored = name or dataset
    folder = record_folder(data_dir, stored, config, format)
    with only_maker(folder):
        source = _named_source(dataset, source, Path(data_dir).expanduser())
        rejections = Rejections(allowed=skip_bad)
        splits = read_source(dataset, source, rejections)
        options = (allow_missing, box_offsets, jpeg_quality)
        plan = make_plan(stored, config, canvas, splits, rejections, *options)
        sweep(folder)
        if is_built(folder, plan):
            return folder
        if format == "records":
            from jaxpose.data.write_records import write_records

            where = Path(data_dir).expanduser()
            write_records(dataset, plan, where, progress, beam_options)
        else:
            _write_shards(plan, folder, progress)
    return folder


def _check_arguments(dataset: str, config: str, canvas: int, format: str, name: str | None) -> None:
    choices = (("data set", dataset, DATASETS), ("config", config, CONFIGS))
    for what, value, known in (*choices, ("format", format, tuple(FORMATS))):
        if value not in known:
            raise UsageError(f"unknown {what} {value!r}: choose one of {', '.join(known)}")
    if dataset in BOXES_ONLY and config == "people":
        raise UsageError(f"{dataset} holds boxes and no joints: build it with --config=images")
    if not 32 <= canvas <= 4096:
        raise UsageError(f"canvas={canvas}: must lie between 32 and 4096 px")
    if name is not None and not re.fullmatch("[a-z][a-z0-9_]*", name):
        raise UsageError(f"name {name!r}: use small letters, digits and _ only")


def _named_source(dataset: str, source: str | Path | Source | None, data_dir: Path) -> Source:
    if isinstance(source, Source):
        return source
    if source is not None:
        return Source(Path(source).expanduser())
    if dataset != "synthetic":
        raise UsageError(f"{dataset}: no source given, the folder of its original files")
    return drawn_source(data_dir)


def is_built(folder: Path, plan: Plan) -> bool:
    """Whether the folder holds this very data set.

    Raises:
      DataError: it holds a data set from another source, or something without a manifest.
    """
    if not folder.exists():
        return False
    if not (folder / FILE_NAME).is_file():
        raise DataError(f"{folder}: exists without a {FILE_NAME}; delete it and build again")
    if read_manifest(folder).source_digest != plan.digest:
        reason = "holds records of another source, canvas, box extent, JPEG quality or annotation"
        name = "--name, or in training --config.data.custom.name, data.train and data.eval"
        raise DataError(f"{folder}: {reason}; delete it or choose another name ({name})")
    open_records(folder)
    return True


def _write_shards(plan: Plan, folder: Path, progress: bool) -> None:
    with staged(folder) as staging:
        fields = record_fields(plan.config, plan.skeleton.size)
        written = {}
        for split in plan.splits:
            records = convert_split(plan, split, progress)
            prefix = f"{plan.dataset}-{split}"
            written[split] = write_split(staging, prefix, records, fields, plan.canvas)
        finish(staging, plan, "shards", written)


def finish(
    folder: Path, plan: Plan, format: str, written: Mapping[str, list[tuple[str, int]]]
) -> None:
    """Write rejects.jsonl and the manifest beside shards given as (file name, records)."""
    notes = list(plan.notes)
    refused = plan.rejections.rows
    if refused:
        notes.append(f"{len(refused)} records were refused, see {REJECTS}")
        lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in refused]
        (folder / REJECTS).write_text("".join(lines), encoding="utf-8")
    splits = {}
    for split, files in written.items():
        described = tuple(describe_shard(folder / file, count) for file, count in files)
        tally = plan.tallies[split]
        notes += tally.notes(split, plan.classes, plan.box_offsets)
        count = sum(shard.records for shard in described)
        splits[split] = Split(count, described, tally.most_boxes, tally.most_ignored)
    notes.append(DECODING)
    manifest = Manifest(
        path=folder,
        dataset=plan.dataset,
        config=plan.config,
        format=FORMATS[format],
        canvas=plan.canvas,
        skeleton=plan.skeleton,
        classes=plan.classes,
        source_digest=plan.digest,
        notes=tuple(notes),
        splits=splits,
    )
    write_manifest(manifest)
