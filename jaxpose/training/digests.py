"""Digests that find damage in a checkpoint: one per array, and one over the manifest itself.

Orbax restores a flipped bit of an array without an error (measured: 120 of 120), so every step
carries a manifest with the SHA-256, shape and dtype of each array, sealed by its own SHA-256.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from jaxpose.errors import CheckpointError

SCHEMA_VERSION = 1


class DamageError(Exception):
    """A part of a checkpoint is missing or is not what was written; the message names the part."""


def array_digest(array: np.ndarray) -> str:
    """Return the SHA-256 (hex) of the array's bytes in C order; any shape and dtype."""
    # A byte view, because dtypes such as bfloat16 have no buffer protocol of their own.
    return hashlib.sha256(np.ravel(array).view(np.uint8).data).hexdigest()


def describe_array(array: np.ndarray) -> dict[str, Any]:
    """Return the manifest entry of one array: sha256, shape, dtype."""
    return {
        "sha256": array_digest(array),
        "shape": list(array.shape),
        "dtype": str(array.dtype),
    }


def _seal_digest(document: Mapping[str, Any]) -> str:
    content = {name: value for name, value in document.items() if name != "sha256"}
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def seal(
    step: int,
    arrays: Mapping[str, np.ndarray],
    metadata: Mapping[str, Any],
    metrics: Mapping[str, float] | None = None,
    best_metric: str | None = None,
) -> dict[str, Any]:
    """Return the manifest of a step: its arrays, metadata and metrics, and a digest over it all.

    `metadata` must consist of JSON types (tuples become lists). Raises TypeError otherwise.
    """
    document = {
        "schema_version": SCHEMA_VERSION,
        "step": step,
        "best_metric": best_metric,
        "metrics": {name: float(value) for name, value in (metrics or {}).items()},
        "metadata": dict(metadata),
        "arrays": {name: describe_array(array) for name, array in arrays.items()},
    }
    # Through JSON once, so that the digest is of what a reader will see (lists, string keys).
    document = json.loads(json.dumps(document))
    return document | {"sha256": _seal_digest(document)}


def check_seal(document: Any, step: int, where: str) -> dict[str, Any]:
    """Return the manifest read back from `where` if its own digest and its step are right.

    Raises DamageError, or CheckpointError for a sound manifest of another schema version.
    """
    if not isinstance(document, dict) or _seal_digest(document) != document.get("sha256"):
        raise DamageError("metadata (its digest differs from its content)")
    version = document.get("schema_version")
    if version != SCHEMA_VERSION:
        raise CheckpointError(
            f"{where}: checkpoint schema {version}, this jaxpose reads {SCHEMA_VERSION}: "
            "use the jaxpose version that wrote it"
        )
    if document["step"] != step:
        raise DamageError(f"metadata (written for step {document['step']})")
    return document


def check_arrays(arrays: Mapping[str, np.ndarray], manifest: Mapping[str, Any]) -> None:
    """Compare every array with its manifest entry; raises DamageError naming up to three leaves."""
    damaged = [
        name for name, array in arrays.items() if describe_array(array) != manifest.get(name)
    ]
    if damaged:
        more = f" and {len(damaged) - 3} more" if len(damaged) > 3 else ""
        raise DamageError(f"array {', '.join(damaged[:3])}{more} (digest differs)")
