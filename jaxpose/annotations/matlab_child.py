"""Child process of `matlab.py`: one Matlab file on the command line -> JSON on stdout.

scipy documents its Matlab reader as not hardened: a damaged file can crash the interpreter or ask
for any amount of memory. So it runs here, under limits, and hands back plain values. Run by path;
it imports nothing of jaxpose, jax or TensorFlow.
"""

import json
import sys
from typing import Any

import numpy as np


def limit_resources(memory: int, seconds: int, output: int) -> None:
    """Hard limits on address space, CPU seconds and bytes written; no core file."""
    try:
        import resource
    except ImportError:  # Windows: only the parent's timeout protects
        return
    limits = {
        resource.RLIMIT_AS: memory,
        resource.RLIMIT_CPU: seconds,
        resource.RLIMIT_FSIZE: output,
        resource.RLIMIT_CORE: 0,
    }
    for kind, value in limits.items():
        hard = resource.getrlimit(kind)[1]
        if hard != resource.RLIM_INFINITY:
            value = min(value, hard)
        resource.setrlimit(kind, (value, value))


def plain(value: Any) -> Any:
    """Matlab values as JSON: structs -> objects, arrays and cells -> lists, chars -> strings.

    Arrays lose their dimensions of length 1, so a 1x1 struct array and a struct look alike; the
    parent accepts both for every list. Empty arrays of any kind become [].
    """
    if hasattr(value, "_fieldnames"):
        return {name: plain(getattr(value, name)) for name in value._fieldnames}
    if isinstance(value, np.ndarray):
        if value.dtype.kind in "biufU":
            return value.tolist()
        if value.dtype == object:
            return plain(value.item()) if value.ndim == 0 else [plain(item) for item in value]
    if isinstance(value, np.generic) and value.dtype.kind in "biufU":
        return value.item()
    if isinstance(value, (bool, int, float, str)):
        return value
    raise TypeError(f"holds a value of an unsupported kind, {type(value).__name__}")


def main(argv: list[str]) -> int:
    """Arguments: path, bytes of memory, CPU seconds, bytes of output."""
    path, *limits = argv
    limit_resources(*map(int, limits))
    import scipy.io

    try:
        variables = scipy.io.loadmat(path, struct_as_record=False, squeeze_me=True)
        document = {k: plain(v) for k, v in variables.items() if not k.startswith("__")}
        sys.stdout.write(json.dumps(document))  # json.dump takes three times as long
        sys.stdout.flush()
    except MemoryError:
        print("needs more memory than allowed", file=sys.stderr)
        return 1
    except NotImplementedError:
        print("is of format 7.3 (HDF5); save it again with -v7 in Matlab", file=sys.stderr)
        return 1
    except Exception as error:
        print(f"cannot be read: {type(error).__name__}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
