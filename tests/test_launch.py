"""The recipes in tools/launch, run with commands in place that write down what they were given."""

import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest
import yaml

from jaxpose.defaults import DEFAULTS

ROOT = Path(__file__).parents[1]
LAUNCH = ROOT / "tools/launch"
SCRIPTS = sorted([*LAUNCH.glob("*.sh"), *LAUNCH.glob("*.sbatch")])
DOCUMENTS = sorted(LAUNCH.glob("*.yaml"))
CALLS = "calls.txt"
WRITTEN_DOWN = """#!/bin/bash
printf '%s ' "$(basename "$0")" "${@@Q}" "TPU_VISIBLE_CHIPS=${TPU_VISIBLE_CHIPS:-}" >>"$CALLS"
echo >>"$CALLS"
"""
# What the commands print, and those that run others: srun, and ssh to each host of a slice.
COMMANDS = {
    "python": WRITTEN_DOWN + 'exit "${EXIT_CODE:-0}"',
    "python3": WRITTEN_DOWN,
    "scontrol": WRITTEN_DOWN,
    "srun": '#!/bin/bash\nexec "$@"',
    "curl": '#!/bin/bash\necho "$HOST_NUMBER"',
    "gcloud": """#!/bin/bash
for argument; do
  case $argument in
    --worker=all) hosts="0 1" ;;
    --worker=*) hosts=${argument#--worker=} ;;
    --command=*) command=${argument#--command=} ;;
  esac
done
for HOST_NUMBER in $hosts; do
  export HOST_NUMBER
  (cd "$HOME" && bash -c "$command") || exit
done
""",
}
GIVEN = {
    "CONFIG": "configs/ssd300_coco.py", "WORKDIR": "/shared/a run", "DATA_DIR": "/shared/records",
    "INPUTS": "/shared/my photos", "DETECTOR": "d", "POSE": "p", "TPU_NAME": "t", "ZONE": "z",
    "HOSTS": "2", "CHIPS": "4", "SLURM_JOB_ID": "77",
}  # fmt: skip


@pytest.fixture
def run(tmp_path):
    """Runs a script; its exit code, and the words of each command that it called."""
    for name, text in COMMANDS.items():
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    (tmp_path / "jaxpose").symlink_to(ROOT)

    def run(script, **environment):
        calls = tmp_path / CALLS
        calls.unlink(missing_ok=True)
        given = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "HOME": str(tmp_path)}
        given |= {"CALLS": str(calls), "OUTPUT_DIR": str(tmp_path / "out")} | GIVEN | environment
        command = ["bash", str(LAUNCH / script)]
        done = subprocess.run(command, env=given, capture_output=True, text=True, timeout=60)
        assert not done.stderr, done.stderr
        return done.returncode, [shlex.split(line) for line in calls.read_text().splitlines()]

    return run


def check_call(words):
    """Words of `python -m jaxpose.VERB ...`: every flag is one of the verb's, or of a config's."""
    words = words[words.index("-m") + 1 :]
    package, verb = words[0].split(".")
    source = (ROOT / package / f"{verb}.py").read_text()
    known = {"config", *re.findall(r'DEFINE_\w+\(\s*"(\w+)"', source)}
    given = dict(re.fullmatch(r"--([\w.]+)=?(.*)", w).groups() for w in words if w[:2] == "--")
    for name, value in given.items():
        field = name.removeprefix("config.")
        if field == name:
            assert name in known, f"{verb} has no --{name}"
        else:
            assert all(field in defaults() for defaults in DEFAULTS.values()), name
        assert "$" not in value or "JOB_COMPLETION_INDEX" in value
    if verb == "train":
        assert (ROOT / given["config"]).is_file() and given["config.distributed"] == "auto"
    return given


def test_every_recipe_is_looked_at():
    names = {path.name for path in LAUNCH.iterdir()}
    assert names == {path.name for path in SCRIPTS + DOCUMENTS} | {"README.md"}
    page = (LAUNCH / "README.md").read_text()
    assert all(name in page for name in names - {"README.md"})


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_the_shell_can_read_it(path):
    subprocess.run(["bash", "-n", str(path)], check=True)
    assert path.read_text().startswith("#!/bin/bash\n") and "set -euo pipefail" in path.read_text()


