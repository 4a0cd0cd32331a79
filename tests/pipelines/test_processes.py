"""Two processes of one device each give the losses and scores of one process."""

import json
import os
import subprocess
import sys

import pytest

from jaxpose.config import to_json
from jaxpose.pipelines.prepare import prepare_records

PROGRAM = """
import sys
from jaxpose.config import from_json
from jaxpose.pipelines.train import train
train(from_json(open(sys.argv[1]).read()), sys.argv[2])
"""


def start(config_file, workdir, processes, port):
    command = [sys.executable, "-c", PROGRAM, str(config_file), str(workdir)]
    address = f"127.0.0.1:{port}"
    children = []
    for number in range(processes):
        environment = os.environ | {
            "JAX_COORDINATOR_ADDRESS": address,
            "JAX_NUM_PROCESSES": str(processes),
            "JAX_PROCESS_ID": str(number),
        }
        pipe = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        children.append(subprocess.Popen(command, env=environment, **pipe))
    outputs = [child.communicate(timeout=300)[0] for child in children]
    assert [child.returncode for child in children] == [0] * processes, outputs
    lines = (workdir / "metrics.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def test_two_processes_train_and_score_like_one(config, tmp_path, free_port):
    config.data.source = "shards"
    prepare_records(config, tmp_path)
    config.steps = 2
    config.log_every = 1
    config.eval.update(every_steps=2)
    runs = []
    for processes in (1, 2):
        config.distributed = "auto" if processes > 1 else "off"
        file = tmp_path / f"config{processes}.json"
        file.write_text(to_json(config))
        runs.append(start(file, tmp_path / f"run{processes}", processes, free_port()))
    one, two = ([row for row in rows if "train/loss" in row] for rows in runs)
    # Four roundings of a float32 where the loss is large.
    assert one[0]["train/loss"] == pytest.approx(two[0]["train/loss"], rel=5e-7, abs=1e-6)
    counted = "eval/people" if config.task == "pose" else "eval/images"
    scores = [[row for row in rows if counted in row] for rows in runs]
    assert scores[0][0][counted] == scores[1][0][counted]
    assert len(scores[0]) == len(scores[1]) == 1
