"""Weights for inference and fine-tuning."""

from pathlib import Path

import numpy as np
import pytest

from jaxpose.errors import CheckpointError, UsageError
from jaxpose.training.checkpoint import Checkpoints
from jaxpose.training.saved_steps import list_steps
from jaxpose.training.weights import load_weights, merge_weights


def flat_state(step: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(step)
    return {
        "step": np.asarray(step, np.int32),
        "params/stem/kernel": rng.standard_normal((3, 3, 8, 8)).astype(np.float32),
        "params/head/bias": rng.standard_normal(8).astype(np.float32),
        "batch_stats/stem/mean": rng.standard_normal(8).astype(np.float32),
    }


def save_steps(directory: Path, steps, metrics=None, **options) -> None:
    with Checkpoints(directory, **options) as checkpoints:
        for step in steps:
            scores = None if metrics is None else {"pckh": metrics[step]}
            checkpoints.save(step, flat_state(step), {"step": step}, scores)


def test_load_weights_takes_any_of_three_paths_and_prefers_ema(tmp_path, monkeypatch):
    folder = tmp_path / "run" / "checkpoints"
    state = flat_state(1)
    averaged = {"ema/stem/kernel": state["params/stem/kernel"] + 1, "ema/head/bias": np.ones(8)}
    with Checkpoints(folder) as checkpoints:
        checkpoints.save(1, state, {"config": {"features": 8}})
        checkpoints.save(2, state | averaged, {})
    for path in (tmp_path / "run", folder, folder / "1"):
        weights = load_weights(path, 1)
        assert weights.step == 1 and weights.metadata == {"config": {"features": 8}}
        assert not weights.averaged and set(weights.params) == {"stem/kernel", "head/bias"}
        assert (weights.params["stem/kernel"] == state["params/stem/kernel"]).all()
        assert list(weights.batch_stats) == ["stem/mean"]
        assert (weights.batch_stats["stem/mean"] == state["batch_stats/stem/mean"]).all()
    monkeypatch.chdir(tmp_path)
    weights = load_weights("run")
    assert weights.step == 2 and weights.averaged
    assert (weights.params["stem/kernel"] == state["params/stem/kernel"] + 1).all()
    with pytest.raises(CheckpointError, match=r"no checkpoint step 5 .* available: \[1, 2\]"):
        load_weights("run", 5)
    with pytest.raises(CheckpointError, match="no checkpoint in"):
        load_weights(tmp_path / "elsewhere")


def test_load_weights_passes_by_a_damaged_best_step(tmp_path, caplog):
    save_steps(tmp_path, [1, 2, 3], {1: 9.0, 2: 8.0, 3: 7.0}, best_metric="pckh")
    assert load_weights(tmp_path).step == 1
    (tmp_path / "1/state/manifest.ocdbt").unlink()
    assert load_weights(tmp_path).step == 3
    assert any("1 is damaged" in record.getMessage() for record in caplog.records)
    assert list_steps(tmp_path) == [1, 2, 3]


def test_merge_weights():
    template = {"stem/kernel": np.zeros((2, 2), np.float32), "head/bias": np.zeros(5, np.float32)}
    loaded = {
        "stem/kernel": np.ones((2, 2), np.float64),
        "head/bias": np.ones(7, np.float32),
        "old": np.ones(1),
    }
    with pytest.raises(
        CheckpointError, match=r"head/bias: shape \(7,\), expected \(5,\).*init_skip"
    ):
        merge_weights(template, loaded)
    for pattern in ("head", "head/*", "*bias", "head/"):
        merged, report = merge_weights(template, loaded, (pattern,))
        assert merged["stem/kernel"].dtype == np.float32 and (merged["stem/kernel"] == 1).all()
        assert merged["head/bias"] is template["head/bias"]
        assert report == (["stem/kernel"], ["head/bias"], ["old"])
    with pytest.raises(UsageError, match="'hea' matches no leaf"):
        merge_weights(template, loaded, ("hea",))
