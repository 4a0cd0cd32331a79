import gzip
import json
from pathlib import Path

import jax
import numpy as np
import pytest

from jaxpose.errors import CheckpointError, UsageError
from jaxpose.models.hourglass import StackedHourglass
from jaxpose.models.pretrained import load_named_weights

GOLDEN = Path(__file__).parents[1] / "golden"


def layer_shapes(name, out, inside, size):
    return {f"{name}.weight": (out, inside, size, size), f"{name}.bias": (out,)}


def norm_shapes(name, width):
    tensors = ("weight", "bias", "running_mean", "running_var")
    return {f"{name}.{tensor}": (width,) for tensor in tensors}


def residual_shapes(name, inside, out, always_skip=False):
    """Tensors of one residual under the names of pose-hg-train and princeton."""
    half = out // 2
    shapes = norm_shapes(f"{name}.bn1", inside) | norm_shapes(f"{name}.bn2", half)
    shapes |= norm_shapes(f"{name}.bn3", half) | layer_shapes(f"{name}.conv1.conv", half, inside, 1)
    shapes |= layer_shapes(f"{name}.conv2.conv", half, half, 3)
    shapes |= layer_shapes(f"{name}.conv3.conv", out, half, 1)
    if always_skip or inside != out:
        shapes |= layer_shapes(f"{name}.skip_layer.conv", out, inside, 1)
    return shapes


def princeton_shapes(joints=3):
    """One stack, 8 features, depth 2: every tensor that the PyTorch port registers."""
    shapes = layer_shapes("pre.0.conv", 2, 3, 7) | norm_shapes("pre.0.bn", 2)
    for name, inside, out in (("pre.1", 2, 4), ("pre.3", 4, 4), ("pre.4", 4, 8)):
        shapes |= residual_shapes(name, inside, out, always_skip=True)
    inner = ("low2.up1", "low2.low1", "low2.low2", "low2.low3")
    for branch in ("up1", "low1", "low3", *inner):
        shapes |= residual_shapes(f"hgs.0.0.{branch}", 8, 8, always_skip=True)
    shapes |= residual_shapes("features.0.0", 8, 8, always_skip=True)
    shapes |= layer_shapes("features.0.1.conv", 8, 8, 1) | norm_shapes("features.0.1.bn", 8)
    return shapes | layer_shapes("outs.0.conv", joints, 8, 1)


@pytest.fixture
def small():
    """A network and weights that fit, every tensor filled with another number."""
    model = StackedHourglass(3, stacks=1, blocks=1, features=8, depth=2)
    weights = {
        name: np.full(shape, number, np.float32)
        for number, (name, shape) in enumerate(princeton_shapes().items())
    }
    return model, weights


def test_tensors_land_where_their_names_say(small):
    model, weights = small
    rng = np.random.default_rng(0)
    weights["pre.0.conv.weight"] = rng.normal(size=(2, 3, 7, 7))

    variables = load_named_weights(model, weights, "princeton")

    params, stats = variables["params"], variables["batch_stats"]
    kernel = params["stem"]["conv"]["kernel"]
    assert kernel.shape == (7, 7, 3, 2) and kernel.dtype == np.float32
    assert kernel[4, 5, 1, 0] == np.float32(weights["pre.0.conv.weight"][0, 1, 4, 5])
    hourglass = params["stack0"]["hourglass"]
    innermost = hourglass["level2_low2"]["block0"]["conv2"]["bias"]
    np.testing.assert_array_equal(innermost, weights["hgs.0.0.low2.low2.conv2.conv.bias"])
    outermost = hourglass["level1_low3"]["block0"]["bn2"]["scale"]
    np.testing.assert_array_equal(outermost, weights["hgs.0.0.low3.bn2.weight"])
    np.testing.assert_array_equal(stats["stem"]["bn"]["var"], weights["pre.0.bn.running_var"])
    used = [leaf.flat[0] for leaf in jax.tree.leaves(variables) if leaf is not kernel]
    assert len(set(used)) == len(used), "two of our tensors share one of theirs"


