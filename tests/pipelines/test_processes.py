"""Processes of one device each give the losses and scores of one process."""

import json
import os
import subprocess
import sys

import pytest

from jaxpose.config import to_json
from jaxpose.pipelines.evaluate import evaluate
from jaxpose.pipelines.prepare import prepare_records
from jaxpose.pipelines.train import train

SLOW = "JAXPOSE_SLOW" in os.environ
PROCESSES = {"pose": 4 if SLOW else 2, "detection": 2}
PROGRAM = """
import sys
from jaxpose.config import from_json
from jaxpose.pipelines.train import train
train(from_json(open(sys.argv[1]).read()), sys.argv[2])
"""


def start(arguments, processes, port):
    """Run a program as each process of a job; what each printed."""
    children = []
    for number in range(processes):
        environment = os.environ | {
            "JAX_COORDINATOR_ADDRESS": f"127.0.0.1:{port}",
            "JAX_NUM_PROCESSES": str(processes),
            "JAX_PROCESS_ID": str(number),
        }
        pipe = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        command = [sys.executable, *map(str, arguments)]
        children.append(subprocess.Popen(command, env=environment, **pipe))
    try:
        outputs = [child.communicate(timeout=1500)[0] for child in children]
    finally:
        for child in children:
            child.kill()
    assert [child.returncode for child in children] == [0] * processes, outputs
    return outputs


@pytest.fixture(scope="module")
def trained(fresh_config, tmp_path_factory, free_port):
    """Trains a task in so many processes, once: its workdir."""
    folder, done = tmp_path_factory.mktemp("processes"), {}

    def trained(processes):
        if processes not in done:
            config = fresh_config()
            config.data.source = "shards"
            config.distributed = "auto" if processes > 1 else "off"
            config.steps = 2
            config.log_every = 1
            config.eval.update(every_steps=2)
            prepare_records(config, folder)
            file, workdir = folder / f"{processes}.json", folder / f"run{processes}"
            file.write_text(to_json(config))
            if processes == 1:
                train(config, str(workdir))
            else:
                start(["-c", PROGRAM, file, workdir], processes, free_port())
            done[processes] = workdir
        return done[processes]

    return trained


def rows(workdir):
    return [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]


def test_processes_train_and_score_like_one(trained, task):
    """Two, or four with JAXPOSE_SLOW=1; the boxes of a detector are matched process by process."""
    if task not in PROCESSES:
        pytest.skip("nothing in the step of a bottom-up network knows of processes")
    if task == "detection" and not SLOW:
        pytest.skip("slow: compiles for a minute and a half; JAXPOSE_SLOW=1 runs it")
    processes = PROCESSES[task]
    runs = [rows(trained(count)) for count in (1, processes)]
    one, many = ([row for row in run if "train/loss" in row] for run in runs)
    # The detector's loss is about 10, where neighbouring float32 numbers are 1e-6 apart.
    assert one[0]["train/loss"] == pytest.approx(many[0]["train/loss"], rel=1e-6, abs=1e-6)
    counted = "eval/people" if task == "pose" else "eval/images"
    scores = [[row for row in run if counted in row] for run in runs]
    assert scores[0][0][counted] == scores[1][0][counted]
    assert len(scores[0]) == len(scores[1]) == 1


def test_the_evaluate_command_scores_in_processes_as_in_one(trained, task, tmp_path, free_port):
    """Each predicts its rows, all are merged once; the last batch is not full."""
    if task != "pose":
        pytest.skip("the pose network is enough: rows are shared out without looking at them")
    workdir, batch = str(trained(1)), 6
    one = evaluate(workdir, output_dir=str(tmp_path / "one"), batch_size=batch)
    flags = [f"--workdir={workdir}", f"--output_dir={tmp_path}/two", f"--batch_size={batch}"]
    command = ["-m", "jaxpose.evaluate", *flags, "--distributed=auto"]
    outputs = start(command, 2, free_port())
    two = json.loads((tmp_path / "two/scores.json").read_text())
    assert one["people"] > batch and one["people"] % batch
    assert two == json.loads((tmp_path / "one/scores.json").read_text())
    assert two["pck"] > 0 and "protocol" in two
    # Process 0 alone reports.
    assert [f"written to {tmp_path}" in output for output in outputs] == [True, False]
