"""Two benchmark files side by side: ratios of rows of the same batch size and dtype."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from jaxpose.annotations.json_files import load_json
from jaxpose.errors import DataError, UsageError
from jaxpose.pipelines.benchmark_table import UNITS, markdown, number

SCHEMA = "jaxpose.benchmark/1"
_NEEDED = ("mode", "config", "machine", "rows")
# Title and path of the figures whose ratios are told.
_RATIOS = {
    "p50": ("latency_ms", "p50"),
    "p95": ("latency_ms", "p95"),
    "MFU": ("mfu",),
    "stall": ("stall_fraction",),
    "CPU ms": ("cpu_ms_per_image",),
    "compile": ("compile_seconds",),
    "memory": ("peak_memory_bytes",),
}


def compare(files: Sequence[str]) -> list[str]:
    """Print how the second file's figures relate to the first one's; returns the lines.

    Raises:
      UsageError: not two files, or of two modes. DataError: a file that is missing, or no report of
        this schema.
    """
    if len(files) != 2:
        raise UsageError(f"--compare takes two files of --output, not {len(files)}")
    first, second = (read_report(file) for file in files)
    if first["mode"] != second["mode"]:
        raise UsageError(
            f"{files[0]} is of --mode={first['mode']}, {files[1]} of {second['mode']}; "
            "only the same mode can be compared"
        )
    lines = [f"a: {files[0]}: {first['config']}", f"b: {files[1]}: {second['config']}"]
    changed = differences(first, second)
    lines += [f"differs: {name}: {a} -> {b}" for name, (a, b) in changed.items()]
    pairs, alone = matched(first["rows"], second["rows"])
    lines += ["", *markdown(_columns(UNITS.get(first["mode"], "images")), pairs), ""]
    lines += [f"only in {where}: batch {batch}, {dtype}" for where, batch, dtype in alone]
    lines.append("ratios are b / a")
    for line in lines:
        print(line)
    return lines


def read_report(file: str) -> dict[str, Any]:
    """The document of a file that `benchmark` wrote; DataError for any other file."""
    document = load_json(file)
    found = document.get("schema") if isinstance(document, dict) else None
    if found != SCHEMA:
        what = "no file of --output" if found is None else f"of the schema {found!r}"
        raise DataError(f"{file}: {what}; this version compares {SCHEMA!r}: measure again")
    missing = [name for name in _NEEDED if name not in document]
    if missing:
        raise DataError(f"{file}: has no {', '.join(missing)}; measure again")
    return document


def differences(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """What hardware, versions, data and settings differ in: dotted name -> (a, b)."""
    named = ("machine", "data", "settings", "budget", "options")
    a, b = (_flat({name: one.get(name) for name in named}) for one in (first, second))
    names = [*a, *(name for name in b if name not in a)]
    return {n: (a.get(n), b.get(n)) for n in names if a.get(n) != b.get(n)}


def matched(
    first: Sequence[Mapping[str, Any]], second: Sequence[Mapping[str, Any]]
) -> tuple[list[dict[str, Any]], list[tuple[str, int, str]]]:
    """Pairs of rows as {'a': row, 'b': row}, and (file, batch size, dtype) of the others."""
    a, b = ({(row["batch_size"], row["dtype"]): row for row in rows} for rows in (first, second))
    pairs = [{"a": a[key], "b": b[key]} for key in a if key in b]
    alone = [("a", *key) for key in a if key not in b]
    return pairs, alone + [("b", *key) for key in b if key not in a]


def ratio(pair: Mapping[str, Any], *path: str) -> float | None:
    """b / a of the figure at a path; None where one of them lacks it or a has 0."""
    a, b = (_at(pair[side], path) for side in "ab")
    return b / a if a and b is not None else None


def _at(row: Any, path: Sequence[str]) -> float | None:
    for name in path:
        row = row.get(name) if isinstance(row, dict) else None
    return row


def _columns(unit: str) -> dict[str, Callable[[Mapping[str, Any]], str | None]]:
    def speed(side: str) -> Callable[[Mapping[str, Any]], str | None]:
        def cell(pair: Mapping[str, Any]) -> str | None:
            row = pair[side]
            return number(row["images_per_second"]) if row["status"] == "ok" else row["status"]

        return cell

    def ratio_of(path: Sequence[str]) -> Callable[[Mapping[str, Any]], str | None]:
        return lambda pair: number(ratio(pair, *path))

    return {
        "batch": lambda pair: str(pair["a"]["batch_size"]),
        "dtype": lambda pair: pair["a"]["dtype"],
        f"a {unit}/s": speed("a"),
        f"b {unit}/s": speed("b"),
        "ratio": ratio_of(("images_per_second",)),
        **{f"{title} ratio": ratio_of(path) for title, path in _RATIOS.items()},
    }


def _flat(tree: Any, prefix: str = "") -> dict[str, Any]:
    if not isinstance(tree, dict):
        return {prefix: json.dumps(tree)}
    flat: dict[str, Any] = {}
    for name, value in tree.items():
        flat |= _flat(value, f"{prefix}.{name}" if prefix else name)
    return flat