def test_unused_skip_convolutions_and_batch_counters_are_tolerated_only(small):
    model, weights = small
    unused = [
        name for name in weights if "skip_layer" in name and name[:5] not in ("pre.1", "pre.4")
    ]
    assert len(unused) == 2 * (1 + 7 + 1)
    for name in unused:
        del weights[name]
    weights["pre.0.bn.num_batches_tracked"] = np.array(7)
    load_named_weights(model, weights, "princeton")

    with pytest.raises(CheckpointError, match=r"1 unexpected \(pre.2.skip_layer.conv.bias\)"):
        load_named_weights(model, weights | {"pre.2.skip_layer.conv.bias": 0}, "princeton")
    del weights["pre.1.skip_layer.conv.bias"]
    with pytest.raises(CheckpointError, match=r"1 missing \(pre.1.skip_layer.conv.bias\)"):
        load_named_weights(model, weights, "princeton")


@pytest.mark.parametrize("prefix", ["module.", "model.module.", "model."])
def test_names_of_wrapped_networks(small, prefix):
    model, weights = small
    plain = load_named_weights(model, weights, "princeton")
    wrapped = {prefix + name: array for name, array in weights.items()}
    found = load_named_weights(model, wrapped, "princeton")
    assert jax.tree.all(jax.tree.map(np.array_equal, found, plain))
    with pytest.raises(CheckpointError, match="missing .* unexpected"):  # one name without it
        load_named_weights(model, wrapped | {"pre.0.conv.bias": np.zeros(2)}, "princeton")


def test_all_mismatches_are_reported_in_one_line(small):
    model, weights = small
    del weights["features.0.1.bn.running_mean"]
    weights["fc.weight"] = np.zeros(3)
    weights["outs.0.conv.weight"] = np.zeros((16, 8, 1, 1), np.float32)
    weights["outs.0.conv.bias"] = np.zeros((1, 3), np.float32)
    weights["pre.0.conv.bias"] = np.array([np.nan, 0])
    weights["pre.1.bn1.bias"] = np.array([1e39, 0])  # infinite in float32
    weights["pre.3.bn1.bias"] = np.array([None] * 4)

    with np.errstate(over="ignore"), pytest.raises(CheckpointError) as error:
        load_named_weights(model, weights, "princeton")

    message = str(error.value)
    assert "1 missing (features.0.1.bn.running_mean)" in message
    assert "1 unexpected (fc.weight)" in message
    assert "2 of wrong shape" in message
    assert "outs.0.conv.weight (16, 8, 1, 1) instead of (3, 8, 1, 1)" in message
    assert "outs.0.conv.bias (1, 3) instead of (3,)" in message
    finite = message.partition("3 not of finite numbers")[2]
    assert all(n in finite for n in ("pre.0.conv.bias", "pre.1.bn1.bias", "pre.3.bn1.bias"))
    assert "num_joints=3, stacks=1" in message and "princeton" in message
    assert "\n" not in message


def test_long_lists_are_cut_and_counted(small):
    model, weights = small
    with pytest.raises(CheckpointError) as error:
        load_named_weights(model, {}, "pytorch_pose")
    used = len(weights) - 18
    assert f"{used} missing" in str(error.value) and f"and {used - 5} more" in str(error.value)
    assert len(error.value.mismatches["missing"]) == used and len(error.value.mismatches) == 1
    assert len(str(error.value)) < 600


def test_princeton_names_have_no_second_block(small):
    _, weights = small
    model = StackedHourglass(3, stacks=1, blocks=2, features=8, depth=2)
    with pytest.raises(CheckpointError, match="missing .*stack0/features/block1"):
        load_named_weights(model, weights, "princeton")


def test_the_other_stem_is_a_mismatch_of_shapes():
    with gzip.open(GOLDEN / "f_hourglass_params.json.gz") as file:
        rows = json.load(file)["params"]["bearpaw_s2b1"]
    model = StackedHourglass(16, blocks=1, stem="pose_hg_train")
    weights = {name.partition(".")[2]: np.zeros(shape, np.float32) for name, _, shape in rows}
    with pytest.raises(CheckpointError) as error:
        load_named_weights(model, weights, "pytorch_pose")
    message = str(error.value)
    assert "2 missing (layer3.0.downsample.0." in message
    assert "2 unexpected (layer2.0.downsample.0." in message
    assert "19 of wrong shape (" in message and "and 14 more" in message
    assert "stem='pose_hg_train'" in message


def test_unknown_source_is_a_usage_error(small):
    with pytest.raises(UsageError, match="'torch7'.*pose_hg_train, pytorch_pose, princeton"):
        load_named_weights(small[0], small[1], "torch7")
