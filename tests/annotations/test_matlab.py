import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import scipy.io

from jaxpose.annotations import matlab, mpii_matlab, posetrack17
from jaxpose.annotations.matlab import as_list, load_matlab
from jaxpose.annotations.matlab_files import cell_array, save_matlab, struct_array
from jaxpose.errors import DataError


def replace_child(monkeypatch, tmp_path, code):
    script = tmp_path / "child.py"
    script.write_text(code)
    monkeypatch.setattr(matlab, "_CHILD", script)


@pytest.fixture
def matlab_file(tmp_path):
    path = tmp_path / "a.mat"
    save_matlab(path, {"x": 1.0})
    return path


def test_values_come_back_plain(tmp_path):
    path = tmp_path / "sub" / "a.mat"
    structs = [{"a": 1.0, "b": {"c": "text"}}, {"a": [], "d": [{"e": 2.0}, {"e": 3.0}]}]
    save_matlab(
        path,
        {
            "s": struct_array(structs),
            "one": struct_array([{"a": 5.0}]),
            "none": struct_array([]),
            "cells": cell_array([np.array([[1.0], [2.0]]), [], "abc"]),
            "row": np.array([[1.5, np.nan]]),
            "truth": np.array([[True, False]]),
        },
    )
    values = load_matlab(path)
    assert np.isnan(values.pop("row")[1])
    assert values == {
        "s": [{"a": 1, "b": {"c": "text"}, "d": []}, {"a": [], "b": [], "d": [{"e": 2}, {"e": 3}]}],
        "one": {"a": 5},
        "none": [],
        "cells": [[1, 2], [], "abc"],
        "truth": [True, False],
    }


def test_as_list():
    assert [as_list(x) for x in (None, [], 3, {"a": 1}, [1, 2])] == [
        [],
        [],
        [3],
        [{"a": 1}],
        [1, 2],
    ]


def test_unsupported_kinds_are_refused(tmp_path):
    scipy.io.savemat(tmp_path / "a.mat", {"z": np.array([1 + 2j, 3])})
    with pytest.raises(DataError, match=r"a\.mat: Matlab file cannot be read: TypeError"):
        load_matlab(tmp_path / "a.mat")


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"", "cannot be read"), (b"hello" * 100, "cannot be read"), (b"MATLAB 7.3 MAT-file".ljust(
        124) + b"\x00\x02IM" + b"\x89HDF" * 40, "HDF5")],
)  # fmt: skip
def test_other_files_are_refused(tmp_path, content, reason):
    path = tmp_path / "a.mat"
    path.write_bytes(content)
    with pytest.raises(DataError, match=reason) as caught:
        load_matlab(path)
    assert str(caught.value).startswith(f"{path}: ") and "\n" not in str(caught.value)


def test_missing_file(tmp_path):
    with pytest.raises(DataError, match="no such Matlab file"):
        load_matlab(tmp_path / "a.mat")


def test_damaged_files_do_not_end_the_process(tmp_path):
    path = tmp_path / "a.mat"
    structs = [{"a": float(n), "b": {"c": "text"}} for n in range(20)]
    scipy.io.savemat(path, {"s": struct_array(structs)})
    whole = path.read_bytes()
    generator = np.random.default_rng(3)
    for _ in range(4):
        mutant = np.frombuffer(whole, np.uint8).copy()
        places = generator.integers(128, len(mutant), 6)
        mutant[places] = generator.integers(0, 256, 6)
        path.write_bytes(mutant.tobytes())
        try:
            assert isinstance(load_matlab(path), dict)
        except DataError as error:
            assert "\n" not in str(error)


def test_a_crash_of_the_reader_is_a_data_error(tmp_path, matlab_file, monkeypatch):
    code = "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)"
    replace_child(monkeypatch, tmp_path, code)
    with pytest.raises(DataError, match="died of SIGSEGV"):
        load_matlab(matlab_file)


def test_a_reader_that_hangs_is_killed(tmp_path, matlab_file, monkeypatch):
    pid_file = tmp_path / "pid"
    code = f"import os, time; open({str(pid_file)!r}, 'w').write(str(os.getpid())); time.sleep(60)"
    replace_child(monkeypatch, tmp_path, code)
    start = time.monotonic()
    with pytest.raises(DataError, match="took over 4 s"):
        load_matlab(matlab_file, timeout=4)
    assert time.monotonic() - start < 40
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid_file.read_text()), 0)


def test_a_reader_that_hands_back_rubbish_is_a_data_error(tmp_path, matlab_file, monkeypatch):
    replace_child(monkeypatch, tmp_path, "print('[1, ')")
    with pytest.raises(DataError, match="nothing usable"):
        load_matlab(matlab_file)


def test_memory_is_limited(tmp_path):
    path = tmp_path / "a.mat"
    scipy.io.savemat(path, {"x": np.zeros((1, 150_000_000), np.uint8)}, do_compression=True)
    assert path.stat().st_size < 1_000_000
    with pytest.raises(DataError, match="memory|too large"):
        load_matlab(path, memory=1_200_000_000)


def test_the_child_imports_neither_jax_nor_tensorflow(matlab_file):
    child = Path(matlab.__file__).with_name("matlab_child.py")
    code = (
        f"import sys; sys.path.insert(0, {str(child.parent)!r}); import matlab_child\n"
        "matlab_child.main([sys.argv[1], str(8 << 30), '60', str(1 << 30)])\n"
        "print(); print([m for m in ('jax', 'tensorflow', 'jaxpose') if m in sys.modules])"
    )
    command = [sys.executable, "-P", "-c", code, str(matlab_file)]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert output.splitlines() == ['{"x": 1.0}', "[]"]


@pytest.mark.skipif("JAXPOSE_SAMPLES" not in os.environ, reason="needs the sample data")
def test_a_real_file_of_a_neighbouring_layout(monkeypatch):
    path = Path(os.environ["JAXPOSE_SAMPLES"]) / "annolist_mat" / "annolist.mat"
    variables = load_matlab(path)
    assert list(variables) == ["annolist"] and len(variables["annolist"]) == 30
    assert variables["annolist"][0]["num_frames"] == 151
    for module in (mpii_matlab, posetrack17):  # read once: it takes seconds
        monkeypatch.setattr(module, "load_matlab", lambda _: variables)
    with pytest.raises(DataError, match="annolist.mat: the file has no field RELEASE"):
        mpii_matlab.read_mpii_mat(path)
    with pytest.raises(DataError, match=r"annolist.mat: annolist\[0\] has no field annorect"):
        posetrack17.read_posetrack17(path)
