"""Stopping a run: by a signal, after the step that is running, and by a watchdog when it hangs."""

import atexit
import faulthandler
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any, TypeVar

import jax
from jax.experimental import multihost_utils

from jaxpose.errors import PreemptedError

Result = TypeVar("Result")

_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)
_POLL_SECONDS = 0.05


class StoppedError(PreemptedError):
    """A signal came during a long native call; nothing of this call was kept."""


class StopRequest:
    """Context manager that turns SIGTERM, SIGINT and SIGUSR1 into a flag to look at.

    A second signal ends the process at once with 128 + its number. Enter it in the main thread,
    after `jax.distributed.initialize()` where that is used: jax then keeps SIGTERM for itself (its
    preemption notice reaches every process) and the other signals are passed on as SIGTERM, so
    that all processes stop after the same step whichever of them was told.
    """

    def __init__(self) -> None:
        self.reason = ""
        self._signal: int | None = None
        self._previous: dict[int, Any] = {}
        self._distributed = False
        self._abandoned: threading.Thread | None = None
        self._exit_code = PreemptedError.exit_code

    def __enter__(self) -> "StopRequest":
        self._distributed = jax.distributed.is_initialized()
        for number in _SIGNALS:
            if not (self._distributed and number == signal.SIGTERM):
                self._previous[number] = signal.signal(number, self._handle)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, handler in self._previous.items():
            # None: installed by C code, which Python cannot put back.
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        self._previous.clear()
        self._exit_code = 0 if error is None else getattr(error, "exit_code", 1)

    def abandon(self, thread: threading.Thread) -> None:
        """Do not wait for this thread when the process ends, with the code of its last error."""
        self._abandoned = thread
        atexit.register(self._leave)

    def _leave(self) -> None:
        # A thread that returns from native code while the interpreter is being torn down aborts
        # the process (code 134), so that teardown is left out.
        if self._abandoned is not None and self._abandoned.is_alive():
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(self._exit_code)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        # os.write, because print is not reentrant and this may interrupt one.
        name = signal.Signals(number).name
        if self._signal is not None:
            os.write(2, f"\n{name} again: leaving at once, nothing more is saved\n".encode())
            os._exit(128 + number)
        self._signal, self.reason = number, name
        os.write(2, f"\n{name}: stopping after this step (again: at once)\n".encode())
        if self._distributed:
            os.kill(os.getpid(), signal.SIGTERM)

    def requested(self, step: int | None = None) -> bool:
        """Whether to stop now, after training step `step` of all processes.

        Under jax.distributed every process must call this with every step, and all of them get
        True at the same one; without a step (inside evaluation, say) the answer is then False.
        """
        if not self._distributed:
            return self._signal is not None
        if step is None or not multihost_utils.reached_preemption_sync_point(step):
            return False
        self.reason = self.reason or "SIGTERM"
        self._signal = self._signal or signal.SIGTERM
        # jax has had its notice; from here on a second SIGTERM ends the process at once.
        self._previous.setdefault(signal.SIGTERM, signal.signal(signal.SIGTERM, self._handle))
        return True


def run_interruptible(function: Callable[[], Result], stop: StopRequest) -> Result:
    """Return `function()`, a long native call such as the first compilation; stop while it runs.

    Python handles signals between bytecodes of the main thread only, so a compilation there would
    delay the stop to its end. Here it runs in a thread of its own. Contexts that are local to a
    thread (meshes, default devices) must be entered by `function` itself.

    Raises StoppedError within about 0.1 s of the signal; the abandoned thread goes on until the
    process ends, which does not wait for it. Under jax.distributed the call is not interrupted:
    processes can only stop together, after a step.
    """
    if jax.distributed.is_initialized():
        return function()
    results: list[Result] = []
    errors: list[BaseException] = []
    done = threading.Event()

    def work() -> None:
        try:
            results.append(function())
        except BaseException as error:
            errors.append(error)
        finally:
            done.set()

    thread = threading.Thread(target=work, name="interruptible call", daemon=True)
    thread.start()
    while not done.wait(_POLL_SECONDS):
        if stop.requested():
            stop.abandon(thread)
            raise StoppedError(f"stopped by {stop.reason} before the first step; nothing was lost")
    if errors:
        raise errors[0]
    return results[0]


class Watchdog:
    """Ends a process that makes no progress, with the stacks of all its threads on stderr.

    A rank that is stuck in a collective or a loader blocked on a dead disk would otherwise wait for
    ever in silence. Usage: `with Watchdog(600) as watchdog:` and `watchdog.beat("step")` in the
    loop. Seconds of 0 switch it off.
    """

    def __init__(self, seconds: float, exit_code: int = 1) -> None:
        self._seconds = seconds
        self._exit_code = exit_code
        self._over = threading.Event()
        self._beat = ("start", time.monotonic(), seconds, exit_code)

    def beat(self, phase: str, seconds: float | None = None, exit_code: int | None = None) -> None:
        """Tell that `phase` begins; the next beat is due within `seconds` (default: as made).

        `exit_code` is what the process ends with if it hangs in this phase.
        """
        limit = self._seconds if seconds is None else seconds
        code = self._exit_code if exit_code is None else exit_code
        self._beat = (phase, time.monotonic(), limit, code)

    def __enter__(self) -> "Watchdog":
        if self._seconds > 0:
            threading.Thread(target=self._watch, name="watchdog", daemon=True).start()
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        self._over.set()
        faulthandler.cancel_dump_traceback_later()

    def _watch(self) -> None:
        pause = min(1.0, self._seconds / 10)
        while not self._over.wait(pause):
            phase, since, limit, code = self._beat
            left = since + limit - time.monotonic()
            # faulthandler's own C thread, for the case that native code keeps the interpreter's
            # lock and this thread never runs again.
            faulthandler.dump_traceback_later(max(left, 0) + 10, exit=True, file=2)
            if self._over.is_set():  # perhaps before it was armed: nobody else would disarm it
                faulthandler.cancel_dump_traceback_later()
                return
            if left <= 0:
                _end(f"watchdog: no progress in {limit:g} s (phase: {phase}); stacks below", code)


def _end(message: str, code: int) -> None:
    os.write(2, f"error: {message}\n".encode())
    faulthandler.dump_traceback(file=2, all_threads=True)
    os._exit(code)
