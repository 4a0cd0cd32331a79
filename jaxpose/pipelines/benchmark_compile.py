"""Compile a program and tell what that took and what XLA counts in it."""

import time
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
from jax import monitoring

# Of jax._src.dispatch and jax._src.compiler; the first comes also where the cache answers.
_COMPILED, _ANSWERED = "/jax/core/compile/backend_compile_duration", "cache_hits"
# Where the compiled program holds less than this share of the FLOPs that were asked for, its
# kernels are of a kind that XLA does not count (cuDNN's, on some versions).
_COUNTED = 0.8


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
      flops, bytes_accessed: of one call on one device, as XLA counts; None where it does not.
      flops_of: 'compiled' program, or the 'lowered' one before optimisation where that tells more.
      planned_memory_bytes: arguments, results and temporaries on one device, as XLA plans.
    """

    run: jax.stages.Compiled
    trace_seconds: float
    compile_seconds: float
    cache: str
    flops: float | None
    bytes_accessed: float | None
    flops_of: str
    planned_memory_bytes: int | None

    def figures(self) -> dict[str, Any]:
        """Everything but the executable, for JSON."""
        return {name: value for name, value in self._asdict().items() if name != "run"}


def build(step: jax.stages.Wrapped, *arguments: Any, devices: int = 1) -> Program:
    """Compile a jitted function for arguments that may be abstract, on so many devices."""
    started = time.perf_counter()
    lowered = step.lower(*arguments)
    traced = time.perf_counter()
    with Compilations() as compilations:
        compiled = lowered.compile()
    took = time.perf_counter() - traced
    settings: Any = jax.config
    cache = "hit" if compilations.answered else "miss"
    if not (settings.jax_compilation_cache_dir and settings.jax_enable_compilation_cache):
        cache = "off"
    counted = compiled.cost_analysis() or {}
    flops, whose = flops_of(counted, lowered.cost_analysis() or {}, devices)
    reached = counted.get("bytes accessed")
    return Program(
        compiled, traced - started, took, cache, flops, reached, whose, _memory(compiled)
    )


def flops_of(
    compiled: Mapping[str, float], lowered: Mapping[str, float], devices: int
) -> tuple[float | None, str]:
    """FLOPs of one device from XLA's two analyses, and which one they are of.

    The lowered program is whole; the compiled one is one device's share.
    """
    asked = max(lowered.get("flops", 0.0), 0.0) / devices
    found = max(compiled.get("flops", 0.0), 0.0)
    if found < _COUNTED * asked:
        return asked, "lowered"
    return found or None, "compiled"


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
