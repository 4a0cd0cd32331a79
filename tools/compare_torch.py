"""Race our networks against their PyTorch twins: python tools/compare_torch.py

Both compute the same networks with random weights on the same device: inference, and a training
step (forward, loss, backward, optimizer) with the same simple loss on given targets, so without
augmentation and matching. Runs alternate; ratios are of the medians. Our inference has BatchNorm
folded into convolutions, as the estimator runs it. PyTorch is run as it comes (NCHW), with
channels_last, and with torch.compile (which needs a C++ compiler on the CPU, and folds BatchNorm
too where the environment has TORCHINDUCTOR_FREEZING=1); its best setting counts. Threads of either
are those that --threads allows.
"""

import os
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from absl import flags
from tqdm import tqdm

from jaxpose.annotations.json_files import write_json
from jaxpose.errors import UsageError, run_main

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

Call = Callable[[], None]  # runs once and waits for the device


def main(argv: list[str]) -> None:
    """Time every pair and print a table."""
    if len(argv) > 1:
        raise UsageError(f"unexpected {argv[1:]} (see --help)")
    races = [
        (network, mode, int(batch))
        for network in _NETWORKS.value
        for mode, batches in (("forward", _FORWARD.value), ("train", _TRAIN.value))
        for batch in batches
    ]
    # XLA's threads follow the processors that the process may use when it starts.
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: _THREADS.value])
    import race_contenders  # after the line above, as it imports jax

    rows, options = [], (_DTYPE.value, _WIDTH.value)
    print(race_contenders.hardware(_THREADS.value), flush=True)
    for network, mode, batch in races:
        race_contenders.release()
        calls = {"jaxpose": race_contenders.ours(network, mode, batch, *options)}
        for setting in ("torch", "torch channels_last", "torch.compile")[: 2 + _COMPILE.value]:
            calls[setting] = race_contenders.torch_twin(setting, network, mode, batch, *options)
        seconds, problems = alternating(calls, f"{network} {mode} {batch}")
        rows.append({"network": network, "mode": mode, "batch": batch, "dtype": _DTYPE.value})
        rows[-1] |= {"seconds": seconds, "problems": problems}
        if _OUTPUT.value:
            write_json(_OUTPUT.value, {"threads": _THREADS.value, "rows": rows})
        calls.clear()
    print("\n".join(table(rows)))


def alternating(calls: Mapping[str, Call], name: str) -> tuple[dict[str, float], dict[str, str]]:
    """Median seconds of a call of each, and what those that failed in warming up say."""
    seconds: dict[str, list[float]] = {}
    problems: dict[str, str] = {}
    for contender, call in tqdm(calls.items(), desc=f"{name}: warming up", leave=False):
        try:
            call()
            call()
        except Exception as error:  # torch.compile fails in many ways; either may lack memory
            problems[contender] = str(error).strip().splitlines()[-1][:200]
        else:
            seconds[contender] = []
    for _ in tqdm(range(_ROUNDS.value), desc=name, leave=False):
        for contender, times in seconds.items():
            for _ in range(_CALLS.value):
                start = time.perf_counter()
                calls[contender]()
                times.append(time.perf_counter() - start)
    return {contender: float(np.median(times)) for contender, times in seconds.items()}, problems


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
