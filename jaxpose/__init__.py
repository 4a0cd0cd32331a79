"""jaxpose: top-down human pose estimation in JAX."""

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = ["Restored", "restore"]

if TYPE_CHECKING:
    from jaxpose.inference.restore import Restored, restore


def __getattr__(name: str) -> Any:
    # Lazy, so that importing jaxpose loads neither jax nor any other heavy library.
    if name in __all__:
        from jaxpose.inference import restore as module

        return getattr(module, name)
    raise AttributeError(f"module 'jaxpose' has no attribute {name!r}")
