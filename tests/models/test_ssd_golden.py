"""Parity with ssd.pytorch (SSD300) and lufficc/SSD (SSD512), weights loaded by name (golden e).

Weights follow the recipe of the golden vectors: every tensor is drawn from a generator seeded by
the CRC-32 of its canonical name. The references ran on PyTorch.
"""

import gzip
import json
import zlib
from pathlib import Path

import jax
import numpy as np
import pytest

from jaxpose.models.pretrained import load_named_weights
from jaxpose.models.ssd import SSD
from jaxpose.ops.default_boxes import BOXES_PER_CELL, FEATURE_SIZES

GOLDEN = Path(__file__).parents[1] / "golden"
SEED = {300: 7, 512: 8}
# Feature of ours -> that of the golden file, with what it applies after the layer.
FEATURES = {
    300: {
        "vgg/0": "feat_conv4_3_relu",
        "vgg/1": "feat_fc7_relu",
        "l2norm": "feat_l2norm",
        "conv6_2": "feat_extra1_prerelu",
        "conv7_2": "feat_extra3_prerelu",
        "conv8_2": "feat_extra5_prerelu",
        "conv9_2": "feat_extra7_prerelu",
    },
    512: {
        "l2norm": "feat0",
        "vgg/1": "feat1",
        **{f"conv{level + 4}_2": f"feat{level}" for level in range(2, 7)},
    },
}


def recipe_weights(rows):
    """[[torch name, canonical name, shape, kind], ...] -> ssd.pytorch's name -> float32 array."""
    weights = {"L2Norm.weight": np.full(512, 20, np.float32)}
    for name, canonical, *rest in rows:
        if canonical == "l2norm":
            continue
        shape, kind = rest
        normal = np.random.RandomState(zlib.crc32(canonical.encode())).standard_normal(shape)
        spread = {"conv_w": 2 / np.prod(shape[1:]), "conv_w1": 1 / np.prod(shape[1:])}
        value = normal * (np.sqrt(spread[kind]) if kind in spread else 0.05)
        # SSD512 has lufficc's names.
        name = name.replace("cls_headers", "conf").replace("reg_headers", "loc")
        weights[name] = value.astype(np.float32)
    return weights


def run(size):
    """Class logits, offsets and features of our network, and the golden arrays of its size."""
    with gzip.open(GOLDEN / "e_ssd_params.json.gz") as file:
        weights = recipe_weights(json.load(file)[f"ssd{size}_params"])
    prefix = f"ssd{size}/"
    with np.load(GOLDEN / "e_ssd_forward.npz") as file:
        golden = {k.removeprefix(prefix): file[k] for k in file.files if k.startswith(prefix)}
    image = np.random.RandomState(SEED[size]).uniform(-120, 130, (1, 3, size, size))
    image = image.astype(np.float32)
    assert image.sum(dtype=np.float64) == pytest.approx(golden["input_checksum"], rel=1e-12)
    model = SSD(size, 21)
    variables = load_named_weights(model, weights, "ssd_pytorch")
    kept = {name.split("/")[0] for name in FEATURES[size]}
    (logits, offsets), state = jax.jit(
        lambda variables, x: model.apply(
            variables, x, capture_intermediates=lambda module, _: module.name in kept
        )
    )(variables, image.transpose(0, 2, 3, 1))
    captured = {name: tree["__call__"][0] for name, tree in state["intermediates"].items()}
    vgg = captured.pop("vgg")
    features = {name: captured[name] for name in kept & captured.keys()}
    features |= {f"vgg/{index}": vgg[index] for index in range(2)}
    features = jax.tree.map(lambda a: np.asarray(a)[0].transpose(2, 0, 1), features)
    return np.asarray(logits), np.asarray(offsets), features, golden


def check_heads(size, logits, offsets, golden):
    cells = zip(FEATURE_SIZES[size], BOXES_PER_CELL[size], strict=True)
    counts = [side * side * boxes for side, boxes in cells]
    assert logits.shape == (1, sum(counts), 21) and offsets.shape == (1, sum(counts), 4)
    assert logits.dtype == offsets.dtype == np.float32
    levels = np.repeat(np.arange(len(counts)), counts)[golden["sel"]]
    worst = {}
    for name, ours in (("conf", logits), ("loc", offsets)):
        mean_std = (ours.mean(dtype=np.float64), ours.std(dtype=np.float64))
        np.testing.assert_allclose(mean_std, golden[f"{name}_mean_std"], rtol=1e-4)
        for level in range(len(counts)):
            rows = levels == level
            assert rows.any()
            reference = golden[name][rows]
            error = np.abs(ours[0, golden["sel"][rows]] - reference).max() / reference.std()
            worst[f"{name}_{level}"] = float(error)
    print(f"SSD{size}: largest error in standard deviations", worst)
    assert max(worst.values()) <= 1e-4


def check_features(size, features, golden):
    for ours, theirs in FEATURES[size].items():
        feature = features[ours]
        if size == 512 and ours.startswith("conv"):
            feature = np.maximum(feature, 0)
        mean, std, low, high = golden[f"{theirs}_stats"]
        assert (1, *feature.shape) == tuple(golden[f"{theirs}_shape"])
        found = (feature.mean(), feature.std(), feature.min(), feature.max())
        np.testing.assert_allclose(found, (mean, std, low, high), rtol=1e-4, atol=1e-4 * std)
        if f"{theirs}_sample" in golden:
            rows, columns = (max(1, side // 4) for side in feature.shape[1:])
            sample = feature[::32, ::rows, ::columns]
            np.testing.assert_allclose(sample, golden[f"{theirs}_sample"], rtol=0, atol=1e-4 * std)


@pytest.mark.parametrize("size", [300, 512])
def test_outputs_and_features_equal_the_reference(size):
    logits, offsets, features, golden = run(size)
    check_heads(size, logits, offsets, golden)
    check_features(size, features, golden)
