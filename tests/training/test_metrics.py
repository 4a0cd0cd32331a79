"""metrics.jsonl has each step once, also after a resume; TensorBoard and console get the same."""

import json
import math
import subprocess
import sys

import numpy as np
import pytest
from tqdm import tqdm

from jaxpose.errors import CheckpointError
from jaxpose.training.metrics import MetricWriter, truncate_metrics


def rows(folder) -> list[dict]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def write(folder, steps, **options) -> None:
    with MetricWriter(folder, tensorboard=False, **options) as writer:
        for step in steps:
            writer.scalars(step, {"loss": 1 / (step + 1)})


def test_rows_are_flat_and_numbers_exact(tmp_path):
    with MetricWriter(tmp_path, tensorboard=False) as writer:
        writer.scalars(1, {"loss": np.float32(0.1), "count": np.int64(3)})
        writer.scalars(2, {"loss": float("nan"), "rate": -math.inf})
    first, second = rows(tmp_path)
    assert first == {"step": 1, "loss": float(np.float32(0.1)), "count": 3.0}
    assert second == {"step": 2, "loss": "nan", "rate": "-inf"}
    assert math.isnan(float(second["loss"])) and float(second["rate"]) == -math.inf


def test_a_row_is_on_disk_before_the_writer_is_closed(tmp_path):
    writer = MetricWriter(tmp_path, tensorboard=False)
    writer.scalars(1, {"loss": 0.5})
    assert rows(tmp_path) == [{"step": 1, "loss": 0.5}]
    writer.close()
    writer.close()


def test_resuming_drops_later_and_torn_rows(tmp_path):
    write(tmp_path, range(1, 8))
    with open(tmp_path / "metrics.jsonl", "a") as file:
        file.write('{"step": 3, "lo')
    write(tmp_path, range(6, 9), resume_step=5)
    assert [row["step"] for row in rows(tmp_path)] == [1, 2, 3, 4, 5, 6, 7, 8]
    write(tmp_path, [0, 1])
    assert [row["step"] for row in rows(tmp_path)] == [0, 1]


def test_truncate_metrics_counts_and_ignores_a_missing_file(tmp_path):
    assert truncate_metrics(tmp_path / "metrics.jsonl", 3) == 0
    write(tmp_path, range(6))
    before = (tmp_path / "metrics.jsonl").stat().st_mtime_ns
    assert truncate_metrics(tmp_path / "metrics.jsonl", 5) == 0
    assert (tmp_path / "metrics.jsonl").stat().st_mtime_ns == before
    assert truncate_metrics(tmp_path / "metrics.jsonl", 2) == 3


def test_console_lines_are_rate_limited(tmp_path, capsys):
    with MetricWriter(tmp_path, tensorboard=False, console_seconds=3600) as writer:
        writer.scalars(1, {"loss": 0.25, "pckh": 80.123456})
        writer.scalars(2, {"loss": 0.5})
        writer.scalars(3, {"pckh": 90}, console=True)
        writer.scalars(4, {"loss": 0.5})
    assert capsys.readouterr().err.splitlines() == [
        "step 1  loss 0.25  pckh 80.12",
        "step 3  pckh 90",
    ]
    assert len(rows(tmp_path)) == 4
    with MetricWriter(tmp_path, 4, tensorboard=False, console_seconds=0) as writer:
        for step in (5, 6):
            writer.scalars(step, {"loss": 1}, console=False if step == 6 else None)
    assert capsys.readouterr().err.splitlines() == ["step 5  loss 1"]


def test_console_lines_do_not_tear_a_progress_bar(tmp_path, capsys):
    with tqdm(total=3, file=sys.stderr), MetricWriter(tmp_path, tensorboard=False) as writer:
        writer.scalars(1, {"loss": 0.25})
    # The bar is wiped first, so the line starts where the terminal's cursor went back to.
    text = capsys.readouterr().err
    assert "step 1  loss 0.25" in text.replace("\r", "\n").split("\n")


def test_other_processes_write_nothing(tmp_path):
    with MetricWriter(tmp_path, primary=False) as writer:
        writer.scalars(1, {"loss": 1})
        writer.image(1, "sheet", np.zeros((2, 2, 3), np.uint8))
        writer.text("config", "{}")
    assert list(tmp_path.iterdir()) == []


def test_tensorboard_gets_scalars_pictures_and_text(tmp_path):
    from tensorboardX.proto.event_pb2 import Event
    from tensorboardX.record_writer import masked_crc32c  # the format's own checksum

    with MetricWriter(tmp_path, resume_step=4) as writer:
        writer.scalars(5, {"eval/pckh": 75.5})
        writer.image(5, "sheet", np.full((4, 6, 3), 200, np.uint8))
        writer.text("config", '{\n  "seed": 3\n}')
    (path,) = (tmp_path / "tensorboard").glob("events*")
    data, events, at = path.read_bytes(), [], 0
    while at < len(data):
        length = int.from_bytes(data[at : at + 8], "little")
        body = data[at + 12 : at + 12 + length]
        assert int.from_bytes(data[at + 12 + length :][:4], "little") == masked_crc32c(body)
        events.append(Event.FromString(body))
        at += length + 16
    values = {value.tag: (event.step, value) for event in events for value in event.summary.value}
    assert values["eval/pckh"][0] == 5 and values["eval/pckh"][1].simple_value == 75.5
    picture = values["sheet"][1].image
    assert (picture.height, picture.width) == (4, 6)
    assert b'"seed": 3' in values["config/text_summary"][1].tensor.string_val[0]
    # Tells TensorBoard to hide what an interrupted run wrote from step 5 on.
    assert [e.step for e in events if e.HasField("session_log")] == [5]


def test_a_folder_that_cannot_be_written_is_an_error(tmp_path):
    with pytest.raises(CheckpointError, match="metrics.jsonl: No such file"):
        MetricWriter(tmp_path / "missing", tensorboard=False)


def test_tensorboardx_is_imported_only_when_used():
    script = "import sys, jaxpose.training.metrics; sys.exit('tensorboardX' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script]).returncode == 0
