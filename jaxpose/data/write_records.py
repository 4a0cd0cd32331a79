"""Write the records of a plan as TFRecords, on this machine or through Apache Beam."""

import io
from collections.abc import Sequence
from contextlib import redirect_stdout
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import tensorflow_datasets as tfds

from jaxpose.data.builders import BUILDERS
from jaxpose.data.plan import Plan
from jaxpose.data.tfrecords import load_tensorflow
from jaxpose.errors import DataError, UsageError


def write_records(
    dataset: str,
    plan: Plan,
    data_dir: Path,
    progress: bool,
    beam_options: Sequence[str] | None = None,
) -> None:
    """Write a plan as TFRecords under `data_dir` through the builder of `dataset`.

    Args:
      beam_options: options of a Beam pipeline, which converts then, such as runner=DirectRunner.

    Raises:
      DataError: as `convert_split`, or the pipeline fails; TFDS's folder is removed then.
      UsageError: Apache Beam is not installed.
    """
    load_tensorflow()
    builder = BUILDERS[dataset](plan=plan, data_dir=data_dir, config=plan.config)
    builder.progress, builder.beam = progress, beam_options is not None
    config = tfds.download.DownloadConfig(try_download_gcs=False)
    if beam_options is not None:
        config.beam_options = _pipeline_options(beam_options)
    tfds.disable_progress_bar()  # it would count the examples beside our bar
    try:
        # TFDS prints about downloads that do not happen, and wants a folder for them.
        with redirect_stdout(io.StringIO()), TemporaryDirectory() as downloads:
            builder.download_and_prepare(download_dir=downloads, download_config=config)
    except (RuntimeError, ValueError) as error:
        if beam_options is None:
            raise
        reason = " ".join(str(error).split())
        raise DataError(f"{plan.dataset}: the Beam pipeline failed: {reason}") from error
    finally:
        tfds.enable_progress_bar()


def _pipeline_options(options: Sequence[str]) -> Any:
    try:
        from apache_beam.options.pipeline_options import PipelineOptions
    except ImportError as error:
        hint = "pip install 'jaxpose[beam]'"
        raise UsageError(f"--beam needs Apache Beam, which does not import: {hint}") from error
    return PipelineOptions([f"--{option}" for option in options])
