"""Files that PyTorch itself wrote; test_weight_files.py has the rest, without PyTorch."""

import os

import numpy as np
import pytest

from jaxpose.errors import CheckpointError
from jaxpose.models.weight_files import read_weights

torch = pytest.importorskip("torch")
# The zip archive of today and the bare pickle of PyTorch before 1.6.
FORMATS = [True, False]


@pytest.mark.parametrize("archive", FORMATS)
def test_a_state_dict(tmp_path, archive):
    network = torch.nn.Sequential(torch.nn.Conv2d(3, 2, 1), torch.nn.BatchNorm2d(2))
    state = network.state_dict() | {"brain": torch.tensor([1.5], dtype=torch.bfloat16)}
    saved = {"state_dict": state, "epoch": 3, "optimizer": {"lr": 0.1}}
    torch.save(saved, tmp_path / "w.pth", _use_new_zipfile_serialization=archive)
    weights = read_weights(tmp_path / "w.pth")
    assert list(weights) == list(state) and weights["brain"] == 1.5
    for name, tensor in network.state_dict().items():
        np.testing.assert_array_equal(weights[name], tensor.numpy(), strict=True)


class Payload:
    """Calls a function when it is unpickled."""

    def __init__(self, function, argument):
        self.call = function, (argument,)

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("archive", FORMATS)
@pytest.mark.parametrize(
    "wrap", [lambda p: p, lambda p: {"state_dict": {"w": torch.zeros(2), "x": p}}]
)
@pytest.mark.parametrize(
    ("function", "named"),
    [(os.system, f"{os.system.__module__}.system"), (os.path.realpath, "posixpath.realpath")],
)
def test_a_payload_is_refused_and_named(tmp_path, archive, wrap, function, named):
    """One function on PyTorch's list of bad ones, one that is merely not on that of safe ones."""
    ran, file = tmp_path / "ran", tmp_path / "w.pth"
    payload = Payload(function, f"touch {ran}")
    torch.save(wrap(payload), file, _use_new_zipfile_serialization=archive)
    with pytest.raises(CheckpointError, match=rf"w\.pth: .* it would run code: {named}\)") as error:
        read_weights(file)
    assert "\n" not in str(error.value) and not ran.exists()
    if function is os.system:
        torch.load(file, weights_only=False)
        assert ran.exists(), "the payload works"
