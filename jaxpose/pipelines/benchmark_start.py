"""How long a command takes until it has written something."""

import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from jaxpose.errors import JaxposeError

_POLL_SECONDS = 0.02


def seconds_until_written(
    command: Sequence[str],
    file: Path,
    log: Path,
    environment: Mapping[str, str] | None = None,
    timeout: float = 3600.0,
) -> float:
    """Seconds from starting a command to the first bytes of a file; the command is ended then.

    Args:
      command: program and arguments.
      file: that it writes.
      log: takes what it prints.
      environment: of the command; this process's without.
      timeout: seconds.

    Raises:
      JaxposeError: the command ended, or the time was over, before.
    """
    with log.open("w") as output:
        started = time.perf_counter()
        process = subprocess.Popen(
            command, env=environment, stdout=output, stderr=subprocess.STDOUT
        )
        try:
            while not (file.exists() and file.stat().st_size):
                if process.poll() is not None:
                    why = last_line(log.read_text())
                    raise JaxposeError(f"{file} was not written; the command ended with: {why}")
                if time.perf_counter() - started > timeout:
                    raise JaxposeError(f"{file} was not written in {timeout:g} s")
                time.sleep(_POLL_SECONDS)
            return time.perf_counter() - started
        finally:
            process.kill()
            process.wait()


def last_line(text: str) -> str:
    """The last line that is not empty."""
    return (text.strip().splitlines() or ["nothing was said"])[-1]
