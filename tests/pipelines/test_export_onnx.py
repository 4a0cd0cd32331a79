"""ONNX models of both networks against jax, and what is refused. Needs the extra `onnx`."""

import json
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")

from jaxpose.errors import CheckpointError, JaxposeError  # noqa: E402
from jaxpose.inference.restore import restore  # noqa: E402
from jaxpose.models.hourglass import StackedHourglass  # noqa: E402
from jaxpose.models.ssd import SSD  # noqa: E402
from jaxpose.pipelines import export_onnx  # noqa: E402
from jaxpose.pipelines.onnx_primitives import trace  # noqa: E402

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("task", "outputs", "kinds"),
    [
        ("pose", {"heatmaps": ["batch", 16, 12, 15]}, {"Conv", "Relu", "Expand"}),
        (
            "detection",
            {"logits": ["batch", 380, 2], "offsets": ["batch", 380, 4]},
            {"Conv", "MaxPool"},
        ),
    ],
)
def test_the_command_writes_a_model_that_equals_the_network(
    networks, tmp_path, task, outputs, kinds
):
    file = tmp_path / "network.onnx"
    command = [sys.executable, "tools/export_onnx.py", str(networks[task]), str(file)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("max abs error") == len(outputs), done.stdout
    model = onnx.load(file)
    shapes = {
        output.name: [d.dim_param or d.dim_value for d in output.type.tensor_type.shape.dim]
        for output in model.graph.output
    }
    assert shapes == outputs
    found = {node.op_type for node in model.graph.node}
    # BatchNorm of the tiny detector is within its convolutions.
    assert kinds <= found and "BatchNormalization" not in found
    told = {entry.key: entry.value for entry in model.metadata_props}
    names = told["joints"] if task == "pose" else told["classes"]
    assert {"left_ankle", "person"} & set(json.loads(names))
    network = restore(networks[task])
    images = np.random.default_rng(0).random((2, *network.task.input_shape), "f4")
    ours = onnxruntime.InferenceSession(file).run(list(outputs), {"images": images})
    expected = jax.jit(network.task.model.apply)(network.variables, images)
    expected = [expected[-1]] if task == "pose" else expected
    for value, wanted in zip(ours, expected, strict=True):
        np.testing.assert_allclose(value, wanted, atol=1e-4 * np.abs(wanted).max())


@pytest.mark.parametrize(
    ("model", "shape"),
    [
        (StackedHourglass(3, stacks=2, blocks=1, features=8, depth=2), (32, 48, 3)),
        (StackedHourglass(3, 1, 2, 8, stem="pytorch_pose", depth=1), (16, 16, 3)),
        (SSD(300, 4, width=1 / 16), (300, 300, 3)),
        (SSD(512, 2, width=1 / 16), (512, 512, 3)),
    ],
    ids=["stacks", "pytorch_pose", "ssd300", "ssd512"],
)
def test_other_networks_with_all_their_values_drawn(model, shape, tmp_path):
    """Statistics and biases too, so that none may be left out; without BatchNorm as with it."""
    drawn = np.random.default_rng(0)
    shapes = jax.eval_shape(lambda: model.init(jax.random.key(0), jnp.zeros((1, *shape))))

    def value(path, leaf):
        name = path[-1].key
        low, high = (0.5, 2) if name in ("var", "scale") else (-0.2, 0.2)
        return drawn.uniform(low, high, leaf.shape).astype(np.float32)

    variables = jax.tree_util.tree_map_with_path(value, shapes)
    graph, outputs, images = trace(lambda x: jax.tree.leaves(model.apply(variables, x)), shape)
    named = {f"output{n}": output for n, output in enumerate(outputs)}
    written = graph.model("network", {images: ("batch", *shape)}, named, {})
    session = onnxruntime.InferenceSession(written.SerializeToString())
    batch = drawn.standard_normal((2, *shape), np.float32)
    for ours, expected in zip(
        session.run(list(named), {images: batch}),
        jax.tree.leaves(jax.jit(model.apply)(variables, batch)),
        strict=True,
    ):
        np.testing.assert_allclose(ours, expected, atol=1e-4 * np.abs(expected).max())


def test_a_model_that_differs_is_refused(networks, tmp_path, monkeypatch):
    good = export_onnx.onnx_model

    def damaged(network):
        model = good(network)
        kernel = next(t for t in model.graph.initializer if len(t.dims) == 4)
        kernel.raw_data = (onnx.numpy_helper.to_array(kernel) * np.float32(1.01)).tobytes()
        return model

    monkeypatch.setattr(export_onnx, "onnx_model", damaged)
    with pytest.raises(JaxposeError, match="heatmaps differ from the network's by .* do not use"):
        export_onnx.export_onnx(networks["pose"], tmp_path / "pose.onnx")
    with pytest.raises(CheckpointError, match="cannot write"):
        export_onnx.export_onnx(networks["pose"], tmp_path / "nowhere" / "pose.onnx")


def test_a_primitive_without_counterpart_is_named():
    with pytest.raises(NotImplementedError, match="uses sin, which has no ONNX counterpart"):
        trace(lambda x: [jnp.sin(x)], (4, 4, 3))
    with pytest.raises(NotImplementedError, match="conversion to int32"):
        trace(lambda x: [x.astype(jnp.int32)], (4, 4, 3))
