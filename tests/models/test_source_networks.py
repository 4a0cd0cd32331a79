import numpy as np
import pytest

from jaxpose.errors import CheckpointError
from jaxpose.models.hourglass import StackedHourglass
from jaxpose.models.named_weights import MismatchError
from jaxpose.models.pretrained import load_named_weights
from jaxpose.models.source_networks import hourglass_of, ssd_of
from jaxpose.models.ssd import SSD


def conv(out):
    return np.zeros((out, 8, 1, 1), np.float32)


def test_ssds_are_told_by_levels_channels_and_logits():
    names = {"vgg.0.weight": conv(64), "conf.0.weight": conv(4 * 21)}
    assert ssd_of(names, "ssd_pytorch") == SSD(300, 21)
    wrapped = {f"module.{n}": a for n, a in (names | {"loc.6.weight": conv(16)}).items()}
    assert ssd_of(wrapped, "ssd_pytorch") == SSD(512, 21)
    theirs = "head.classification_head.module_list.0.weight"
    thin = {"backbone.features.0.weight": conv(16), theirs: conv(4 * 91)}
    assert ssd_of(thin, "torchvision_ssd") == SSD(300, 91, width=0.25)


def test_hourglasses_are_told_by_numbers_in_names():
    names = {"conv1.weight": conv(8)}
    names |= {f"score.{n}.weight": conv(17) for n in range(3)}
    names |= {f"res.0.{n}.bn1.weight": np.zeros(8) for n in range(2)}
    names |= {f"hg.0.hg.{n}.0.0.bn1.weight": np.zeros(8) for n in range(3)}
    expected = StackedHourglass(17, 3, 2, features=32, stem="pytorch_pose", depth=3)
    assert hourglass_of(names, "pytorch_pose") == expected
    names = {"pre.0.conv.weight": conv(64), "outs.0.conv.weight": conv(16)}
    names |= {f"hgs.0.0.{'low2.' * n}up1.bn1.weight": np.zeros(8) for n in range(5)}
    expected = StackedHourglass(16, stacks=1, blocks=1, depth=5)
    assert hourglass_of(names, "princeton") == expected


@pytest.mark.parametrize(
    ("find", "source"),
    [(ssd_of, "ssd_pytorch"), (ssd_of, "torchvision_ssd"), (hourglass_of, "pytorch_pose"),
     (hourglass_of, "princeton")],
)  # fmt: skip
def test_what_cannot_be_told_becomes_a_list_of_mismatches(find, source):
    for weights in ({"a": conv(1)}, {"conf.0.weight": np.zeros(()), "score.0.weight": np.zeros(3)}):
        with pytest.raises(MismatchError) as error:
            load_named_weights(find(weights, source), weights, source)
        wrong = sum(len(names) for names in error.value.mismatches.values())
        assert isinstance(error.value, CheckpointError) and wrong > 60


def test_a_file_cannot_ask_for_a_huge_network():
    names = {f"score.{n}.weight": conv(3) for n in range(5000)}
    names |= {f"hgs.0.0.{'low2.' * 100}up1.bn1.weight": np.zeros(8)}
    assert hourglass_of(names, "pytorch_pose").stacks == 16
    assert hourglass_of(names, "princeton").depth == 6
