"""Runs the commands that make tables, one after the other, each in a process of its own."""

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from jaxpose.errors import PreemptedError, SomeInputsFailedError
from jaxpose.pipelines.table_commands import Command

_TIMES = "times.jsonl"
_LAST_LINES = 5


def execute(commands: Sequence[Command], folder: Path, repository: Path) -> None:
    """Run commands; what each prints goes to `folder`/logs, its times to `folder`/times.jsonl.

    Compiled programs are kept in `folder`/compiled unless JAX_COMPILATION_CACHE_DIR says where.

    Raises:
      SomeInputsFailedError: a command failed: its last lines and the file of all of them.
      PreemptedError: it was stopped and saved its state.
    """
    logs = folder / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    first = 1 + len(list(logs.glob("*.log")))
    for place, command in enumerate(commands):
        print(f"[{place + 1}/{len(commands)}] {command.text}", flush=True)
        log = logs / f"{first + place:03d}_{phase_of(command).replace(' ', '_')}.log"
        with timed(folder, phase_of(command), command.text) as clock:
            code = _run(command, log, folder, repository)
        if code == PreemptedError.exit_code:
            raise PreemptedError("stopped and saved; the same command goes on from here")
        if code:
            raise SomeInputsFailedError(
                f"the command above ended with code {code}; all it said is in {log}; it ended: "
                + " | ".join(log.read_text(errors="replace").splitlines()[-_LAST_LINES:])
            )
        print(f"    {clock.text}", flush=True)


def _run(command: Command, log: Path, folder: Path, repository: Path) -> int:
    environment = {"JAX_COMPILATION_CACHE_DIR": str((folder / "compiled").absolute())}
    environment |= {"JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "1"} | os.environ
    paths = [str(repository.absolute()), os.environ.get("PYTHONPATH", "")]
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
    with log.open("w") as output:
        done = subprocess.run(
            [sys.executable, *command.words],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environment,
            check=False,
        )
    return done.returncode


class timed:  # noqa: N801  used like a function
    """Measures what happens inside, child processes included, and writes it down at the end.

    Attributes:
      text: wall and processor time, in words, after the end.
    """

    def __init__(self, folder: Path, phase: str, what: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._file, self._row = folder / _TIMES, {"phase": phase, "what": what}
        self.text = ""

    def __enter__(self) -> "timed":
        self._wall, self._processor = time.perf_counter(), _processor_seconds()
        return self

    def __exit__(self, *error: object) -> None:
        wall = time.perf_counter() - self._wall
        processor = _processor_seconds() - self._processor
        self.text = f"{wall:.0f} s, {processor:.0f} s of processor time"
        row = self._row | {"seconds": round(wall, 2), "processor_seconds": round(processor, 2)}
        with self._file.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")


def _processor_seconds() -> float:
    own, children = (resource.getrusage(who) for who in _WHO)
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


_WHO = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)


def phase_of(command: Command) -> str:
    """What kind of work a command is."""
    words = command.words
    if words[0] != "-m":
        return "records"
    if words[1].endswith("evaluate"):
        return "score detectors" if words[2].startswith("--workdir") else "score systems"
    return "train"


def time_lines(folder: Path) -> list[str]:
    """Time by phase, summed over all calls so far."""
    if not (folder / _TIMES).is_file():
        return []
    rows = [json.loads(line) for line in (folder / _TIMES).read_text().splitlines()]
    lines = [f"{'phase':18}{'count':>6}{'seconds':>9}{'processor s':>13}"]
    for phase in [*dict.fromkeys(row["phase"] for row in rows), ""]:
        own = [row for row in rows if phase in ("", row["phase"])]
        wall, processor = (
            sum(row[name] for row in own) for name in ("seconds", "processor_seconds")
        )
        lines.append(f"{phase or 'together':18}{len(own):6}{wall:9.0f}{processor:13.0f}")
    return lines
