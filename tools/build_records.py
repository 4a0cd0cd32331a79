"""Convert a data set into records: python tools/build_records.py coco_keypoints --source=FOLDER.

Data sets: mpii, posetrack17, posetrack18, coco_keypoints and coco_detection (or any set in their
formats, with --name), voc, and synthetic, which needs no source. The two of boxes alone,
coco_detection and voc, need --config=images. Does nothing where the same source is built already.
"""

import os
from pathlib import Path
from typing import TYPE_CHECKING

from absl import flags

from jaxpose.errors import UsageError, run_main

if TYPE_CHECKING:
    from jaxpose.annotations.people import BoxOffsets
    from jaxpose.data.sources import Source

_SOURCE = flags.DEFINE_string("source", None, "Folder of the original files.")
_DATA_DIR = flags.DEFINE_string(
    "data_dir",
    os.environ.get("JAXPOSE_DATA", "~/jaxpose_data"),
    "Where built data sets lie; default from JAXPOSE_DATA.",
)
_CONFIG = flags.DEFINE_string("config", "people", "people (one person a record) or images.")
_CANVAS = flags.DEFINE_integer("canvas", 512, "Side of the canvas in px.")
_QUALITY = flags.DEFINE_integer("jpeg_quality", 95, "Of the photographs in the records, 1 to 100.")
_FORMAT = flags.DEFINE_string("format", "records", "records (TFRecord) or shards (npz).")
_BOX_OFFSETS = flags.DEFINE_list(
    "box_offsets",
    ["0.15", "0.15", "0.15", "0.15"],
    "Persons without an annotated box get the keypoint extent, and beyond it so many of its widths "
    "and heights to the left, top, right, bottom; one number for all four.",
)
_NAME = flags.DEFINE_string("name", None, "Store under this name instead of the data set's.")
_SKIP_BAD = flags.DEFINE_integer("skip_bad", 0, "Records that may be refused (rejects.jsonl).")
_ALLOW_MISSING = flags.DEFINE_integer("allow_missing", 0, "Images that may be missing.")
_TRAIN = flags.DEFINE_string("train", None, "Annotation file or folder of the training split.")
_VALIDATION = flags.DEFINE_string("validation", None, "The same of the validation split.")
_IMAGES = flags.DEFINE_string("images", None, "Folder that the image names refer to.")
_VALIDATION_IMAGES = flags.DEFINE_string(
    "validation_images", None, "The same of the validation split, where that differs."
)
_VAL_LIST = flags.DEFINE_string("val_list", None, "File that names MPII's validation images.")
_BEAM = flags.DEFINE_bool("beam", False, "Convert through Apache Beam, for many machines.")
_BEAM_OPTIONS = flags.DEFINE_list(
    "beam_options",
    [],
    "Of its pipeline: runner=DataflowRunner,project=P; runs here without.",
)
_VERIFY = flags.DEFINE_bool("verify", False, "Read every byte of the built set and check it.")
_PROGRESS = flags.DEFINE_bool("progress", True, "Show a progress bar.")


def main(argv: list[str]) -> None:
    """Build, report what was built, and verify it if asked to."""
    if len(argv) != 2:
        raise UsageError(f"expected one data set name, got {argv[1:]} (see --help)")
    if _BEAM_OPTIONS.value and not _BEAM.value:
        raise UsageError("--beam_options has no meaning without --beam")
    from jaxpose.data.build import build
    from jaxpose.data.manifest import read_manifest
    from jaxpose.data.verify import verify

    folder = build(
        dataset=argv[1],
        source=_source(),
        data_dir=_DATA_DIR.value,
        config=_CONFIG.value,
        canvas=_CANVAS.value,
        format=_FORMAT.value,
        name=_NAME.value,
        skip_bad=_SKIP_BAD.value,
        allow_missing=_ALLOW_MISSING.value,
        progress=_PROGRESS.value,
        box_offsets=_box_offsets(),
        jpeg_quality=_QUALITY.value,
        beam_options=_BEAM_OPTIONS.value if _BEAM.value else None,
    )
    manifest = verify(folder) if _VERIFY.value else read_manifest(folder)
    for name, split in manifest.splits.items():
        size = sum(shard.bytes for shard in split.shards) / 1e6
        shards = "1 shard" if len(split.shards) == 1 else f"{len(split.shards)} shards"
        print(f"{name}: {split.records} records, {shards}, {size:.1f} MB")
    if manifest.config == "images":
        print(f"classes: {', '.join(manifest.classes)}")
    for note in manifest.notes:
        print(f"note: {note}")
    print(f"{'verified' if _VERIFY.value else 'built'}: {folder}")


def _box_offsets() -> "BoxOffsets":
    given = _BOX_OFFSETS.value * (4 if len(_BOX_OFFSETS.value) == 1 else 1)
    try:
        left, top, right, bottom = map(float, given)
    except ValueError:
        raise UsageError(
            f"--box_offsets={','.join(_BOX_OFFSETS.value)}: give one number or four"
        ) from None
    return left, top, right, bottom


def _source() -> "Source | None":
    from jaxpose.data.sources import Source

    named = {"train": _TRAIN, "validation": _VALIDATION, "images": _IMAGES}
    named |= {"validation_images": _VALIDATION_IMAGES, "val_list": _VAL_LIST}
    paths = {part: Path(flag.value).expanduser() for part, flag in named.items() if flag.value}
    if _SOURCE.value is None:
        if paths:
            raise UsageError(f"--{next(iter(paths))} needs --source, the data set's folder")
        return None
    return Source(Path(_SOURCE.value).expanduser(), **paths)


if __name__ == "__main__":
    run_main(main)
