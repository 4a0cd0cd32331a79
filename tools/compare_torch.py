"""Race our networks against their PyTorch twins: python tools/compare_torch.py

Both compute the same networks with random weights on the same device: inference, and a training
step (forward, loss, backward, optimizer) with the same simple loss on given targets, so without
augmentation and matching. Each side has a process of its own, and their calls alternate; ratios are
of the medians. Our inference has BatchNorm folded into convolutions, as the estimator runs it.
PyTorch is run as it comes (NCHW), with channels_last, and with torch.compile (which needs a C++
compiler on the CPU, and folds BatchNorm too where the environment has TORCHINDUCTOR_FREEZING=1);
its best setting counts. Threads of either are those that --threads allows.
"""

import importlib.util
import os
from collections.abc import Mapping
from typing import Any

import numpy as np
from absl import flags
from race_inputs import SIDES
from race_sides import Race, Side, serve_ours, serve_twin
from tqdm import tqdm

from jaxpose.annotations.json_files import write_json
from jaxpose.errors import JaxposeError, UsageError, run_main

_NETWORKS = flags.DEFINE_list("networks", ["hourglass", "ssd300"], "hourglass, ssd300, ssd512.")
_FORWARD = flags.DEFINE_list("forward_batches", ["1", "8"], "Batch sizes of inference.")
_TRAIN = flags.DEFINE_list("train_batches", ["4"], "Batch sizes of the training step.")
_DTYPE = flags.DEFINE_enum("dtype", "float32", ["float32", "bfloat16"], "Of the computation.")
_ROUNDS = flags.DEFINE_integer("rounds", 5, "Alternating rounds.", lower_bound=1)
_CALLS = flags.DEFINE_integer("calls", 1, "Calls of each in a round.", lower_bound=1)
_THREADS = flags.DEFINE_integer("threads", os.cpu_count(), "CPU threads.", lower_bound=1)
_COMPILE = flags.DEFINE_bool("torch_compile", True, "Race torch.compile too.")
_WIDTH = flags.DEFINE_float("width", 1.0, "Share of all channels; below 1 for a trial.")
_OUTPUT = flags.DEFINE_string("output", None, "JSON file of the medians, after every race.")

TWIN_SETTINGS = ("torch", "torch channels_last", "torch.compile")


def main(argv: list[str]) -> None:
    """Time every pair and print a table."""
    if len(argv) > 1:
        raise UsageError(f"unexpected {argv[1:]} (see --help)")
    if unknown := set(_NETWORKS.value) - set(SIDES):
        raise UsageError(f"unknown network {', '.join(unknown)}; use {', '.join(SIDES)}")
    if importlib.util.find_spec("torch") is None:
        raise UsageError("PyTorch is not installed here: pip install torch")
    races: list[Race] = [
        (network, mode, int(batch), _DTYPE.value, _WIDTH.value)
        for network in _NETWORKS.value
        for mode, batches in (("forward", _FORWARD.value), ("train", _TRAIN.value))
        for batch in batches
    ]
    ours, twin = (Side(serve, _THREADS.value) for serve in (serve_ours, serve_twin))
    print(f"{ours.hardware}; {twin.hardware}; random weights and pictures", flush=True)
    if ours.hardware.startswith("gpu") and "cuda" not in twin.hardware:
        raise UsageError("jax sees a GPU, PyTorch none: install PyTorch with CUDA")
    sides = {"jaxpose": ours} | dict.fromkeys(TWIN_SETTINGS[: 2 + _COMPILE.value], twin)
    rows: list[dict[str, Any]] = []
    for race in races:
        ours.release()
        twin.release()
        seconds, problems = alternating(sides, race)
        rows.append(dict(zip(("network", "mode", "batch", "dtype"), race, strict=False)))
        rows[-1] |= {"seconds": seconds, "problems": problems}
        if _OUTPUT.value:
            write_json(_OUTPUT.value, {"threads": _THREADS.value, "rows": rows})
    ours.close()
    twin.close()
    print("\n".join(table(rows)))


def alternating(sides: Mapping[str, Side], race: Race) -> tuple[dict[str, float], dict[str, str]]:
    """Median seconds of a call of each setting, and what those that failed say."""
    seconds: dict[str, list[float]] = {}
    problems: dict[str, str] = {}
    name = " ".join(map(str, race[:3]))

    for setting, side in tqdm(sides.items(), desc=f"{name}: warming up", leave=False):
        try:
            problem = side.prepare(setting, race)
        except JaxposeError as error:
            problem = str(error)
        if problem:
            problems[setting] = problem
        else:
            seconds[setting] = []
    for _ in tqdm(range(_ROUNDS.value), desc=name, leave=False):
        for setting in list(seconds):
            try:
                seconds[setting] += sides[setting].seconds(setting, _CALLS.value)
            except JaxposeError as error:
                problems[setting] = str(error)
                del seconds[setting]
    return {setting: float(np.median(times)) for setting, times in seconds.items()}, problems


def table(rows: list[dict[str, Any]]) -> list[str]:
    """Markdown: medians in ms a call, and our images/s over those of PyTorch's best setting."""
    lines = ["| network | mode | batch | dtype | jaxpose | PyTorch's best | ratio | all, ms |"]
    lines.append("|---|---|---|---|---|---|---|---|")
    for row in rows:
        ours = row["seconds"].get("jaxpose")
        rivals = {name: s for name, s in row["seconds"].items() if name != "jaxpose"}
        best = min(rivals, key=rivals.__getitem__) if rivals else None
        theirs = f"{1e3 * rivals[best]:.0f} ms ({best})" if best else "none ran"
        ratio = f"{rivals[best] / ours:.2f}" if best and ours else "-"
        each = ", ".join(f"{name} {1e3 * s:.0f}" for name, s in rivals.items())
        each += "".join(f"; {name} failed: {why}" for name, why in row["problems"].items())
        cells = [row["network"], row["mode"], row["batch"], row["dtype"]]
        cells += [f"{1e3 * ours:.0f} ms" if ours else "failed", theirs, ratio, each]
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    return lines


if __name__ == "__main__":
    run_main(main)
