"""From a weight file to boxes and joints, against what PyTorch made of it (golden/imports.npz)."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxpose.ops import affine
from jaxpose.tasks import pose_prediction
from jaxpose.tasks.detection_augment import prepare

DETECTORS = ["torchvision_ssd", "ssd_pytorch", "ssd512"]


def run_detector(network, image):
    """Raw outputs and rows (class, score, box in px) of one picture."""
    config, (height, width) = network.config, image.shape[:2]
    batch = {
        "image": image[None],
        "valid": np.array([[0, 0, width, height]], np.float32),
        "size": np.array([[width, height]], np.float32),
    }
    view = (config.input_size[0], config.mean, config.channels, config.antialias)

    @jax.jit
    def run(variables):
        inputs, _ = prepare(batch, *view)
        return network.task.model.apply(variables, inputs), network.task.predict(variables, batch)

    outputs, found = jax.tree.map(lambda a: np.asarray(a)[0], run(network.variables))
    rows = np.concatenate([found["classes"][:, None], found["scores"][:, None], found["boxes"]], 1)
    return outputs, rows[found["valid"]]


@pytest.mark.parametrize("case", DETECTORS)
def test_detector(case, imported, golden, photograph):
    done, network = imported(case)
    assert network.config.classes == ("cat", "dog", "person")
    assert done.parameters == sum(a.size for a in jax.tree.leaves(network.variables))
    (logits, offsets), rows = run_detector(network, photograph)
    for ours, name in ((logits, "logits"), (offsets, "offsets")):
        np.testing.assert_allclose(ours[::97], golden[case][name], rtol=0, atol=1e-3)
    expected = golden[case]["found"]
    assert rows.shape == expected.shape and len(rows) > 150
    lacking = 0
    for row in expected:  # scores that are equal to rounding change places
        same = rows[(rows[:, 0] == row[0]) & (np.abs(rows[:, 1] - row[1]) < 1e-4)]
        lacking += np.abs(same[:, 2:] - row[2:]).max(1).min(initial=np.inf) > 0.01
    # And of two boxes that suppress one another either may come first.
    assert lacking <= {"ssd512": 2}.get(case, 0)


@pytest.mark.parametrize("case", ["pytorch_pose", "princeton"])
def test_hourglass(case, imported, golden, photograph):
    _, network = imported(case)
    steps = pose_prediction.pose_steps(network.config, flip_test=False)
    center, side = jnp.array([[320.0, 240.0]]), jnp.array([640.0])
    crop = affine.crop_matrix(center, side / 200, steps.size)
    batch = {"image": jnp.asarray(photograph[None]), "matrix": jnp.eye(2, 3)[None]}

    @jax.jit
    def run(variables):
        inputs = steps.show(batch, crop, jnp.arange(1))
        maps = network.task.model.apply(variables, inputs)
        return maps, steps.estimate(variables, inputs, crop)

    maps, found = run(network.variables)
    sampled = np.asarray(maps)[:, 0, ::8, ::8].transpose(0, 3, 1, 2)
    np.testing.assert_allclose(sampled, golden[case]["maps"], rtol=0, atol=1e-4)
    expected, points = golden[case]["points"], np.asarray(found["points"][0])
    there = np.isfinite(expected[:, 0])
    assert there.sum() == 13
    np.testing.assert_allclose(points[there], expected[there], rtol=0, atol=1e-3)
    assert (np.asarray(found["scores"][0])[~there] <= 0).all()


def test_configs_tell_what_the_sources_did(imported):
    config = imported("torchvision_ssd")[1].config
    assert config.channels == "rgb" and config.input_size == (300, 300) and not config.antialias
    assert config.mean == pytest.approx((122.99925, 116.9991, 103.9992))
    assert config.default_boxes.to_dict() == {
        "scales": "coco", "truncate_sizes": False, "clip": "wh",
    }  # fmt: skip
    assert config.detect.clip and config.detect.max_log_scale == pytest.approx(np.log(62.5))
    config = imported("ssd512")[1].config
    assert config.input_size == (512, 512) and config.default_boxes.clip == "cxcywh"
    assert (config.detect.pre_nms_top_k, config.detect.max_outputs) == (200, 600)
    config = imported("princeton")[1].config
    assert config.mean == (0, 0, 0) and config.heatmap.quarter_at_borders
    config = imported("pytorch_pose")[1].config
    assert config.mean == (0.4404, 0.4440, 0.4327) and config.heatmap.first_pixel == 2
    assert config.joints[6:8] == ("pelvis", "thorax") and config.model.stem == "pytorch_pose"
    assert (config.model.stacks, config.model.blocks, config.model.depth) == (2, 2, 2)


def test_imported_networks_estimate_people_and_start_training(imported, photograph):
    import optax

    import jaxpose
    from jaxpose.pipelines.start import starting_state
    from jaxpose.tasks import make_task
    from jaxpose.training.checkpoint import Checkpoints

    detector, (pose, network) = imported("torchvision_ssd")[0], imported("pytorch_pose")
    estimator = jaxpose.PoseEstimator.restore(
        detector=detector.output, pose=pose.output, det_threshold=0.3, max_persons=3
    )
    people = estimator(photograph)
    assert 0 < len(people) <= 3 and people[0].joint_names == network.config.joints
    config = network.config.copy_and_resolve_references().unlock()
    config.init_from = str(pose.output)
    with Checkpoints(pose.output.parent / "new", asynchronous=False) as checkpoints:
        state, step = starting_state(config, make_task(config), optax.identity(), checkpoints)
    kernel = network.variables["params"]["stem"]["conv"]["kernel"]
    np.testing.assert_array_equal(state.params["stem/conv/kernel"], kernel)
    assert step == 0
