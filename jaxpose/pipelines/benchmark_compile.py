"""Compile a program and tell what that took and what XLA counts in it."""

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
from jax import monitoring

# Of jax._src.dispatch and jax._src.compiler; the first comes also where the cache answers.
_COMPILED, _ANSWERED = "/jax/core/compile/backend_compile_duration", "cache_hits"


class Compilations:
    """Counts the programs that are compiled while this context is open, in any thread.

    Attributes:
      programs: how many, `answered` ones included.
      answered: how many of them the persistent cache had.
      seconds: time of all.
    """

    def __init__(self) -> None:
        self.programs, self.answered, self.seconds = 0, 0, 0.0

    def _duration(self, event: str, duration_secs: float, **more: Any) -> None:
        del more
        if event == _COMPILED:
            self.programs += 1
            self.seconds += duration_secs

    def _event(self, event: str, **more: Any) -> None:
        del more
        self.answered += event.endswith(_ANSWERED)

    def __enter__(self) -> "Compilations":
        monitoring.register_event_duration_secs_listener(self._duration)
        monitoring.register_event_listener(self._event)
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        monitoring.unregister_event_duration_listener(self._duration)
        monitoring.unregister_event_listener(self._event)


class Program(NamedTuple):
    """A compiled program.

    Attributes:
      run: the executable.
      trace_seconds: from Python to what XLA is given; compile_seconds: of XLA.
      cache: whether the persistent cache had it: 'hit', 'miss', or 'off'.
      flops: of one call on one device, as XLA counts in what it is given (`asked_flops`); what it
        compiles may pad, repeat or hide some. Those of the model: what rematerialisation computes
        again counts once. None where nobody counts.
      flops_of: 'lowered' program, that is what XLA is given, or the 'compiled' one where only that
        is counted.
      flops_compiled, bytes_accessed: XLA's counts in what it compiled, where a loop counts once.
      planned_memory_bytes: arguments, results and temporaries on one device, as XLA plans.
    """

    run: jax.stages.Compiled
    trace_seconds: float
    compile_seconds: float
    cache: str
    flops: float | None
    flops_of: str
    flops_compiled: float | None
    bytes_accessed: float | None
    planned_memory_bytes: int | None

    def figures(self) -> dict[str, Any]:
        """Everything but the executable, for JSON."""
        return {name: value for name, value in self._asdict().items() if name != "run"}


def build(
    step: jax.stages.Wrapped,
    *arguments: Any,
    devices: int = 1,
    count: Callable[[], float | None] = lambda: None,
    repeats: bool = False,
) -> Program:
    """Compile a jitted function for arguments that may be abstract.

    Args:
      step, arguments: the call.
      devices: that share it.
      count: FLOPs of the whole call, asked where this platform's client does not count them before
        it compiles (as those of GPUs and TPUs do not), and where the program repeats some.
      repeats: whether it computes something twice by design, so that only `count` is the model's.
    """
    started = time.perf_counter()
    traced = step.trace(*arguments)
    lowered = traced.lower()
    ready = time.perf_counter()
    with Compilations() as compilations:
        compiled = lowered.compile()
    took = time.perf_counter() - ready
    settings: Any = jax.config
    cache = "hit" if compilations.answered else "miss"
    if not (settings.jax_compilation_cache_dir and settings.jax_enable_compilation_cache):
        cache = "off"
    asked, found = (None if repeats else asked_flops(traced)) or count(), counts(compiled)
    return Program(
        run=compiled,
        trace_seconds=ready - started,
        compile_seconds=took,
        cache=cache,
        flops=asked / devices if asked else None if repeats else found.get("flops"),
        flops_of="lowered" if asked else "compiled",
        flops_compiled=found.get("flops"),
        bytes_accessed=found.get("bytes accessed"),
        planned_memory_bytes=_memory(compiled),
    )


def asked_flops(traced: jax.stages.Traced) -> float | None:
    """FLOPs of all devices before XLA optimises: those of the model, the same on any hardware.

    Every output element of an operation is one, a multiplication with its addition two; positions
    of a convolution that fall on padding or between dilated elements are none. A loop counts once,
    so it is the program for a TPU that is counted: that for a CPU has loops in its gradients
    (`models.convolution`).
    """
    return counts(traced.lower(lowering_platforms=("tpu",))).get("flops")


def counts(stage: jax.stages.Lowered | jax.stages.Compiled) -> dict[str, float]:
    """XLA's cost analysis: name -> positive number. Empty where there is none."""
    found: Any = stage.cost_analysis() or {}
    if isinstance(found, (list, tuple)):  # a dict for each computation, on some backends
        found = found[0] if found else {}
    return {name: value for name, value in found.items() if value > 0}


def _memory(compiled: jax.stages.Compiled) -> int | None:
    plan: Any = compiled.memory_analysis()
    if plan is None:
        return None
    return int(
        plan.argument_size_in_bytes
        + plan.output_size_in_bytes
        - plan.alias_size_in_bytes
        + plan.temp_size_in_bytes
    )
