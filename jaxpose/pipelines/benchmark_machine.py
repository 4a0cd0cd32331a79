"""What a benchmark ran on, and how much memory it took."""

import platform
import resource
import sys
from pathlib import Path
from typing import Any

import jax

import jaxpose
from jaxpose.data.parallel import available_cores

DEVICE, PROCESS = "device", "process"


def machine() -> dict[str, Any]:
    """Hardware and versions, for JSON."""
    device = jax.devices()[0]
    return {
        "platform": device.platform,
        "device": device.device_kind,
        "devices": jax.device_count(),
        "processes": jax.process_count(),
        "cpu": _cpu_name(),
        "cores": available_cores(),
        "jaxpose": jaxpose.__version__,
        "jax": jax.__version__,
        "python": platform.python_version(),
        "system": platform.system(),
    }


def hardware(made: dict[str, Any]) -> str:
    """One line about `machine()`."""
    cpu = f"{made['cpu']}, {made['cores']} cores"
    if made["platform"] == "cpu":
        devices = f" as {made['devices']} devices" if made["devices"] > 1 else ""
        return f"{cpu}{devices}; jax {made['jax']}"
    return f"{made['devices']} x {made['device']}; {cpu}; jax {made['jax']}"


class MemoryWatch:
    """How much memory was in use at most while this existed.

    Neither the device's counter nor that of the process can be set back: what was needed before
    may be more than what is needed now.
    """

    def __init__(self) -> None:
        self._before, _ = peak_memory()

    def figures(self) -> dict[str, Any]:
        """The most so far, whose memory it is, and whether it is only an upper bound."""
        now, whose = peak_memory()
        return {
            "peak_memory_bytes": now,
            "peak_memory_of": whose,
            "peak_memory_is_bound": now == self._before,
        }


def peak_memory() -> tuple[int, str]:
    """Most bytes in use since the process began: of the fullest local device, else the process."""
    stats = [device.memory_stats() or {} for device in jax.local_devices()]
    peaks = [one["peak_bytes_in_use"] for one in stats if "peak_bytes_in_use" in one]
    if peaks:
        return max(peaks), DEVICE
    # Kilobytes, but on macOS bytes (getrusage(2) of either).
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit, PROCESS


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
