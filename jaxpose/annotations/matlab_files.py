"""Writing Matlab files in the nested struct layouts of MPII and PoseTrack17 (needs scipy)."""

from pathlib import Path
from typing import Any

import numpy as np

from jaxpose.errors import DataError

Struct = dict[str, Any]


def struct_array(structs: list[Struct]) -> np.ndarray:
    """A 1 x N Matlab struct array of dicts whose lists of dicts become struct arrays in turn.

    A Matlab struct array has the same fields in every element, so a field that only some dicts
    have is an empty array in the others.
    """
    names = list(dict.fromkeys(name for struct in structs for name in struct))
    if not names:
        return np.zeros((0, 0))
    array = np.empty((1, len(structs)), [(name, object) for name in names])
    for index, struct in enumerate(structs):
        for name in names:
            array[name][0, index] = _matlab_value(struct.get(name, []))
    return array


def cell_array(values: list[Any]) -> np.ndarray:
    """An N x 1 Matlab cell array."""
    cells = np.empty((len(values), 1), object)
    for index, value in enumerate(values):
        cells[index, 0] = _matlab_value(value)
    return cells


def _matlab_value(value: Any) -> Any:
    if isinstance(value, dict):
        return struct_array([value])
    if isinstance(value, list) and (not value or isinstance(value[0], dict)):
        return struct_array(value)
    return value


def save_matlab(path: str | Path, variables: dict[str, Any]) -> None:
    """Write a compressed version-5 `.mat`; raises DataError if that fails."""
    import scipy.io

    try:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        scipy.io.savemat(path, variables, do_compression=True)
    except OSError as error:
        raise DataError(f"{path}: cannot be written: {error.strerror}") from None
