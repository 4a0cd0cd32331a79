"""The pose task's loss: golden numbers, and which maps pull on the network."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from jaxpose.skeletons import POSETRACK17
from jaxpose.tasks import pose

GOLDEN = Path(__file__).parent.parent / "golden"
JOINTS = POSETRACK17.size


def test_masked_mse_equals_the_reference():
    golden = np.load(GOLDEN / "h_loss.npz")
    with jax.enable_x64(True):
        to_nhwc = (0, 2, 3, 1)
        outputs = jnp.asarray(golden["loss_out"].astype(np.float64).transpose(to_nhwc))
        targets = jnp.asarray(golden["target"].astype(np.float64).transpose(to_nhwc))
        plain = pose.masked_mse(outputs[None], targets, jnp.ones((3, 16)))
        np.testing.assert_allclose(plain[0], golden["loss_plain_mse"], rtol=1e-6)
        # JointsMSELoss multiplies maps by the weight, halves, and divides by all joints.
        weights = jnp.asarray(golden["loss_weight"][..., 0])
        weighted = pose.masked_mse(outputs[None], targets, weights)[0]
        np.testing.assert_allclose(
            weighted * weights.sum() / weights.size / 2,
            golden["loss_bearpaw_JointsMSE"],
            rtol=1e-6,
        )


def targets_batch(rows=2):
    rng = np.random.default_rng(1)
    return {
        "points": jnp.asarray(rng.uniform(8, 88, (rows, JOINTS, 2)), jnp.float32),
        "annotated": jnp.ones((rows, JOINTS), bool),
        "joint_mask": jnp.ones((rows, JOINTS)),
        "mask": jnp.ones(rows),
    }


def loss_gradient(batch, **options):
    outputs = jnp.ones((2, 2, 24, 32, JOINTS))
    options = {"sigma": 1.0, "zero_map_for_missing": False} | options
    return jax.grad(lambda o: pose.loss(o, batch, **options)[0])(outputs)


def test_unannotated_and_missing_joints_and_padding_pull_nothing():
    batch = targets_batch()
    batch["annotated"] = batch["annotated"].at[0, 3].set(False)
    batch["joint_mask"] = batch["joint_mask"].at[:, 5].set(0)
    batch["mask"] = batch["mask"].at[1].set(0)
    gradient = loss_gradient(batch)
    pulled = np.asarray(jnp.abs(gradient).sum((0, 2, 3)) > 0)
    expected = np.ones((2, JOINTS), bool)
    expected[0, 3] = expected[:, 5] = expected[1] = False
    np.testing.assert_array_equal(pulled, expected)


def test_zero_map_for_missing_pulls_unannotated_joints_to_zero_but_not_lacking_ones():
    batch = targets_batch()
    batch["annotated"] = batch["annotated"].at[0, 3].set(False)
    batch["joint_mask"] = batch["joint_mask"].at[:, 5].set(0)
    gradient = loss_gradient(batch, zero_map_for_missing=True)
    assert (np.asarray(gradient[:, 0, ..., 3]) > 0).all()
    assert not np.asarray(gradient[..., 5]).any()


def test_loss_is_the_sum_over_stacks_and_ignores_how_many_joints_are_missing():
    batch = targets_batch()
    outputs = jnp.zeros((2, 2, 24, 32, JOINTS))
    total, parts = pose.loss(outputs, batch, sigma=1.0, zero_map_for_missing=False)
    assert set(parts) == {"heatmap_mse_stack0", "heatmap_mse_stack1"}
    np.testing.assert_allclose(total, sum(parts.values()), rtol=1e-6)
    half = batch | {"joint_mask": batch["joint_mask"].at[:, 7:].set(0)}
    fewer, _ = pose.loss(outputs, half, sigma=1.0, zero_map_for_missing=False)
    # All patches lie inside, so every map has the same error against zeros.
    np.testing.assert_allclose(fewer, total, rtol=1e-4)
    none, _ = pose.loss(
        outputs, batch | {"mask": jnp.zeros(2)}, sigma=1.0, zero_map_for_missing=False
    )
    assert none == 0
