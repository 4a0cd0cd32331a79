"""Damage to a saved step, wherever it falls, is found or makes no difference."""

from pathlib import Path

import numpy as np
import pytest

from jaxpose.training.checkpoint import Checkpoints
from jaxpose.training.digests import DamageError, array_digest
from jaxpose.training.saved_steps import absolute, read_step


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


def test_absolute_leaves_urls_alone(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert str(absolute("runs/a")) == str(tmp_path / "runs/a")
    assert str(absolute("gs://bucket/runs/a")) == "gs://bucket/runs/a"


def files_of(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("damage", ["cut", "emptied", "zeroed", "deleted"])
def test_damage_to_any_file_is_detected_or_harmless(tmp_path, damage):
    save_steps(tmp_path, [1])
    expected = read_step(tmp_path / "1")
    detected = []
    for path in files_of(tmp_path / "1"):
        content = path.read_bytes()
        if damage == "deleted":
            path.unlink()
        else:
            half = content[: len(content) // 2]
            path.write_bytes({"cut": half, "emptied": b"", "zeroed": bytes(len(content))}[damage])
        try:
            loaded = read_step(tmp_path / "1")
        except DamageError:
            detected.append(path.name)
        else:
            assert loaded.digest == expected.digest
            for name, array in expected.arrays.items():
                assert array_digest(loaded.arrays[name]) == array_digest(array), (path, name)
        path.write_bytes(content)
    assert {"metadata", "manifest.ocdbt"} <= set(detected) and len(detected) >= 3


def test_a_changed_manifest_or_a_renamed_step_is_damage(tmp_path):
    save_steps(tmp_path, [1], {1: 50.0})
    file = tmp_path / "1/metadata/metadata"
    original = file.read_text()
    file.write_text(original.replace("50.0", "99.0"))
    with pytest.raises(DamageError, match="digest differs"):
        read_step(tmp_path / "1")
    file.write_text("{" + "[" * 100_000)
    with pytest.raises(DamageError, match="metadata"):
        read_step(tmp_path / "1")
    file.write_text(original)
    (tmp_path / "1").rename(tmp_path / "9")
    with pytest.raises(DamageError, match="written for step 1"):
        read_step(tmp_path / "9")
