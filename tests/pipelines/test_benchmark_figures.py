"""The benchmark's arithmetic, table and comparison, on figures made by hand."""

import json

import pytest

from jaxpose.errors import DataError
from jaxpose.pipelines import benchmark_machine
from jaxpose.pipelines.benchmark_bench import speed_figures, utilisation_figures
from jaxpose.pipelines.benchmark_compare import SCHEMA, compare, differences, matched, read_report
from jaxpose.pipelines.benchmark_compile import Program
from jaxpose.pipelines.benchmark_machine import peak_memory
from jaxpose.pipelines.benchmark_peaks import Peaks
from jaxpose.pipelines.benchmark_predict import Pass, stage_rates
from jaxpose.pipelines.benchmark_table import markdown, number, table_lines
from jaxpose.pipelines.benchmark_timing import Budget, Timing, measure, percentiles_ms
from jaxpose.pipelines.benchmark_train import loop_timing

PEAKS = Peaks(8e12, 4096, "float32", bandwidth=1e11, copy_bytes=128_000_000)


def test_percentiles_are_linear_between_neighbours():
    found = percentiles_ms([0.001, 0.002, 0.003, 0.004, 0.005])
    assert found == pytest.approx({"p50": 3.0, "p95": 4.8, "count": 5})


def test_speed_is_of_the_median_window():
    figures = speed_figures(Timing((0.4, 0.6), (0.1, 0.9, 0.2)), images=8, devices=4)
    assert figures["images_per_second"] == pytest.approx(40)
    assert figures["images_per_second_per_device"] == pytest.approx(10)
    assert figures["window_images_per_second"] == pytest.approx([80, 8 / 0.9, 40])
    assert figures["latency_ms"]["p50"] == pytest.approx(500)


def test_utilisation_is_the_share_of_the_peaks():
    """4e11 FLOP and 2e9 bytes in 0.1 s: 4 of 8 TFLOP/s, 20 of 100 GB/s."""
    program = Program(None, 1.0, 2.0, "off", 4e11, "lowered", 9e11, 2e9, 3)  # type: ignore[arg-type]
    figures = utilisation_figures(program, 0.1, PEAKS)
    assert figures["mfu"] == pytest.approx(0.5)
    assert figures["bandwidth_utilisation"] == pytest.approx(0.2)
    untold = utilisation_figures(program._replace(flops=None), 0.1, PEAKS)
    assert untold["mfu"] is None


def test_calls_fill_the_budget():
    assert Budget(seconds=2.0).calls(0.5) == 4 and Budget(seconds=0.0).calls(0.5) == 1
    calls = []
    timing = measure(lambda: calls.append(1), Budget(windows=3, seconds=0.0))
    assert len(calls) == 2 + 3 + 3 and (len(timing.waited), len(timing.windows)) == (3, 3)


def test_the_loops_own_figures_are_taken():
    rows = [
        {"images_per_second": rate, "input/stall_fraction": stall}
        for rate, stall in ((10.0, 0.5), (40.0, 0.1), (20.0, 0.2))
    ]
    timing, stalls = loop_timing(rows, [0.1, 0.3], batch_size=8)
    assert timing.windows == pytest.approx((0.8, 0.2, 0.4)) and timing.seconds == pytest.approx(0.4)
    assert timing.waited == (0.1, 0.3) and stalls == [0.5, 0.1, 0.2]


def test_stages_are_told_as_if_each_ran_alone():
    passes = [
        Pass(10, 3, {"total": 9.0, "detect": 1.0, "decode": 0.0}),
        Pass(20, 3, {"total": 9.0, "detect": 2.0, "pose": 5.0, "decode": 0.0}),
    ]
    assert stage_rates(passes) == {"detect": 10.0, "pose": 6.0}


def test_memory_that_was_needed_before_is_a_bound(monkeypatch):
    size, whose = peak_memory()
    assert size > 1e7 and whose == "process"
    sizes = iter([5, 5, 7])
    monkeypatch.setattr(benchmark_machine, "peak_memory", lambda: (next(sizes), "device"))
    watch = benchmark_machine.MemoryWatch()
    assert watch.figures()["peak_memory_is_bound"] is True
    found = {"peak_memory_bytes": 7, "peak_memory_of": "device", "peak_memory_is_bound": False}
    assert watch.figures() == found


def row(batch, speed, **more):
    return {
        "batch_size": batch,
        "dtype": "float32",
        "status": "ok",
        "images_per_second": speed,
    } | more


