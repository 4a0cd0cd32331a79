"""Race our input pipeline against a PyTorch DataLoader: tools/compare_loader.py --config=FILE

Both read the photographs of the config's first training set, with cv2, in alternating windows on an
otherwise idle host. The DataLoader's twin runs twice: `decode` does the same work as our pipeline;
`augment` does on the host what our training step does on the device, as is usual in PyTorch. Its
photographs are in memory; ours are read from disk. Images a second and core are those of a second
of processor time of one process; the DataLoader's workers only count in images a second of all
cores. Needs records of --format=shards and `pip install torch`.
"""

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from itertools import cycle, islice
from pathlib import Path
from statistics import median
from typing import Any

from absl import flags

from jaxpose.config import define_config_flag, loaded_config
from jaxpose.errors import UsageError, run_main

_CONFIG = define_config_flag()
_WORKDIR = flags.DEFINE_string("workdir", "runs/compare_loader", "Where drawn people are kept.")
_SAMPLES = flags.DEFINE_integer("samples", 2000, "Photographs that the twin holds.", 1)
_ROUNDS = flags.DEFINE_integer("rounds", 5, "Alternating windows of each.", 1)
_SECONDS = flags.DEFINE_float("seconds", 2.0, "Of a window.", 0.0)
_OUTPUT = flags.DEFINE_string("output", None, "Write all windows there as JSON.")

_AHEAD = 4  # batches that wait when a window begins, and are not counted
Batches = Iterator[Mapping[str, Any]]


def main(argv: list[str]) -> None:
    """Time all contenders and print a table."""
    if len(argv) > 1:
        raise UsageError(f"unexpected {argv[1:]} (see --help)")
    config, _ = loaded_config(_CONFIG)
    if config.data.source != "shards":
        raise UsageError("the twin reads npz shards: give --config.data.source=shards")
    config.data.train, config.data.weights = config.data.train[:1], ()
    from jaxpose.data.parallel import available_cores
    from jaxpose.pipelines.prepare import prepare_records

    records, cores = prepare_records(config, Path(_WORKDIR.value)), available_cores()
    print(f"{records.describe()}; batches of {config.batch_size}, {cores} cores", flush=True)
    twins = {
        f"{name}, {workers} workers": twin_batches(records, name, workers)
        for name in ("decode", "augment")
        for workers in (0, cores)
    }
    with closing(records.train(0)) as ours:  # type: ignore[type-var]  # a generator
        rows = raced({"jaxpose": ours} | twins)
    print("\n".join(table(rows)))
    if _OUTPUT.value:
        Path(_OUTPUT.value).write_text(json.dumps({"cores": cores, "windows": rows}, indent=2))


def twin_batches(records: Any, name: str, workers: int) -> Batches:
    """Endless batches of a DataLoader that shuffles."""
    import loader_twin
    import torch
    from torch.utils.data import DataLoader

    torch.set_num_threads(1)  # as in its workers; more would only spin
    config, manifest = records.config, records.train_sets[0]
    most = max(_SAMPLES.value, config.batch_size)
    samples = loader_twin.samples_of(manifest, config.data.train_split, most)
    if name == "decode":
        dataset = loader_twin.Canvases(samples, manifest.canvas)
    else:
        dataset = loader_twin.Augmented(samples, manifest.canvas, tuple(config.input_size))
    loader = DataLoader(
        dataset,
        config.batch_size,
        shuffle=True,
        drop_last=True,
        num_workers=workers,
        persistent_workers=workers > 0,
        worker_init_fn=loader_twin.one_thread if workers else None,
        multiprocessing_context="spawn" if workers else None,  # threads of ours may be running
    )
    return (batch for epoch in cycle([loader]) for batch in epoch)


def raced(contenders: Mapping[str, Batches]) -> dict[str, list[dict[str, float]]]:
    """Windows of each contender, taken in turns after one each to warm up."""
    rows: dict[str, list[dict[str, float]]] = {name: [] for name in contenders}
    for number in range(_ROUNDS.value + 1):
        for name, batches in contenders.items():
            taken = window(batches)
            if number:
                rows[name].append(taken)
    return rows


def window(batches: Batches) -> dict[str, float]:
    """Images a second, and a second of this process's processor time, over some time."""
    for _ in islice(batches, _AHEAD):
        pass
    images, began, cpu = 0, time.perf_counter(), time.process_time()
    while not images or time.perf_counter() - began < _SECONDS.value:
        images += len(next(batches)["image"])
    spent = time.process_time() - cpu
    return {"images_per_second": images / (time.perf_counter() - began), "per_core": images / spent}


def table(rows: Mapping[str, list[dict[str, float]]]) -> list[str]:
    """Markdown: medians, and the lowest and highest window."""
    lines = ["| pipeline | images/s, all cores | images/s per core |", "|---|---|---|"]
    for name, windows in rows.items():
        cells = []
        for key in ("images_per_second", "per_core"):
            values = [one[key] for one in windows]
            cells.append(f"{median(values):.0f} ({min(values):.0f} to {max(values):.0f})")
        # Workers are processes of their own, whose processor time this one does not see.
        by_workers = not name.endswith((" 0 workers", "jaxpose"))
        lines.append(f"| {name} | {cells[0]} | {'-' if by_workers else cells[1]} |")
    return lines


if __name__ == "__main__":
    run_main(main)
