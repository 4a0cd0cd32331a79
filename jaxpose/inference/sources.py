"""Which pictures and videos the inputs of a command mean, and what each is called."""

import glob
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from jaxpose.inference.video import SUFFIXES as VIDEO_SUFFIXES

PICTURE_SUFFIXES = frozenset((".jpg", ".jpeg", ".png"))
# Found in folders too, so that they are refused one by one instead of passed over in silence.
_OTHER_PICTURES = frozenset((".webp", ".bmp", ".gif", ".tif", ".tiff", ".heic", ".avif"))
_KNOWN = PICTURE_SUFFIXES | VIDEO_SUFFIXES | _OTHER_PICTURES


class Source(NamedTuple):
    """One picture or video.

    Attributes:
      path: of the file.
      name: unique among the sources; the path relative to the input (a file's folder, the folder,
        the part of a pattern before its first wildcard) with forward slashes, without the suffix
        for a video. Where names of two inputs are equal, or several folders are given, all names
        of these inputs begin further up, so that the pictures of a folder stay together.
      is_video: by its suffix.
      root: folder that the name is relative to, unless it begins further up.
      folder: name of the folder that was the input; '' for other inputs.
      error: why there is nothing to read; then it stands for the input itself.
    """

    path: Path
    name: str
    is_video: bool
    root: Path
    folder: str = ""
    error: str = ""


def is_one_picture(source: str | Path) -> bool:
    """Whether a path names one picture, as opposed to a folder, a video or a pattern."""
    path = Path(source)
    if path.is_dir() or _is_video(path):
        return False
    return path.exists() or not glob.has_magic(str(source))


def find_sources(inputs: Sequence[str | Path]) -> list[Source]:
    """All pictures and videos of some inputs, in order; a file that occurs twice counts once.

    Args:
      inputs: files (whatever their suffix; videos are told by theirs), folders (searched with
        their subfolders for pictures and videos by suffix, sorted) and patterns as of `glob`
        ('**' for subfolders).

    Returns:
      sources; an input that leads to nothing is one with an `error`.
    """
    found: dict[str, Source] = {}
    for text in inputs:
        for source in _of_input(text):
            found.setdefault(os.path.abspath(source.path), source)
    return _uniquely_named(list(found.values()))


def _of_input(text: str | Path) -> Iterator[Source]:
    path = Path(text)
    if path.is_dir():
        folder = os.path.basename(os.path.abspath(path))
        yield from (source._replace(folder=folder) for source in _of_folder(path, path))
    elif path.exists() or not glob.has_magic(str(text)):
        missing = "" if path.exists() else f"{path}: no such file or folder"
        yield _source(path, path.parent, missing)
    else:
        yield from _of_pattern(str(text))


def _of_folder(folder: Path, root: Path) -> Iterator[Source]:
    files = sorted(_files_below(folder), key=lambda file: file.parts)
    for file in files:
        yield _source(file, root)
    if not files:
        yield _source(folder, folder.parent, f"{folder}: no pictures or videos in this folder")


def _files_below(folder: Path) -> Iterator[Path]:
    for where, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            if not name.startswith(".") and Path(name).suffix.lower() in _KNOWN:
                yield Path(where, name)


def _of_pattern(pattern: str) -> Iterator[Source]:
    fixed = Path()
    for part in Path(pattern).parts[:-1]:
        if glob.has_magic(part):
            break
        fixed /= part
    matches = sorted(Path(match) for match in glob.glob(pattern, recursive=True))
    for match in matches:
        if match.is_dir():
            if "**" not in pattern:  # which names the files below as well
                yield from _of_folder(match, fixed)
        elif "**" not in pattern or match.suffix.lower() in _KNOWN:
            yield _source(match, fixed)
    if not matches:
        error = f"{pattern}: no file matches this pattern"
        yield Source(Path(pattern), pattern, False, fixed, error=error)


def _source(path: Path, root: Path, error: str = "") -> Source:
    return Source(path, _relative(path, root), _is_video(path), root, error=error)


def _relative(path: Path, root: Path) -> str:
    return Path(os.path.relpath(path, root)).as_posix()


def _is_video(path: Path) -> bool:
    return path.suffix.lower() in VIDEO_SUFFIXES


def _uniquely_named(sources: list[Source]) -> list[Source]:
    """Names from further up where needed; videos without their suffix where that is unique."""
    sources = _told_apart(sources)
    short = [str(PurePosixPath(s.name).with_suffix("")) if s.is_video else s.name for s in sources]
    taken = _repeated(short)
    return [
        source._replace(name=source.name if name in taken else name)
        for source, name in zip(sources, short, strict=True)
    ]


def _told_apart(sources: list[Source]) -> list[Source]:
    """Names from further up for all of a root of which one name is taken, and of several folders.

    Not for the equal names alone: the frames of a sequence would be torn apart where it is longer
    than another.
    """
    folders = {source.root for source in sources if source.folder}
    torn = folders if len(folders) > 1 else set()
    while True:
        parents = [os.path.abspath(s.path.parent) for s in sources if s.root in torn]
        top = Path(os.path.commonpath(parents)) if parents else Path()
        sources = [
            s._replace(name=_relative(s.path, top)) if s.root in torn else s for s in sources
        ]
        shared = _repeated([source.name for source in sources])
        more = torn | {source.root for source in sources if source.name in shared}
        if more == torn:
            return sources
        torn = more


def _repeated(names: list[str]) -> set[str]:
    return {name for name, count in Counter(names).items() if count > 1}
