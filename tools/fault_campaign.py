"""Hurt training runs on purpose and count: kills, signals, flipped bits, damaged records.

python tools/fault_campaign.py --kills=20 --flips=40 --signals=3

Every run is the real command in a child process, on drawn people with a tiny network. After each
kill the same command is started again, until the run is through; then every array of its last
checkpoint is compared with that of a run that nobody touched.
"""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from absl import flags

from jaxpose.defaults import DEFAULTS
from jaxpose.errors import JaxposeError, run_main
from jaxpose.training.checkpoint import Checkpoints

_KILLS = flags.DEFINE_integer("kills", 20, "kill -9 at this many random moments.")
_SIGNALS = flags.DEFINE_integer("signals", 2, "SIGTERM this often in each phase.")
_FLIPS = flags.DEFINE_integer("flips", 40, "Single bits to flip in array data.")
_DAMAGES = flags.DEFINE_bool("damages", True, "Flip a bit of, cut and empty a shard of records.")
_STEPS = flags.DEFINE_integer("steps", 60, "Training steps of a run.")
_SEED = flags.DEFINE_integer("seed", 0, "Seed of the moments and bits.")
_TASK = flags.DEFINE_enum("task", "pose", DEFAULTS, "Which network is trained.")
_SOURCE = flags.DEFINE_enum("source", "records", ["records", "shards"], "What runs read.")
_FOLDER = flags.DEFINE_string("folder", None, "Where the runs go; a temporary folder without.")
CONFIGS = {
    "pose": "configs/quickstart.py:smoke",
    "detection": "configs/ssd300_mpii_posetrack.py:smoke",
    "bottom_up": "configs/openpose_posetrack.py:smoke",
}
SMALL = {
    "pose": ["model.stacks=1", "model.features=16", "model.depth=2", "input_size=(64,64)"],
    "detection": ["model.width=0.0625", "input_size=(64,64)"],
    "bottom_up": ["model.width=0.0625", "model.stages=1", "input_size=(32,32)"],
}


def command(workdir: Path, data: Path, steps: int, eval_every: int = 20) -> list[str]:
    """The training command of the campaign."""
    small = [*SMALL[_TASK.value], "batch_size=4"]
    small += [f"steps={steps}", "checkpoint.every_steps=3", "log_every=1"]
    small += [f"eval.every_steps={eval_every}", "eval.batch_size=4"]
    small += [f"data_dir={data}", f"data.source={_SOURCE.value}", "compare_baselines=False"]
    small += ["data.synthetic.train_videos=3", "data.synthetic.validation_videos=1"]
    small += ["data.synthetic.canvas=128", "data.train=('posetrack18','mpii')"]
    overrides = [f"--config.{text}" for text in small]
    verb = [sys.executable, "-m", "jaxpose.train", f"--config={CONFIGS[_TASK.value]}"]
    return [*verb, f"--workdir={workdir}", *overrides]


def start(workdir: Path, data: Path, steps: int, eval_every: int = 20) -> subprocess.Popen[bytes]:
    """A run in the background, its output appended to a log beside its workdir."""
    with open(f"{workdir}.log", "ab") as log:
        line = command(workdir, data, steps, eval_every)
        return subprocess.Popen(line, stdout=log, stderr=log)


def order_of(workdir: Path) -> list[dict[str, object]]:
    """Every step's loss and the fingerprint of the records it read, as logged."""
    rows = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    names = ("step", "train/loss", "input/ids_crc32")
    return [{name: r[name] for name in names} for r in rows if "train/loss" in r]


def differences(one: Path, other: Path, step: int) -> list[str]:
    """Names of arrays that differ between the checkpoints of two runs, bit for bit."""
    loaded = []
    for workdir in (one, other):
        with Checkpoints(workdir / "checkpoints") as checkpoints:
            found = checkpoints.restore(step)
        assert found is not None
        loaded.append(found.arrays)
    names = sorted(set(loaded[0]) ^ set(loaded[1]))
    for name in set(loaded[0]) & set(loaded[1]):
        a, b = (arrays[name] for arrays in loaded)
        if a.dtype != b.dtype or a.shape != b.shape or a.tobytes() != b.tobytes():
            names.append(name)
    return names


