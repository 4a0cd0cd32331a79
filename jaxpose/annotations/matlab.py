"""Matlab files, parsed in a child process with a memory and a time limit."""

import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import IO, Any

from jaxpose.errors import DataError

# A file of the size of MPII's release (25,000 images) takes 13 s, 0.6 GB and 60 MB of output.
MEMORY_BYTES = 8 * 1024**3
TIMEOUT_SECONDS = 300
OUTPUT_BYTES = 2 * 1024**3

_CHILD = Path(__file__).with_name("matlab_child.py")


def load_matlab(
    path: str | Path, memory: int = MEMORY_BYTES, timeout: int = TIMEOUT_SECONDS
) -> dict[str, Any]:
    """The variables of a .mat file (format 5 to 7) as plain values.

    Structs are dicts, arrays and cells lists, chars strings. Dimensions of length 1 are dropped,
    so what was one struct or an array of one struct is a dict; see `as_list`. NaN is kept.

    Args:
      path: the file.
      memory: bytes of address space for the child process.
      timeout: seconds after which the child is killed.

    Raises:
      DataError: the file is missing, is no Matlab file, is of format 7.3, is damaged (even where
        that crashes the reader), or needs more memory or time than allowed.
    """
    if not Path(path).is_file():
        raise DataError(f"{path}: no such Matlab file")
    with tempfile.TemporaryFile() as output:
        _run_child(Path(path), memory, timeout, output)
        output.seek(0)
        try:
            # Our own child wrote this: NaN is allowed, and the readers refuse it by record.
            return json.load(output)
        except (ValueError, RecursionError):
            raise DataError(f"{path}: damaged Matlab file, nothing usable came back") from None


def as_list(value: Any) -> list[Any]:
    """What Matlab may store as nothing, one value or an array of values, as a list."""
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def _run_child(path: Path, memory: int, timeout: int, output: IO[bytes]) -> None:
    limits = [str(memory), str(timeout), str(OUTPUT_BYTES)]
    # -P: nothing beside the script or in the current folder may shadow scipy or NumPy.
    command = [sys.executable, "-P", str(_CHILD), str(path.resolve()), *limits]
    # One BLAS thread: each reserves address space that counts against the limit.
    environment = os.environ | {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.PIPE,
            timeout=timeout,
            env=environment,
        )
    except subprocess.TimeoutExpired:
        raise DataError(f"{path}: reading this Matlab file took over {timeout} s") from None
    if done.returncode:
        raise DataError(f"{path}: Matlab file {_reason(done)}")


def _reason(done: "subprocess.CompletedProcess[bytes]") -> str:
    if done.returncode < 0:
        name = signal.Signals(-done.returncode).name
        return f"is damaged or too large, its reader died of {name}"
    lines = done.stderr.decode(errors="replace").strip().splitlines()
    return lines[-1][:200] if lines else f"cannot be read (code {done.returncode})"
