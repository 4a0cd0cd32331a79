"""A network as an ONNX model, up to its raw outputs, compared with jax in onnxruntime.

What stands before a network (crop, mean) and after it (default boxes, NMS, reading heat maps) is
not in the model; its metadata say what it expects.
"""

import json
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import onnxruntime

import jaxpose
from jaxpose.config import skeleton_of
from jaxpose.errors import CheckpointError, JaxposeError, UsageError
from jaxpose.inference.restore import Restored, restore
from jaxpose.pipelines.onnx_primitives import BATCH, trace

# Of the largest raw output; rounding of float32 convolutions is some 1e-6.
TOLERANCE = 1e-4
_OUTPUTS = {"pose": ("heatmaps",), "detection": ("logits", "offsets")}


class Comparison(NamedTuple):
    """ONNX against jax on random images: largest error, largest output, by output's name."""

    errors: dict[str, float]
    largest: dict[str, float]


def export_onnx(checkpoint: str | Path, output: str | Path) -> Comparison:
    """Write a network as an ONNX model and compare the file with the network.

    The pose network gives `heatmaps` [B, h/4, w/4, K], those of its last stack; a detector `logits`
    [B, P, C] and `offsets` [B, P, 4]. Input `images` float32 [B, h, w, 3]; B is open.

    Args:
      checkpoint: see `jaxpose.restore`. One that computes in bfloat16 becomes a float32 model.

    Raises:
      CheckpointError: nothing intact there, or the file cannot be written. JaxposeError: the model
        differs from the network by more than `TOLERANCE` of the largest output. UsageError: a
        bottom-up network.
    """
    network = restore(checkpoint)
    model = onnx_model(network)
    try:
        Path(output).write_bytes(model.SerializeToString())
    except OSError as e:
        raise CheckpointError(f"cannot write {output}: {e.strerror or e}") from e
    found = compare(network, output)
    for name, error in found.errors.items():
        if not error <= TOLERANCE * found.largest[name]:
            raise JaxposeError(
                f"{output}: {name} differ from the network's by {error:.2g}; do not use the file"
            )
    return found


def onnx_model(network: Restored) -> Any:
    """The onnx.ModelProto of a network, parameters included."""
    if network.task.name not in _OUTPUTS:
        known = " and ".join(_OUTPUTS)
        raise UsageError(f"networks of task {network.task.name} have no ONNX form yet, {known} do")
    names, shape = _OUTPUTS[network.task.name], network.task.input_shape
    graph, outputs, images = trace(lambda x: _raw_outputs(network, x), shape)
    return graph.model(
        network.task.name,
        {images: (BATCH, *shape)},
        dict(zip(names, outputs, strict=True)),
        _metadata(network),
    )


def compare(network: Restored, path: str | Path, batches: tuple[int, ...] = (1, 3)) -> Comparison:
    """Run a file of `export_onnx` in onnxruntime on normally distributed images of each batch."""
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    found = Comparison(dict.fromkeys(names, 0.0), dict.fromkeys(names, 0.0))
    reference = jax.jit(lambda x: _raw_outputs(network, x))
    for batch in batches:
        generator = np.random.default_rng(batch)
        images = generator.standard_normal((batch, *network.task.input_shape), np.float32)
        images *= 1 if network.task.name == "pose" else 64
        ours = session.run(names, {"images": images})
        for name, value, expected in zip(names, ours, reference(images), strict=True):
            error, largest = (float(np.abs(x).max()) for x in (value - expected, expected))
            found.errors[name] = max(found.errors[name], error)
            found.largest[name] = max(found.largest[name], largest)
    return found


def _raw_outputs(network: Restored, images: jax.Array) -> tuple[jax.Array, ...]:
    model = network.task.model.clone(dtype=jnp.float32)
    outputs: Any = model.apply(network.variables, images)
    return (outputs[-1],) if network.task.name == "pose" else tuple(outputs)


def _metadata(network: Restored) -> dict[str, str]:
    config = network.config
    told: dict[str, Any] = {"jaxpose": jaxpose.__version__, "digest": network.digest}
    told |= {"mean": list(config.mean), "task": network.task.name}
    if network.task.name == "pose":
        told |= {"input": "RGB in 0..1 minus mean", "joints": list(skeleton_of(config).joints)}
    else:
        told |= {
            "input": f"{config.channels.upper()} in 0..255 minus mean (given as RGB)",
            "classes": ["background", *config.classes],
            "default_boxes": config.default_boxes.to_dict(),
        }
    return {name: v if isinstance(v, str) else json.dumps(v) for name, v in told.items()}
