"""`jaxpose.benchmark` on a tiny network: every mode in this process, without TensorFlow."""

import json
import subprocess
import sys
from pathlib import Path

import jax
import pytest

from jaxpose.defaults import pose_config, smoke
from jaxpose.errors import UsageError
from jaxpose.pipelines import benchmark_step
from jaxpose.pipelines.benchmark import benchmark
from jaxpose.pipelines.benchmark_compare import compare, read_report

REPOSITORY = Path(__file__).parents[2]
QUICK = {"windows": 2, "seconds": 0.0}
MODES = ("input", "step", "train", "infer", "predict")


def tiny_config():
    config = smoke(pose_config())
    config.model.update(stacks=1, blocks=1, features=8, depth=1)
    config.update(input_size=(32, 32), batch_size=2)
    config.data.update(train=("posetrack18",), eval="posetrack18", source="shards")
    config.data.synthetic.update(train_videos=2, validation_videos=1, frames=2, canvas=64)
    return config


@pytest.fixture(scope="module")
def reports(networks, tmp_path_factory):
    """Mode -> (document, the file that was written), each measured for a moment."""
    folder, made = tmp_path_factory.mktemp("benchmark"), {}
    config = tiny_config()
    of_predict = {"detector": str(networks["detection"]), "frame_size": (96, 64), "people": 2}
    with pytest.MonkeyPatch.context() as patch:
        for name in ("tensorflow", "tensorflow_datasets"):
            patch.setitem(sys.modules, name, None)
        for mode in MODES:
            file = folder / f"{mode}.json"
            options = of_predict if mode == "predict" else {}
            sizes = ["2", "4"] if mode == "infer" else [2]
            document = benchmark(
                mode,
                config,
                "tiny",
                batch_sizes=sizes,
                output=str(file),
                workdir=str(folder),
                **QUICK,
                **options,
            )
            made[mode] = (document, file)
    return made


@pytest.mark.parametrize("mode", MODES)
def test_every_mode_measures_and_writes(reports, mode):
    document, file = reports[mode]
    assert read_report(str(file)) == json.loads(json.dumps(document))
    assert (document["mode"], document["config"]) == (mode, "tiny")
    assert document["machine"]["jax"] == jax.__version__ and document["machine"]["cpu"]
    for row in document["rows"]:
        assert row["status"] == "ok" and row["images_per_second"] > 0
        assert len(row["window_images_per_second"]) == 2
        assert 0 < row["latency_ms"]["p50"] <= row["latency_ms"]["p95"]
        assert (
            row["peak_memory_bytes"] > 1e7 and row["compilations"] >= row["compilations_from_cache"]
        )
        assert row.get("compilations_while_measuring", 0) == 0


@pytest.mark.parametrize("mode", ["step", "train", "infer"])
def test_a_network_is_set_against_the_device(reports, mode):
    document, _ = reports[mode]
    for row in document["rows"]:
        seconds = row["batch_size"] / row["images_per_second"]
        assert row["mfu"] == pytest.approx(row["flops"] / seconds / row["matmul_peak_flops"])
        assert row["flops"] > 1e6 and row["bytes_accessed"] > 1e5
        assert row["matmul_peak_flops"] > 1e8 and row["copy_peak_bytes_per_second"] > 1e7
        assert row["cache"] in ("hit", "miss") and row["trace_seconds"] > 0
        assert row["planned_memory_bytes"] > row["batch_size"] * 64 * 64 * 3
    assert "noise" in document["data"] or document["data"].startswith("shards: train on")


def test_what_only_one_mode_tells(reports):
    rows = {mode: reports[mode][0]["rows"][0] for mode in MODES}
    assert 0 < rows["step"]["augment_share"] < 10
    assert 0 <= rows["train"]["stall_fraction"] <= 1
    assert rows["input"]["cpu_ms_per_image"] > 0 and rows["input"]["dtype"] == "uint8"
    assert set(rows["predict"]["stages"]) == {"detect", "pose"}
    assert rows["predict"]["people_per_frame"] == 2
    assert rows["infer"]["flops"] * 2 == pytest.approx(
        reports["infer"][0]["rows"][1]["flops"], rel=0.1
    )


