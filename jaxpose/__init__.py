"""jaxpose: top-down human pose estimation in JAX."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = ["PoseEstimator", "Restored", "restore", "zoo"]

if TYPE_CHECKING:
    from jaxpose import zoo
    from jaxpose.inference.estimator import PoseEstimator
    from jaxpose.inference.restore import Restored, restore

_HOMES = {
    "PoseEstimator": "jaxpose.inference.estimator",
    "Restored": "jaxpose.inference.restore",
    "restore": "jaxpose.inference.restore",
}


def __getattr__(name: str) -> Any:
    # Lazy, so that importing jaxpose loads neither jax nor any other heavy library.
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    if name == "zoo":
        return import_module("jaxpose.zoo")
    raise AttributeError(f"module 'jaxpose' has no attribute {name!r}")