def kill_campaign(
    folder: Path, data: Path, reference: Path, whole: float, rng: random.Random
) -> dict[str, int]:
    """kill -9 at random moments of a run's life of `whole` seconds, restarted each time."""
    life, kills, failed, differing = 0, 0, 0, 0
    workdir = folder / "killed0"
    while True:
        child = start(workdir, data, _STEPS.value)
        try:
            code = child.wait(timeout=rng.uniform(0.05, whole) if kills < _KILLS.value else None)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
            kills += 1
            print(f"kill {kills}: newest step {newest(workdir)}", flush=True)
            continue
        if code != 0:
            failed += 1
            print(f"a resume failed with code {code}, see {workdir}.log", flush=True)
        differing += len(compare(reference, workdir)) if code == 0 else 0
        if kills >= _KILLS.value or failed > 3:
            return {"kills": kills, "failed resumes": failed, "arrays that differ": differing}
        # It came through before its kill: another life, so that the count stays honest.
        life += 1
        workdir = folder / f"killed{life}"


def compare(reference: Path, workdir: Path) -> list[str]:
    """Differences in arrays, logged losses and record order; printed, and returned."""
    differing = differences(reference, workdir, _STEPS.value)
    if order_of(reference) != order_of(workdir):
        differing.append("logged losses or record order")
    print(f"{workdir.name}: {len(differing)} differences from the untouched run", flush=True)
    return differing


def newest(workdir: Path) -> int:
    """Newest finished step, -1 before the first."""
    folder = workdir / "checkpoints"
    names = [p.name for p in folder.glob("*")] if folder.exists() else []
    return max((int(name) for name in names if name.isdecimal()), default=-1)


def signal_campaign(folder: Path, data: Path) -> dict[str, int]:
    """SIGTERM while compiling, in a step and in an evaluation; each must save and exit with 75."""
    saved, asked, slowest = 0, 0, 0.0
    # The phase is read off the console, so that the signal comes where it is meant to.
    phases = {"compile": "compiling the", "step": "loss", "evaluation": "scoring step 2"}
    for phase, sign in phases.items():
        for number in range(_SIGNALS.value):
            workdir = folder / f"term_{phase}_{number}"
            child = start(workdir, data, 10_000, 2 if phase == "evaluation" else 10_000)
            log = Path(f"{workdir}.log")
            while sign not in log.read_text(errors="replace") and child.poll() is None:
                time.sleep(0.02)
            begun = time.monotonic()
            child.send_signal(signal.SIGTERM)
            code = child.wait()
            slowest = max(slowest, time.monotonic() - begun)
            asked += 1
            saved += code == 75 and newest(workdir) >= 0
            print(f"SIGTERM in {phase}: code {code}, step {newest(workdir)} saved", flush=True)
    return {"SIGTERMs": asked, "saved": saved, "slowest exit, ms": round(1000 * slowest)}


def flip_bit(step_folder: Path, array: np.ndarray, rng: random.Random) -> None:
    """Flip one random bit of an array's own bytes, found in the files of a step by content."""
    for path in sorted((step_folder / "state").rglob("*")):
        content = bytearray(path.read_bytes()) if path.is_file() else bytearray()
        start = content.find(array.tobytes())
        if start >= 0:
            content[start + rng.randrange(array.nbytes)] ^= 1 << rng.randrange(8)
            path.write_bytes(content)
            return
    raise JaxposeError(f"{step_folder}: no file holds the bytes of the array")