def report(rows, mode="step", **more):
    machine = {"platform": "gpu", "device": "H9", "devices": 2, "cpu": "C", "cores": 4, "jax": "1"}
    return {
        "schema": SCHEMA, "mode": mode, "config": "x", "machine": machine, "data": "noise",
        "rows": rows, **more,
    }  # fmt: skip


def test_a_table_to_paste():
    program = Program(None, 1.5, 20.0, "hit", 4e11, "lowered", 9e11, 2e9, 3)  # type: ignore[arg-type]
    found = utilisation_figures(program, 0.1, PEAKS) | program.figures()
    full = row(8, 1234.5, latency_ms={"p50": 0.125, "p95": 22.0}, **found)
    full |= {"peak_memory_bytes": 2.5e9, "peak_memory_of": "device", "peak_memory_is_bound": True}
    failed = {"batch_size": 16, "dtype": "float32", "status": "out of memory", "error": "no room"}
    lines = table_lines(report([full, failed]))
    assert lines[0] == "x --mode=step: 2 x H9; C, 4 cores; jax 1"
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:6]]
    assert dict(zip(cells[0], cells[2], strict=True)) == {
        "batch": "8", "dtype": "float32", "images/s": "1,234", "p50 ms": "0.125", "p95 ms": "22.0",
        "GFLOP": "400", "MFU": "50.0 %", "bandwidth": "20.0 %", "trace s": "1.50",
        "compile s": "20.0 (cached)", "memory GB": "<= 2.50",
    }  # fmt: skip
    assert cells[3][:3] == ["16", "float32", "out of memory"] and not any(cells[3][3:])
    assert all(set(cell) == {"-", ":"} for cell in cells[1])
    notes = "\n".join(lines[6:])
    assert "8 TFLOP/s (float32 product of 4096 x 4096), 100 GB/s (x + 1 over 64 MB)" in notes
    assert "batch 16, float32: no room" in notes and "loss, gradient and optimizer" in notes


def test_numbers_have_three_digits():
    found = [number(v) for v in (0.01234, 0.5, 1.0, 12.34, 123.4, 98765.4, None)]
    assert found == ["0.0123", "0.500", "1.00", "12.3", "123", "98,765", None]


def test_empty_columns_are_left_out():
    lines = markdown({"a": lambda r: r.get("a"), "b": lambda r: r.get("b")}, [{"a": "1"}, {}])
    assert lines == ["|  a |", "| -: |", "|  1 |", "|    |"]


def test_ratios_are_second_to_first(tmp_path, capsys):
    a = [row(1, 10.0, mfu=0.2, latency_ms={"p50": 4.0}), row(2, 20.0), row(8, 1.0)]
    b = [
        row(2, 50.0, compile_seconds=3.0),
        row(1, 5.0, mfu=0.3, latency_ms={"p50": 8.0}),
        row(4, 1),
    ]
    first, second = tmp_path / "a.json", tmp_path / "b.json"
    first.write_text(json.dumps(report(a, settings={"model": {"width": 1}})))
    second.write_text(json.dumps(report(b, settings={"model": {"width": 2}})))
    lines = compare([str(first), str(second)])
    assert capsys.readouterr().out.splitlines() == lines
    assert "differs: settings.model.width: 1 -> 2" in lines
    cells = [[c.strip() for c in line.strip("|").split("|")] for line in lines if "|" in line]
    one = dict(zip(cells[0], cells[2], strict=True))
    assert one["ratio"] == "0.500" and one["p50 ratio"] == "2.00" and one["MFU ratio"] == "1.50"
    assert cells[3][:5] == ["2", "float32", "20.0", "50.0", "2.50"] and "compile ratio" not in one
    assert "only in a: batch 8, float32" in lines and "only in b: batch 4, float32" in lines


def test_rows_are_matched_whatever_their_order():
    pairs, alone = matched([row(1, 2), row(2, 3)], [row(2, 4)])
    assert pairs == [{"a": row(2, 3), "b": row(2, 4)}] and alone == [("a", 1, "float32")]
    assert differences(report([]), report([])) == {}
    assert markdown({"a": lambda r: r["a"]}, []) == []


@pytest.mark.parametrize(
    ("document", "fault"),
    [
        ({"schema": "jaxpose.benchmark/0"}, "of the schema 'jaxpose.benchmark/0'; this version"),
        ({"rows": []}, "no file of --output"),
        ([1], "no file of --output"),
        ({"schema": SCHEMA, "mode": "step"}, "has no config, machine, rows"),
    ],
)
def test_other_files_are_refused(tmp_path, document, fault):
    file = tmp_path / "x.json"
    file.write_text(json.dumps(document))
    with pytest.raises(DataError, match=fault):
        read_report(str(file))
