import io
import json
import struct
import sys
import types
import zipfile

import numpy as np
import pytest

from jaxpose.errors import CheckpointError, UsageError
from jaxpose.models import weight_files
from jaxpose.models.weight_files import read_weights

ARRAYS = {
    "0.weight": np.arange(12, dtype=np.float32).reshape(2, 3, 2),
    "0.bias": np.array([1.5, -2], np.float16),
    "steps": np.array(7, np.int64),
}


def safetensors(arrays):
    """The file format: length of the header, header as JSON, data."""
    kinds = {"float32": "F32", "float16": "F16", "int64": "I64"}
    header, data = {}, b""
    for name, array in arrays.items():
        span = [len(data), len(data) + array.nbytes]
        kind = kinds[array.dtype.name]
        header[name] = {"dtype": kind, "shape": list(array.shape), "data_offsets": span}
        data += array.tobytes()
    encoded = json.dumps(header).encode()
    return struct.pack("<Q", len(encoded)) + encoded + data


def check_arrays(found):
    assert found.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(found[name], array, strict=True)


def npz():
    buffer = io.BytesIO()
    np.savez(buffer, **ARRAYS)
    return buffer.getvalue()


def write(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    return tmp_path / name


def test_safetensors(tmp_path):
    pytest.importorskip("safetensors")
    check_arrays(read_weights(write(tmp_path, "w.safetensors", safetensors(ARRAYS))))


def test_npz(tmp_path):
    check_arrays(read_weights(str(write(tmp_path, "w.npz", npz()))))


def damaged(content):
    """Versions of a file that no reader may accept."""
    return {
        "empty": b"",
        "cut": content[: len(content) - 20],
        "page": b"<html>404</html>" * 9,
        "head": b"\xff" * 9 + content[9:],
    }


@pytest.mark.parametrize("damage", ["empty", "cut", "page", "head"])
@pytest.mark.parametrize("suffix", ["safetensors", "npz"])
def test_damaged_files_are_named_in_one_line(tmp_path, suffix, damage):
    if suffix == "safetensors":
        pytest.importorskip("safetensors")
    content = safetensors(ARRAYS) if suffix == "safetensors" else npz()
    path = write(tmp_path, f"w.{suffix}", damaged(content)[damage])
    with pytest.raises(CheckpointError) as error:
        read_weights(path)
    message = str(error.value)
    assert message.startswith(f"{path}: cannot be read as weights (") and "\n" not in message


def test_pickled_objects_in_an_npz_are_not_loaded(tmp_path):
    ran = []

    class Trap:
        def __reduce__(self):
            return ran.append, (1,)

    np.savez(tmp_path / "w.npz", a=np.array([Trap()], object))
    ran.clear()
    with pytest.raises(CheckpointError, match=r"w.npz: cannot .*allow_pickle=False"):
        read_weights(tmp_path / "w.npz")
    assert not ran


def test_bombs_are_refused_unopened(tmp_path, monkeypatch):
    monkeypatch.setattr(weight_files, "_LARGEST", 10**6)
    monkeypatch.setattr(np, "load", lambda *_, **__: pytest.fail("was opened"))
    with zipfile.ZipFile(tmp_path / "w.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.npy", bytes(2 * 10**6))
    assert (tmp_path / "w.npz").stat().st_size < 10**4
    with pytest.raises(CheckpointError, match="w.npz: unpacks to 2000000 bytes, 1000000 are allow"):
        read_weights(tmp_path / "w.npz")


def test_files_without_arrays_missing_files_and_other_suffixes(tmp_path):
    np.savez(tmp_path / "none.npz")
    with pytest.raises(CheckpointError, match="none.npz: holds no arrays"):
        read_weights(tmp_path / "none.npz")
    with pytest.raises(CheckpointError, match="absent.npz: no such weight file"):
        read_weights(tmp_path / "absent.npz")
    (tmp_path / "folder.pth").mkdir()
    with pytest.raises(CheckpointError, match="folder.pth: no such weight file"):
        read_weights(tmp_path / "folder.pth")
    with pytest.raises(UsageError, match="w.h5: weights are read from .safetensors, .npz, .pth"):
        read_weights(tmp_path / "w.h5")


@pytest.mark.parametrize(
    ("module", "name", "package"),
    [("safetensors.numpy", "w.safetensors", "safetensors"), ("torch", "w.pth", "PyTorch")],
)
def test_absent_packages_are_named(tmp_path, monkeypatch, module, name, package):
    monkeypatch.setitem(sys.modules, module, None)
    path = write(tmp_path, name, b"x")
    with pytest.raises(UsageError, match=rf"{name}: needs .*{package}; .*jaxpose\[import\]"):
        read_weights(path)


class Tensor:
    """As much of torch.Tensor as is used; `torch.bfloat16` has no NumPy counterpart."""

    def __init__(self, array, brain=False):
        self.array, self.brain = array, brain

    def detach(self):
        return self

    def numel(self):
        return self.array.size

    def element_size(self):
        return self.array.itemsize

    def is_floating_point(self):
        return self.array.dtype.kind == "f"

    def float(self):
        return Tensor(self.array.astype(np.float32))

    def numpy(self):
        assert not self.brain
        return self.array


@pytest.fixture
def torch(monkeypatch):
    """Stands for PyTorch, which tests do without: `load` returns `loaded`."""
    module = types.SimpleNamespace(__version__="2.6.0+cpu", loaded={}, calls=[])

    def load(path, **options):
        module.calls.append((path.name, options))
        if isinstance(module.loaded, Exception):
            raise module.loaded
        return module.loaded

    module.load = load
    monkeypatch.setitem(sys.modules, "torch", module)
    return module


@pytest.mark.parametrize("wrap", [lambda d: d, lambda d: {"state_dict": d, "epoch": 3}])
def test_state_dicts_of_pytorch(tmp_path, torch, wrap):
    values = np.array([1.5, 2], np.float32)
    torch.loaded = wrap({"0.weight": Tensor(values, brain=True), "n": Tensor(np.array(3))})
    weights = read_weights(write(tmp_path, "w.pth", b"x"))
    np.testing.assert_array_equal(weights["0.weight"], values, strict=True)
    assert weights["n"] == 3 and len(weights) == 2
    assert torch.calls == [("w.pth", {"map_location": "cpu", "weights_only": True})]


@pytest.mark.parametrize(
    ("loaded", "message"),
    [
        (
            RuntimeError("Reader failed. Advice follows.\nAnd more"),
            r"\(RuntimeError: Reader failed\)",
        ),
        (["a", "list"], "holds a list, not a state dict"),
        ({"model": {"a": 1.0}}, "'a' is a float, not a tensor"),
        ({}, "holds no arrays"),
    ],
)
def test_other_contents_of_pytorch_files(tmp_path, torch, loaded, message):
    torch.loaded = loaded
    with pytest.raises(CheckpointError, match=f"w.pt: .*{message}") as error:
        read_weights(write(tmp_path, "w.pt", b"x"))
    assert "\n" not in str(error.value)


def test_bombs_for_pytorch_are_refused(tmp_path, torch, monkeypatch):
    monkeypatch.setattr(weight_files, "_LARGEST", 10**6)
    with zipfile.ZipFile(tmp_path / "w.pth", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("w/data/0", bytes(2 * 10**6))
    with pytest.raises(CheckpointError, match="w.pth: unpacks to 2000000 bytes, 1000000 are"):
        read_weights(tmp_path / "w.pth")
    assert torch.calls == []
    # One stored number that stands for a billion.
    torch.loaded = {"a": Tensor(np.broadcast_to(np.float16(1), (10**5, 10**4)))}
    with pytest.raises(CheckpointError, match="w.pt: unpacks to 2000000000 bytes"):
        read_weights(write(tmp_path, "w.pt", b"x"))


@pytest.mark.parametrize(
    ("told", "named"),
    [
        ("Unsupported global: GLOBAL a.B was not an", "a.B"),
        ("Trying to load unsupported GLOBAL nt.system whose module nt is blocked.", "nt.system"),
        ("Unsupported operand 149", "operand 149"),
        ("Unsupported class a.B", "class a.B"),
    ],
)
def test_refused_code_is_named(tmp_path, torch, told, named):
    torch.loaded = RuntimeError(f"Weights only load failed. Do this. \n{told}")
    with pytest.raises(CheckpointError, match=rf"it would run code: {named}\); fetch"):
        read_weights(write(tmp_path, "model_best.pth.tar", b"x"))


@pytest.mark.parametrize("version", ["2.5.1", "1.13.0+cu117"])
def test_old_pytorch_is_not_trusted(tmp_path, torch, version):
    torch.__version__ = version
    with pytest.raises(UsageError, match="is unsafe here; install 2.6 or newer"):
        read_weights(write(tmp_path, "w.pth", b"x"))
    assert torch.calls == []
