"""JSON files: strict reading, plain writing."""

import json
import re
from collections.abc import Iterable
from itertools import chain
from pathlib import Path
from typing import Any

from jaxpose.errors import DataError

# COCO's largest annotation file has 470 MB; parsing takes about ten times the file's size.
MAX_BYTES = 2 * 1024**3

_STRING_OR_CONSTANT = re.compile(r'"(?:[^"\\]|\\.)*"|NaN|-?Infinity', re.DOTALL)


class _RefusedError(ValueError):
    """Valid for Python's parser, but not JSON or not unambiguous."""


def load_json(path: str | Path, max_bytes: int = MAX_BYTES) -> Any:
    """Parse a JSON file strictly.

    Raises:
      DataError: the file is missing, larger than `max_bytes`, not JSON (line and column named),
        holds NaN or Infinity, repeats a key within an object, or nests too deeply.
    """
    return parse_json(_read(Path(path), max_bytes), str(path))


def parse_json(data: bytes, name: str) -> Any:
    """Like `load_json`, for bytes already read; `name` is the file that errors speak of."""
    try:
        content = data.decode(json.detect_encoding(data))
    except UnicodeDecodeError as error:
        raise DataError(f"{name}: not text: byte {error.start} is no {error.encoding}") from None
    try:
        return json.loads(content, parse_constant=_no_constant, object_pairs_hook=_unique_keys)
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise DataError(f"{name}: not JSON at {where}: {error.msg}") from None
    except _RefusedError as error:
        raise DataError(f"{name}: {error}{_place_of_constant(content, str(error))}") from None
    except RecursionError:
        raise DataError(f"{name}: not usable JSON: brackets nested too deeply") from None
    except ValueError as error:
        raise DataError(f"{name}: not usable JSON: {error}") from None


def _read(path: Path, max_bytes: int) -> bytes:
    try:
        size = path.stat().st_size
        if size > max_bytes:
            raise DataError(f"{path}: {size} bytes, more than the {max_bytes} allowed for JSON")
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from None
    except ValueError as error:  # a NUL in the path
        raise DataError(f"{path!r}: cannot be read: {error}") from None


def _no_constant(token: str) -> float:
    raise _RefusedError(f"{token} is not a JSON number")


def _place_of_constant(content: str, message: str) -> str:
    if not message.endswith("is not a JSON number"):
        return ""
    for match in _STRING_OR_CONSTANT.finditer(content):
        if not match.group().startswith('"'):
            line = content.count("\n", 0, match.start()) + 1
            column = match.start() - content.rfind("\n", 0, match.start())
            return f" (line {line}, column {column})"
    return ""


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        scalars = [f"{k}={v!r}" for k, v in pairs if isinstance(v, (int, str))][:3]
        where = f" in the object with {', '.join(scalars)}" if scalars else ""
        raise _RefusedError(f"key {twice!r} occurs twice{where[:160]}")
    return result


def plain_number(value: float) -> int | float:
    """Integral values as int, so that files read as the originals do (401, not 401.0)."""
    value = float(value)
    return int(value) if value.is_integer() else value


def write_json(path: str | Path, document: Any) -> None:
    """Write a JSON file, creating its folder; the same document gives the same bytes.

    Raises:
      DataError: the file cannot be written. ValueError: the document holds NaN or Infinity.
    """
    _write(Path(path), [json.dumps(document, allow_nan=False)])


def write_json_list(path: str | Path, items: Iterable[Any]) -> None:
    """Write a JSON list, one item a line, without ever holding all of them; as `write_json`."""
    lines = (json.dumps(item, allow_nan=False) for item in items)
    separated = (f"{',' if n else ''}\n{line}" for n, line in enumerate(lines))
    _write(Path(path), chain("[", separated, ["\n]\n"]))


def _write(path: Path, parts: Iterable[str]) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w", encoding="utf-8") as file:
            file.writelines(parts)
    except OSError as error:
        raise DataError(f"{path}: cannot be written: {error.strerror}") from None
