"""Weight files of other implementations as named NumPy arrays; nothing here can run their code."""

import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from jaxpose.errors import CheckpointError, UsageError

# Unpacked size beyond which a file is refused: VGG16, the largest in use, has half a GiB.
_LARGEST = 4 * 2**30
# Names under which training scripts put the state dict beside their optimizer.
_STATE_DICTS = ("state_dict", "model", "model_state_dict")
_INSTALL = "install it with: pip install 'jaxpose[import]'"


def read_weights(path: str | Path) -> dict[str, np.ndarray]:
    """Arrays of a weight file by name, in the file's own layout and dtypes.

    Args:
      path: .safetensors; .npz; .pth, .pt or .pth.tar, a state dict saved by PyTorch (alone or
        under 'state_dict' or 'model').

    Raises:
      UsageError: another suffix, or the package that reads the file is not installed.
      CheckpointError: the file is missing, damaged, or holds other things than arrays.
    """
    path = Path(path)
    readers = {
        ".safetensors": _read_safetensors,
        ".npz": _read_npz,
        ".pth": _read_torch,
        ".pt": _read_torch,
        ".pth.tar": _read_torch,
    }
    suffix = ".pth.tar" if path.name.endswith(".pth.tar") else path.suffix
    if suffix not in readers:
        raise UsageError(f"{path}: weights are read from {', '.join(readers)}; convert the file")
    if not path.is_file():
        raise CheckpointError(f"{path}: no such weight file; check the path")
    try:
        weights = readers[suffix](path)
    except (CheckpointError, UsageError):
        raise
    except Exception as error:  # the three libraries raise a dozen types between them
        reason = _reason(str(error))
        kind = type(error).__name__
        raise CheckpointError(
            f"{path}: cannot be read as weights ({kind}: {reason}); fetch or convert it again"
        ) from error
    if not weights:
        raise CheckpointError(f"{path}: holds no arrays; fetch or convert it again")
    return weights


def _reason(message: str) -> str:
    """The part of an error's text that says why; PyTorch goes on for a page."""
    # A global that is not on its list of safe ones, one that is on its list of bad ones, the rest.
    kinds = r"global: GLOBAL |GLOBAL |(?=operand |class )"
    refused = re.search(rf"[Uu]nsupported (?:{kinds})((?:operand |class )?\S+)", message)
    return f"it would run code: {refused[1]}" if refused else re.split(r"\. |\n", message)[0]


def _read_safetensors(path: Path) -> dict[str, np.ndarray]:
    try:
        from safetensors.numpy import load_file
    except ImportError as error:
        raise UsageError(f"{path}: needs the package safetensors; {_INSTALL}") from error
    return load_file(path)


def _read_npz(path: Path) -> dict[str, np.ndarray]:
    _check_unpacked(path)
    with np.load(path, allow_pickle=False) as file:
        return dict(file)


def _check_unpacked(path: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        _check_size(path, sum(member.file_size for member in archive.infolist()))


def _check_size(path: Path, unpacked: int) -> None:
    if unpacked > _LARGEST:
        raise CheckpointError(
            f"{path}: unpacks to {unpacked} bytes, {_LARGEST} are allowed; give only weights"
        )


def _read_torch(path: Path) -> dict[str, np.ndarray]:
    try:
        import torch
    except ImportError as error:
        raise UsageError(f"{path}: needs PyTorch; {_INSTALL}, or convert it elsewhere") from error
    if tuple(int(n) for n in torch.__version__.split(".")[:2]) < (2, 6):
        # CVE-2025-32434: before 2.6 weights_only=True could be made to run code.
        raise UsageError(
            f"{path}: PyTorch {torch.__version__} is unsafe here; install 2.6 or newer"
        )
    if zipfile.is_zipfile(path):  # files of PyTorch before 1.6 are none
        _check_unpacked(path)
    loaded = torch.load(path, map_location="cpu", weights_only=True)
    for name in _STATE_DICTS:
        if isinstance(loaded, Mapping) and isinstance(loaded.get(name), Mapping):
            loaded = loaded[name]
    if not isinstance(loaded, Mapping):
        raise CheckpointError(f"{path}: holds a {type(loaded).__name__}, not a state dict")
    tensors = {str(name): _checked(path, name, tensor) for name, tensor in loaded.items()}
    # A tensor may repeat one stored number a billion times; converted, it would need the memory.
    _check_size(path, sum(tensor.numel() * tensor.element_size() for tensor in tensors.values()))
    return {name: _from_torch(tensor) for name, tensor in tensors.items()}


def _checked(path: Path, name: Any, tensor: Any) -> Any:
    if not hasattr(tensor, "numpy"):
        raise CheckpointError(
            f"{path}: {name!r} is a {type(tensor).__name__}, not a tensor; save only the state dict"
        )
    return tensor.detach()


def _from_torch(tensor: Any) -> np.ndarray:
    # NumPy has no bfloat16.
    return (tensor.float() if tensor.is_floating_point() else tensor).numpy()