def test_files_are_compared(reports, capsys):
    file = str(reports["infer"][1])
    lines = compare([file, file])
    assert capsys.readouterr().out.splitlines() == lines
    assert sum(line.count(" 1.00 ") for line in lines) >= 4 and "ratios are b / a" in lines
    with pytest.raises(UsageError, match="only the same mode can be compared"):
        compare([file, str(reports["step"][1])])


def test_memory_that_runs_out_is_a_row(monkeypatch, capsys, tmp_path):
    """The sweep goes on; errors of other kinds end it."""
    words = "RESOURCE_EXHAUSTED: Out of memory allocating\n 9 bytes."

    def refuse(config, task, mesh):
        raise {2: jax.errors.JaxRuntimeError(words), 4: MemoryError("no"), 8: error}[
            config.batch_size
        ]

    error = jax.errors.JaxRuntimeError("INTERNAL: something else")
    monkeypatch.setattr(benchmark_step, "train_program", refuse)
    monkeypatch.setattr("jaxpose.pipelines.benchmark_bench.measure_peaks", lambda dtype: None)
    file = tmp_path / "out.json"
    with pytest.raises(jax.errors.JaxRuntimeError, match="INTERNAL"):
        benchmark("step", tiny_config(), "x", batch_sizes=[2, 4, 8], output=str(file), **QUICK)
    kept = read_report(str(file))["rows"]  # up to the error
    assert [row["status"] for row in kept] == ["out of memory"] * 2
    assert kept[0]["error"] == "RESOURCE_EXHAUSTED: Out of memory allocating 9 bytes."
    benchmark("step", tiny_config(), "x", batch_sizes=[2, 4], **QUICK)
    assert capsys.readouterr().out.count("| out of memory |") == 2


@pytest.mark.parametrize(
    ("mode", "options", "fault"),
    [
        ("step", {"batch_sizes": ["0"]}, "--batch_sizes=0: give whole numbers from 1"),
        ("step", {"batch_sizes": ["2.5"]}, "--batch_sizes=2.5"),
        ("infer", {"dtypes": ["float16"]}, "config.model.dtype is 'float16'"),
        ("infer", {"dtypes": ["float64"]}, "float64 needs the environment variable"),
        ("input", {"dtypes": ["float32"]}, "--dtypes has no meaning for --mode=input"),
        ("predict", {"frame_size": ["12"]}, "--frame_size=12: give width,height"),
        ("predict", {"pose": "runs/x"}, "runs/x and a config both give the network for pose"),
    ],
)
def test_what_cannot_be_measured_is_refused_first(mode, options, fault):
    with pytest.raises(UsageError, match=fault):
        benchmark(mode, tiny_config(), "x", **options)


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--config=configs/quickstart.py"], 2, "--mode=input|step|train|infer|predict is missing"),
        (["--mode=flight"], 2, "flag --mode=flight: value should be one of"),
        (["--mode=step"], 2, "--config=FILE is missing"),
        (["--mode=predict"], 2, "--mode=predict needs --config=FILE"),
        (["--mode=step", "--config=configs/quickstart.py", "--people=3"], 2, "of --mode=predict"),
        (["--mode=step", "--config=configs/quickstart.py", "a.jpg"], 2, "argument 'a.jpg'"),
        (["--compare", "a.json"], 2, "--compare takes two files of --output, not 1"),
        (["--compare", "a.json", "b.json"], 3, "a.json: cannot be read"),
        (["a.json", "b.json"], 3, "a.json: cannot be read"),
    ],
)
def test_flags_that_do_not_fit_are_one_line(arguments, code, words):
    done = verb(*arguments)
    assert done.returncode == code and words in done.stderr, done.stderr
    assert done.stderr.count("\n") == 1 and not done.stdout


def test_missing_records_are_an_error_of_data(tmp_path):
    flags = ["--config=configs/hourglass_mpii.py", f"--config.data_dir={tmp_path}"]
    done = verb("--mode=input", *flags)
    assert done.returncode == 3 and "mpii" in done.stderr, done.stderr


def verb(*arguments):
    command = [sys.executable, "-m", "jaxpose.benchmark", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=REPOSITORY)
