"""A benchmark's figures as a Markdown table, with what must be known to read it."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from jaxpose.pipelines.benchmark_machine import PROCESS, hardware

Row = Mapping[str, Any]
# What an image is called.
UNITS = {"predict": "frames"}
# Whose FLOPs are told: of which program, and what a call of it does.
_COUNTED = {"lowered": "before it optimises", "compiled": "of what it made of the program"}
_STEP = "augmentation, network (rematerialisation not counted), loss, gradient and optimizer"
_CALLS = {
    "step": _STEP,
    "train": _STEP,
    "infer": "preparation, network (BatchNorm folded into convolutions) and decoding",
}


def table_lines(document: Mapping[str, Any]) -> list[str]:
    """Lines of a document of `benchmark`: a title, the table, and notes on it."""
    rows, mode = document["rows"], document["mode"]
    unit = UNITS.get(mode, "images")
    columns = {title.format(unit=unit): of for title, of in COLUMNS.items()}
    title = f"{document['config']} --mode={mode}: {hardware(document['machine'])}"
    notes = [f"- {line}" for line in [f"data: {document['data']}", *_notes(mode, rows)]]
    return [title, "", *markdown(columns, rows), "", *notes]


def markdown(columns: Mapping[str, Callable[[Row], str | None]], rows: Sequence[Row]) -> list[str]:
    """A Markdown table of padded cells; columns that are empty in every row are left out."""
    grid = [[title, *(of(row) or "" for row in rows)] for title, of in columns.items()]
    grid = [cells for cells in grid if any(cells[1:])]
    if not grid:
        return []
    padded = [[cell.rjust(max(2, *map(len, cells))) for cell in cells] for cells in grid]
    rules = ["-" * (len(cells[0]) - 1) + ":" for cells in padded]
    head, *body = [list(line) for line in zip(*padded, strict=True)]
    return [f"| {' | '.join(line)} |" for line in (head, rules, *body)]


def number(value: float | None, digits: int = 3) -> str | None:
    """A figure with so many significant digits, whole ones all told; None stays."""
    if value is None:
        return None
    if abs(value) >= 10 ** (digits - 1):
        return f"{value:,.0f}"
    return f"{value:#.{digits}g}".rstrip(".")


def _percent(name: str) -> Callable[[Row], str | None]:
    def cell(row: Row) -> str | None:
        value = row.get(name)
        return None if value is None else f"{100 * value:.1f} %"

    return cell


def _plain(name: str, scale: float = 1.0) -> Callable[[Row], str | None]:
    def cell(row: Row) -> str | None:
        value = row.get(name)
        return None if value is None else number(value * scale)

    return cell


def _latency(name: str) -> Callable[[Row], str | None]:
    return lambda row: number(row.get("latency_ms", {}).get(name))


def _stage(name: str) -> Callable[[Row], str | None]:
    return lambda row: number(row.get("stages", {}).get(name))


def _speed(row: Row) -> str | None:
    return number(row["images_per_second"]) if row["status"] == "ok" else row["status"]


def _per_device(row: Row) -> str | None:
    value = row.get("images_per_second_per_device")
    return None if value is None or value == row["images_per_second"] else number(value)


def _compile(row: Row) -> str | None:
    seconds = number(row.get("compile_seconds"))
    return seconds and seconds + {"hit": " (cached)"}.get(row.get("cache", ""), "")


def _memory(row: Row) -> str | None:
    value = row.get("peak_memory_bytes")
    bound = "<= " if row.get("peak_memory_is_bound") else ""
    return None if value is None else f"{bound}{value / 1e9:.2f}"


COLUMNS: dict[str, Callable[[Row], str | None]] = {
    "batch": lambda row: str(row["batch_size"]),
    "dtype": lambda row: row["dtype"],
    "{unit}/s": _speed,
    "a device": _per_device,
    "p50 ms": _latency("p50"),
    "p95 ms": _latency("p95"),
    "decode/s": _stage("decode"),
    "detect/s": _stage("detect"),
    "pose/s": _stage("pose"),
    "stall": _percent("stall_fraction"),
    "CPU ms": _plain("cpu_ms_per_image"),
    "/s a core": _plain("images_per_second_per_core"),
    "GFLOP": _plain("flops", 1e-9),
    "MFU": _percent("mfu"),
    "bandwidth": _percent("bandwidth_utilisation"),
    "augment": _percent("augment_share"),
    "trace s": _plain("trace_seconds"),
    "compile s": _compile,
    "memory GB": _memory,
}


def _notes(mode: str, rows: Sequence[Row]) -> list[str]:
    """What the columns mean, and the peaks that two of them are shares of."""
    found = [row for row in rows if row["status"] == "ok"]
    notes = [f"batch {row['batch_size']}, {row['dtype']}: {row['error']}"
             for row in rows if row["status"] != "ok"]  # fmt: skip
    peaks = {row["dtype"]: row for row in found if "matmul_peak_flops" in row}
    for dtype, row in peaks.items():
        side = row["matmul_side"]
        for_dtype = f", for {dtype}" * (row["matmul_dtype"] != dtype)
        notes.append(
            f"peaks measured in this run: {row['matmul_peak_flops'] / 1e12:.3g} TFLOP/s "
            f"({row['matmul_dtype']} product of {side} x {side}{for_dtype}), "
            f"{row['copy_peak_bytes_per_second'] / 1e9:.3g} GB/s (x + 1 over "
            f"{row['copy_bytes'] / 2e6:.0f} MB)"
        )
    if peaks:
        optimises = " ".join({_COUNTED[row["flops_of"]] for row in found})
        notes.append(
            f"GFLOP: of a call on one device, by XLA's count {optimises}; {_CALLS[mode]}; "
            "bandwidth: XLA's bytes accessed (of a loop once), of which caches serve some"
        )
    if any("augment_share" in row for row in found):
        notes.append("augment: augmentation and targets compiled alone, as a share of the step")
    if any("stages" in row for row in found):
        people = found[0]["people_per_frame"]
        notes.append(
            f"decode, detect, pose: as if each ran alone; p50 and p95: single pictures; "
            f"{people:.3g} people a frame"
        )
    again = sum(row.get("compilations_while_measuring", 0) for row in found)
    total = sum(row.get("compilations", 0) for row in found)
    notes.append(f"programs compiled: {total}, while measuring: {again}")
    if any(row.get("peak_memory_of") == PROCESS for row in found):
        notes.append("memory: of this process, most so far (the device does not tell)")
    elif found:
        notes.append("memory: of the device, most so far")
    return notes