def test_slurm_trains_with_a_process_for_each_gpu_and_comes_back_when_preempted(run):
    code, (call,) = run("slurm_train.sbatch")
    given = check_call(call)
    assert code == 0 and given["workdir"] == "/shared/a run"
    text = (LAUNCH / "slurm_train.sbatch").read_text()
    options = dict(re.findall(r"#SBATCH --([\w-]+)=?(\S*)", text))
    assert options["ntasks-per-node"] == options["gpus-per-node"] and "gpus-per-task" not in options
    assert options["signal"].startswith("TERM") and "requeue" in options
    code, (_, again) = run("slurm_train.sbatch", EXIT_CODE="75")
    assert code == 75 and again[:3] == ["scontrol", "requeue", "77"]
    code, calls = run("slurm_train.sbatch", EXIT_CODE="3")
    assert code == 3 and len(calls) == 1


def test_slurm_predicts_every_share_once_and_merges(run):
    text = (LAUNCH / "slurm_predict.sbatch").read_text()
    last = int(re.search(r"#SBATCH --array=0-(\d+)", text)[1])
    for number in (0, last):
        _, (call,) = run("slurm_predict.sbatch", SLURM_ARRAY_TASK_ID=str(number))
        assert check_call(call)["shard"] == f"{number}/{last + 1}"
        assert "/shared/my photos" in call
    _, (call,) = run("slurm_predict.sbatch", MERGE="1")
    assert check_call(call).keys() == {"merge", "output_dir", "format"}


def test_a_tpu_slice_trains_on_all_hosts(run):
    _, calls = run("tpu_train.sh")
    assert len(calls) == 2 and all(check_call(call)["workdir"] == "/shared/a run" for call in calls)


def test_a_tpu_slice_predicts_every_share_once_and_merges(run):
    _, calls = run("tpu_predict.sh")
    *shards, merge = calls
    given = [check_call(call) for call in shards]
    assert sorted(one["shard"] for one in given) == [f"{n}/8" for n in range(8)]
    chips = sorted(call[-1] for call in shards)
    assert chips == [f"TPU_VISIBLE_CHIPS={chip}" for chip in (0, 0, 1, 1, 2, 2, 3, 3)]
    assert check_call(merge).keys() == {"merge", "output_dir", "format"}


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_kubernetes_documents(path):
    documents = list(yaml.safe_load_all(path.read_text()))
    jobs = [one for one in documents if one["kind"] == "Job"]
    assert jobs and all(one["apiVersion"] and one["metadata"]["name"] for one in documents)
    for job in jobs:
        pod = job["spec"]["template"]["spec"]
        (container,) = pod["containers"]
        given = check_call(container["command"] + container["args"])
        volumes = {volume["name"] for volume in pod["volumes"]}
        assert {mount["name"] for mount in container["volumeMounts"]} == volumes
        processes = job["spec"].get("completions", 1)
        assert job["spec"].get("parallelism", 1) == processes
        if "shard" in given:
            assert given["shard"] == f"$(JOB_COMPLETION_INDEX)/{processes}"
        if "config.distributed" in given:
            check_environment(container["env"], job, documents)


def check_environment(variables, job, documents):
    """What jax.distributed reads: the address of process 0, their number, and their own."""
    values = {variable["name"]: variable.get("value") for variable in variables}
    job_names = {"JAX_COORDINATOR_ADDRESS", "JAX_NUM_PROCESSES", "JAX_PROCESS_ID"}
    assert values.keys() == job_names | {"JAX_COMPILATION_CACHE_DIR"}
    assert values["JAX_NUM_PROCESSES"] == str(job["spec"]["completions"])
    (service,) = (one for one in documents if one["kind"] == "Service")
    name = service["metadata"]["name"]
    assert job["spec"]["template"]["spec"]["subdomain"] == name
    assert service["spec"]["selector"] == {"job-name": job["metadata"]["name"]}
    (port,) = job["spec"]["template"]["spec"]["containers"][0]["ports"]
    address = f"{job['metadata']['name']}-0.{name}:{port['containerPort']}"
    assert values["JAX_COORDINATOR_ADDRESS"] == address


@pytest.mark.parametrize("recipe", [*SCRIPTS, *DOCUMENTS], ids=lambda recipe: recipe.name)
def test_compiled_programs_are_kept(recipe):
    """In each recipe that starts a network; tpu_predict.sh calls another that does."""
    text = recipe.read_text()
    assert "JAX_COMPILATION_CACHE_DIR" in text or "tpu_predict_host.sh" in text
