"""The two processes of tools/compare_torch.py: one computes with jax, the other with PyTorch.

Apart, so that neither meets the other's threads, and what ends one (memory) leaves the other.
Memory that one gave back is still dearer for the other to touch again than its own: on two CPU
cores our hourglass's training step takes 10 s between PyTorch's calls and 7 to 8 without them.
"""

import multiprocessing
import os
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

from jaxpose.errors import JaxposeError

Race = tuple[str, str, int, str, float]  # network, mode, batch size, dtype, share of all channels


class Side:
    """A process that computes what it is told, while others wait.

    Args:
      serve: `serve_ours` or `serve_twin`.
      threads: of a CPU.

    All but `close` raise JaxposeError where the process has ended.
    """

    def __init__(self, serve: Callable[[Connection, int], None], threads: int) -> None:
        self._serve, self._threads = serve, threads
        self.hardware = self._start()

    def prepare(self, setting: str, race: Race) -> str:
        """Compile and warm up; what went wrong, or ''."""
        return self._ask("prepare", setting, race)

    def seconds(self, setting: str, calls: int) -> list[float]:
        """Of each of some calls of what was prepared."""
        return self._ask("time", setting, calls)

    def release(self) -> None:
        """Forget everything that was prepared; starts again a process that died."""
        if not self._process.is_alive():
            self._start()
        self._ask("release")

    def close(self) -> None:
        """End the process."""
        self._connection.close()
        self._process.join(10)
        self._process.kill()

    def _start(self) -> str:
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(
            target=self._serve, args=(theirs, self._threads), daemon=True
        )
        self._process.start()
        theirs.close()
        try:
            return self._connection.recv()
        except EOFError as error:
            raise self._ended() from error

    def _ask(self, *order: Any) -> Any:
        try:
            self._connection.send(order)
            return self._connection.recv()
        except (EOFError, ConnectionError) as error:
            raise self._ended() from error

    def _ended(self) -> JaxposeError:
        self._process.join(10)
        code = self._process.exitcode
        return JaxposeError(f"its process ended with exit code {code} (out of memory?)")


def serve_ours(connection: Connection, threads: int) -> None:
    """Race with jax until the connection ends."""
    # XLA's threads follow the processors that the process may use when it starts.
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # PyTorch shares the memory
    import race_ours  # after the lines above, as it imports jax

    _serve(connection, race_ours, threads)


def serve_twin(connection: Connection, threads: int) -> None:
    """Race with PyTorch until the connection ends."""
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
    import race_twin

    _serve(connection, race_twin, threads)


def _serve(connection: Connection, side: Any, threads: int) -> None:
    connection.send(side.hardware(threads))
    calls: dict[str, Callable[[], None]] = {}
    while True:
        try:
            order, *given = connection.recv()
        except EOFError:
            return
        if order == "release":
            calls.clear()
            connection.send(side.release())
        elif order == "prepare":
            connection.send(_prepared(side, calls, *given))
        else:
            connection.send(_seconds(calls[given[0]], given[1]))


def _prepared(side: Any, calls: dict[str, Callable[[], None]], setting: str, race: Race) -> str:
    try:
        call = side.contender(setting, *race)
        call()
        call()
    except Exception as error:  # torch.compile fails in many ways; either may lack memory
        return (str(error).strip() or type(error).__name__).splitlines()[-1][:200]
    calls[setting] = call
    return ""


def _seconds(call: Callable[[], None], count: int) -> list[float]:
    times = []
    for _ in range(count):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return times