def flip_campaign(folder: Path, reference: Path, rng: random.Random) -> dict[str, int]:
    """Flip single bits of the newest step; a restore must take the one before it, unharmed."""
    with Checkpoints(reference / "checkpoints") as checkpoints:
        newest_step, before = checkpoints.steps()[-1], checkpoints.steps()[-2]
        good, last = checkpoints.restore(before), checkpoints.restore(newest_step)
    assert good is not None and last is not None
    # Smaller arrays lie inside the checkpoint's CRC-checked index; these are exposed.
    large = [array for array in last.arrays.values() if array.nbytes > 1024]
    detected = wrong = 0
    for number in range(_FLIPS.value):
        damaged = folder / f"flipped{number}"
        shutil.copytree(reference / "checkpoints", damaged)
        array = rng.choices(large, weights=[array.nbytes for array in large])[0]
        flip_bit(damaged / str(newest_step), array, rng)
        with Checkpoints(damaged) as checkpoints:
            found = checkpoints.restore()
        assert found is not None
        detected += found.step == before
        same = all(np.array_equal(found.arrays[name], good.arrays[name]) for name in good.arrays)
        wrong += not same
        shutil.rmtree(damaged)
    return {"bits flipped": _FLIPS.value, "detected": detected, "wrong weights loaded": wrong}


def damage_campaign(folder: Path, data: Path, rng: random.Random) -> dict[str, int]:
    """One shard damaged in each of three ways: a run must end with code 3 and name the shard."""
    suffix, named = "npz" if _SOURCE.value == "shards" else "tfrecord", 0
    damages = {"bit": _flipped, "cut": lambda content, _: content[:-10], "empty": lambda *_: b""}
    for kind, damage in damages.items():
        copied = folder / f"damaged_{kind}"
        shutil.copytree(data, copied)
        train = [p for p in copied.rglob(f"*-train*{suffix}*") if p.is_file()]
        shard = rng.choice(sorted(train))
        shard.write_bytes(damage(shard.read_bytes(), rng))
        workdir = folder / f"on_damaged_{kind}"
        code = start(workdir, copied, _STEPS.value).wait()
        told = shard.name in Path(f"{workdir}.log").read_text(errors="replace")
        named += code == 3 and told
        print(f"{kind}: code {code}, {shard.name} {'named' if told else 'NOT NAMED'}", flush=True)
    return {"shards damaged": len(damages), "named": named}


def _flipped(content: bytes, rng: random.Random) -> bytes:
    place = rng.randrange(len(content) // 4, len(content) // 2)  # in the middle of a record
    return content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]


def main(argv: list[str]) -> None:
    """Run the campaigns and print one table."""
    del argv
    os.environ["JAX_PLATFORMS"] = "cpu"
    folder = Path(_FOLDER.value or tempfile.mkdtemp(prefix="fault_campaign_"))
    folder.mkdir(parents=True, exist_ok=True)
    rng, data = random.Random(_SEED.value), folder / "data"
    reference = folder / "reference"
    prepare = command(reference, data, _STEPS.value)
    subprocess.run([*prepare, "--config.steps=1"], check=True, capture_output=True)
    shutil.rmtree(reference)  # that run only made the data, which would count as its life
    begun = time.monotonic()
    subprocess.run(prepare, check=True, capture_output=True)
    whole = time.monotonic() - begun
    table: dict[str, int] = {}
    if _KILLS.value:
        table |= kill_campaign(folder, data, reference, whole, rng)
    if _SIGNALS.value:
        table |= signal_campaign(folder, data)
    if _FLIPS.value:
        table |= flip_campaign(folder, reference, rng)
    if _DAMAGES.value:
        table |= damage_campaign(folder, data, rng)
    for name, value in table.items():
        print(f"{name:24s} {value}")
    bad = table.get("failed resumes", 0) + table.get("arrays that differ", 0)
    bad += table.get("SIGTERMs", 0) - table.get("saved", 0)
    bad += table.get("bits flipped", 0) - table.get("detected", 0)
    bad += table.get("shards damaged", 0) - table.get("named", 0)
    if bad:
        raise JaxposeError(f"{bad} faults were not survived; runs are in {folder}")


if __name__ == "__main__":
    run_main(main)
