"""Draw the synthetic data set and write it in the file formats of the real ones.

python tools/make_synthetic.py OUTPUT_DIR --videos=48 --frames=8 --val_videos=10
"""

import os
import shutil
import time
from pathlib import Path

from absl import flags
from tqdm import tqdm

from jaxpose.annotations.synthetic import DEFAULT_SIZE, FORMATS, write_dataset
from jaxpose.errors import DataError, UsageError, run_main

_VIDEOS = flags.DEFINE_integer("videos", 48, "Training videos.", lower_bound=0)
_VAL_VIDEOS = flags.DEFINE_integer("val_videos", 10, "Validation videos.", lower_bound=0)
_FRAMES = flags.DEFINE_integer("frames", 8, "Frames of each video.", lower_bound=1)
_SIZE = flags.DEFINE_list("size", [str(side) for side in DEFAULT_SIZE], "Width,height in px.")
_SEED = flags.DEFINE_integer("seed", 0, "The same seed gives the same bytes.", lower_bound=0)
_FORMATS = flags.DEFINE_list("formats", list(FORMATS), "Formats that training videos take in turn.")
_VAL_FORMATS = flags.DEFINE_list("val_formats", None, "Formats of validation videos; as --formats.")
_PROCESSES = flags.DEFINE_integer("processes", os.cpu_count() or 1, "Videos drawn at a time.")
_OVERWRITE = flags.DEFINE_bool("overwrite", False, "Replace the format folders of an earlier run.")


def _output_folder(argv: list[str]) -> Path:
    """The folder to write to, without anything of an earlier run in it."""
    if len(argv) != 2:
        raise UsageError("give one output folder: python tools/make_synthetic.py OUTPUT_DIR")
    folder = Path(argv[1])
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder}: is a file, not a folder")
    if not folder.exists() or not any(folder.iterdir()):
        return folder
    if not _OVERWRITE.value:
        raise UsageError(f"{folder}: not empty; give a new folder or --overwrite")
    strangers = sorted(path.name for path in folder.iterdir() if path.name not in FORMATS)
    if strangers:
        raise UsageError(f"{folder}: {strangers[0]} is not of this tool; nothing was overwritten")
    try:
        for name in FORMATS:
            if (folder / name).exists():
                shutil.rmtree(folder / name)
    except OSError as error:
        raise DataError(f"{folder}: cannot be emptied: {error.strerror}") from None
    return folder


def _size(values: list[str]) -> tuple[int, int]:
    try:
        width, height = (int(value) for value in values)
    except ValueError:
        raise UsageError(f"--size={','.join(values)}: expected WIDTH,HEIGHT in px") from None
    return width, height


def main(argv: list[str]) -> None:
    """Flags -> one call, a progress bar and a summary."""
    folder, size = _output_folder(argv), _size(_SIZE.value)
    started = time.monotonic()
    with tqdm(total=_VIDEOS.value + _VAL_VIDEOS.value, unit="video") as bar:
        summaries = write_dataset(
            folder,
            seed=_SEED.value,
            train_videos=_VIDEOS.value,
            val_videos=_VAL_VIDEOS.value,
            frames_per_video=_FRAMES.value,
            size=size,
            formats=_FORMATS.value,
            val_formats=_VAL_FORMATS.value,
            processes=_PROCESSES.value,
            progress=bar.update,
        )
    for each in summaries:
        print(f"{each.format}: {each.videos} videos, {each.images} images, {each.persons} persons")
    print(f"written to {folder} in {time.monotonic() - started:.1f} s")


if __name__ == "__main__":
    run_main(main)
