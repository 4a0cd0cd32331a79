"""The single file of a trained network: what comes back, and files that were not made by us."""

import io
import tracemalloc
import zipfile

import numpy as np
import pytest

from jaxpose.errors import CheckpointError
from jaxpose.training.weight_file import read_weight_file, write_weight_file
from jaxpose.training.weights import Weights

MEGABYTE = 2**20


@pytest.fixture
def file(tmp_path):
    rng = np.random.default_rng(0)
    params = {"stem/kernel": rng.standard_normal((3, 3, 8, 8)).astype(np.float32)}
    weights = Weights(5, params, {"stem/mean": np.arange(8.0)}, True, {}, {"pckh": 9.0}, "")
    write_weight_file(tmp_path / "pose.npz", weights, '{"task": "pose"}')
    return tmp_path / "pose.npz"


def npy_header(shape):
    header = io.BytesIO()
    described = {"descr": "<f4", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(header, described)
    return header.getvalue()


def refused(file):
    """The message, and the most memory that reading took."""
    tracemalloc.start()
    with pytest.raises(CheckpointError) as caught:
        read_weight_file(file)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return str(caught.value), peak


def test_what_was_written_comes_back(file):
    weights, config = read_weight_file(file)
    assert weights.step == 5 and weights.averaged and weights.metrics == {"pckh": 9.0}
    assert weights.params["stem/kernel"].shape == (3, 3, 8, 8) and config == '{"task": "pose"}'
    assert (weights.batch_stats["stem/mean"] == np.arange(8)).all()


def test_a_compressed_file_is_refused_before_it_is_unpacked(file):
    with np.load(file) as arrays:
        bomb = dict(arrays) | {"params/zeros": np.zeros(64 * MEGABYTE, np.uint8)}
    np.savez_compressed(file, **bomb)
    message, peak = refused(file)
    assert message == f"{file} is no intact weight file: ValueError: document.npy is compressed"
    assert peak < MEGABYTE


def test_entries_that_share_their_bytes_are_refused(tmp_path):
    """Many names for one stretch of the file, as in zip bombs that nest nothing."""
    content = npy_header((MEGABYTE,)) + bytes(4 * MEGABYTE)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("params/0.npy", content)
        for number in range(1, 9):
            twin = zipfile.ZipInfo(f"params/{number}.npy")
            first = archive.infolist()[0]
            for name in ("header_offset", "CRC", "file_size", "compress_size"):
                setattr(twin, name, getattr(first, name))
            archive.filelist.append(twin)
        archive._didModify = True
    (tmp_path / "pose.npz").write_bytes(buffer.getvalue())
    message, peak = refused(tmp_path / "pose.npz")
    assert "unpacks to more bytes than it has" in message
    assert peak < 6 * MEGABYTE  # the file itself


def test_a_shape_beyond_any_memory_is_damage(file):
    with zipfile.ZipFile(file, "a") as archive:
        archive.writestr("params/big.npy", npy_header((10**15,)))
    assert "pose.npz is no intact weight file" in refused(file)[0]


@pytest.mark.parametrize("content", [b"", b"PK", b"no zip at all", b"\x93NUMPY\x01\x00"])
def test_other_files_are_refused(tmp_path, content):
    (tmp_path / "pose.npz").write_bytes(content)
    assert "is no intact weight file" in refused(tmp_path / "pose.npz")[0]
