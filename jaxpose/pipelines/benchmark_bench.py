"""What the rows of one benchmark share, and the figures that they have in common."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jax
from jax.sharding import Mesh
from ml_collections import ConfigDict

from jaxpose.errors import UsageError
from jaxpose.pipelines.benchmark_compile import Program
from jaxpose.pipelines.benchmark_peaks import Peaks, measure_peaks
from jaxpose.pipelines.benchmark_timing import Budget, Timing, percentiles_ms
from jaxpose.pipelines.config_checks import check_config


@dataclass
class Bench:
    """One benchmark.

    Attributes:
      config: unlocked; what records or `completed` decide may be missing. None: predict without.
      mesh: all devices.
      budget: how much is measured.
      workdir: where drawn people are.
      phase: called with what is being done, for the progress line.
      data: what was measured on, in words; the rows set it.
    """

    config: ConfigDict | None
    mesh: Mesh
    budget: Budget
    workdir: Path
    phase: Callable[[str], object]
    data: str = ""
    _peaks: dict[str, Peaks] = field(default_factory=dict)

    def row_config(self, batch_size: int, dtype: str) -> ConfigDict:
        """The config of one row, whose batch size is that of training and evaluation alike.

        Raises:
          UsageError: a value that has no meaning.
        """
        assert self.config is not None
        config = self.config.copy_and_resolve_references()
        config.batch_size = config.eval.batch_size = batch_size
        config.model.dtype = dtype
        if "base_weights" in config.model:
            config.model.base_weights = ""  # a file that need not be at hand to measure
        check_config(config)
        settings: Any = jax.config
        if dtype == "float64" and not settings.jax_enable_x64:
            raise UsageError("float64 needs the environment variable JAX_ENABLE_X64=1")
        return config

    def peaks(self, dtype: str) -> Peaks:
        """The device's best rates; measured once for a dtype."""
        if dtype not in self._peaks:
            self.phase("measuring the device")
            self._peaks[dtype] = measure_peaks(dtype)
        return self._peaks[dtype]


def speed_figures(timing: Timing, images: int, devices: int) -> dict[str, Any]:
    """Images a second and latencies of a call on so many images (of all devices)."""
    return {
        "images_per_second": images / timing.seconds,
        "images_per_second_per_device": images / timing.seconds / devices,
        "window_images_per_second": [images / seconds for seconds in timing.windows],
        "latency_ms": percentiles_ms(timing.waited),
    }


def utilisation_figures(program: Program, seconds: float, peaks: Peaks) -> dict[str, Any]:
    """How much of the device's best rates a program used that took so many seconds.

    `mfu` is the model's FLOPs by XLA's count over seconds and the matrix product's FLOP/s: model
    FLOPs utilisation of PaLM (Chowdhery et al. 2022, appendix B) but for who counts, and against a
    rate that was measured. Rematerialisation adds to the seconds, not to the model's FLOPs.
    Bandwidth likewise, by the bytes of the compiled program, with all that it repeats.
    Both are of one device and its share of the work.
    """
    flops, reached = program.flops, program.bytes_accessed
    return {
        "mfu": flops and flops / seconds / peaks.flops,
        "bandwidth_utilisation": reached and reached / seconds / peaks.bandwidth,
        "matmul_peak_flops": peaks.flops,
        "matmul_side": peaks.matmul_side,
        "matmul_dtype": peaks.matmul_dtype,
        "copy_peak_bytes_per_second": peaks.bandwidth,
        "copy_bytes": peaks.copy_bytes,
    }
