"""How Orbax writes a step: uncompressed OCDBT arrays beside a JSON manifest."""

from logging import LogRecord

import orbax.checkpoint as ocp
from absl import logging


def _not_orbax_traceback(record: LogRecord) -> bool:
    # Orbax logs the traceback of a failed save; `wait` raises that error as one line.
    return not (record.exc_info and "orbax" in record.pathname)


def orbax_writer() -> ocp.AsyncCheckpointer:
    """Asynchronous writer of steps with the items `state` (arrays) and `metadata` (JSON)."""
    # Not Orbax's CheckpointManager, whose steps, deletions and errors (it forgets one that it has
    # raised) would have to be checked against the disk anyway; it can read what this writes.
    logging.get_absl_logger().addFilter(_not_orbax_traceback)
    # Uncompressed: trained float32 weights shrink by 8 % and cost twice the time.
    arrays = ocp.PyTreeCheckpointHandler(use_ocdbt=True, use_zarr3=False, use_compression=False)
    return ocp.AsyncCheckpointer(
        ocp.CompositeCheckpointHandler(state=arrays, metadata=ocp.JsonCheckpointHandler())
    )
