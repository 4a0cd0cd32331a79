"""Detector, pose network and all between them in one file that needs only jax and NumPy.

The file is an npz without pickle: `stablehlo`, the function as `jax.export` serialises it, for CPU,
CUDA and TPU and any number of frames; `weights/...`, its parameters, which are its arguments, so
that the function stays small; `document`, JSON that says what it takes and gives.
tools/load_export.py reads it.

In half precision the parameters are the checkpoints' own and the function multiplies BatchNorms
into convolutions itself, since products would be rounded once more. A CPU needs some 40 ms for it
at every call; there, half precision is for storage.
"""

import json
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax import export

import jaxpose
from jaxpose.config import skeleton_of
from jaxpose.errors import CheckpointError, UsageError
from jaxpose.inference.folded import folded, folded_variables
from jaxpose.inference.options import Options, in_effect
from jaxpose.inference.people_function import people_function
from jaxpose.inference.restore import Restored, restore
from jaxpose.training.state import flatten, unflatten
from jaxpose.training.weight_file import stored, write_arrays

SCHEMA_VERSION = 1
PLATFORMS = ("cpu", "cuda", "tpu")
# Parameters alone are stored in half precision, not statistics, as in `weight_file`.
_STATISTICS = ("detector/batch_stats/", "pose/batch_stats/")
_CONVENTION = {
    "call": "jax.export.deserialize(stablehlo).call(weights, images, sizes)",
    "weights": "dict of the arrays 'weights/NAME' by NAME; float16 ones as float32",
    "images": "uint8 [B, canvas, canvas, 3] RGB; frames at the top left, black elsewhere",
    "sizes": "float32 [B, 2], width and height of each frame, px",
    "returns": "dict: boxes [B, M, 4] xyxy px, scores [B, M], keypoints [B, M, K, 2] px, "
    "keypoint_scores [B, M, K], all float32, and valid bool [B, M]; by falling score, zeros where "
    "not valid",
}


def export_people(
    detector: str | Path,
    pose: str | Path,
    output: str | Path,
    *,
    canvas: int = 640,
    half: bool = False,
    **options: Any,
) -> dict[str, Any]:
    """Write the function that `PoseEstimator` is, with its weights, into one file.

    Args:
      detector, pose: checkpoints, see `jaxpose.restore`.
      output: the file.
      canvas: longest side of the frames that it will take, px.
      half: store parameters as float16, half the size; they are used as float32. Nothing is lost
        of checkpoints that hold float16 themselves, as those of the package do.
      options: fields of `inference.options.Options` that `people_function` has a use for; the file
        holds the detector's own threshold where none is given.

    Returns:
      the document that was written, with `stablehlo_bytes` and `file_bytes`.

    Raises:
      CheckpointError: nothing intact there, or the file cannot be written. UsageError: a network of
        the other task, a detector without the class `person`, or an option out of range.
    """
    if canvas < 1:
        raise UsageError(f"canvas is {canvas}; it must be 1 px or more")
    if not Path(output).absolute().parent.is_dir():  # said before minutes are spent
        raise CheckpointError(f"cannot write {output}: there is no such folder")
    restored = {"detector": restore(detector), "pose": restore(pose)}
    networks = {role: folded(network) for role, network in restored.items()}
    chosen = in_effect(Options(**options), networks["detector"].config)
    kept = restored if half else networks
    weights = {
        name: np.asarray(value)
        for name, value in flatten({r: n.variables for r, n in kept.items()}).items()
    }
    exported = exported_people(networks, chosen, canvas, weights)
    stablehlo = exported.serialize()
    document = _document(networks, chosen, canvas, exported)
    text = json.dumps(document).encode()
    arrays = {
        "document": np.frombuffer(text, np.uint8),
        "stablehlo": np.frombuffer(stablehlo, np.uint8),
    }
    for name, value in weights.items():
        arrays[f"weights/{name}"] = stored(name, value, half and not name.startswith(_STATISTICS))
    write_arrays(output, arrays)
    sizes = {"stablehlo_bytes": len(stablehlo), "file_bytes": Path(output).stat().st_size}
    return document | sizes


def exported_people(
    networks: dict[str, Restored], options: Options, canvas: int, weights: dict[str, np.ndarray]
) -> export.Exported:
    """The function (flat weights, images, sizes) -> people, traced and lowered.

    Args:
      networks: `folded`.
      weights: theirs, or those of the networks that were folded.
    """
    people = people_function(networks["detector"], networks["pose"], options)

    def function(weights: Any, images: jax.Array, sizes: jax.Array) -> dict[str, jax.Array]:
        variables = {
            role: folded_variables(network, np.float32)
            for role, network in unflatten(weights).items()
        }
        return people(variables, images, sizes)

    (frames,) = export.symbolic_shape("frames")
    return export.export(jax.jit(function), platforms=PLATFORMS)(
        {name: jax.ShapeDtypeStruct(w.shape, w.dtype) for name, w in weights.items()},
        jax.ShapeDtypeStruct((frames, canvas, canvas, 3), np.uint8),
        jax.ShapeDtypeStruct((frames, 2), np.float32),
    )


def _document(
    networks: dict[str, Restored], options: Options, canvas: int, exported: export.Exported
) -> dict[str, Any]:
    skeleton = skeleton_of(networks["pose"].config)
    used = ("det_threshold", "nms_iou", "max_persons", "joint_score", "flip_test")
    return {
        "schema_version": SCHEMA_VERSION,
        "canvas": canvas,
        "joints": list(skeleton.joints),
        "limbs": [list(limb) for limb in skeleton.limbs],
        "options": {name: getattr(options, name) for name in used},
        "digests": {role: network.digest for role, network in networks.items()},
        "platforms": list(exported.platforms),
        "versions": {
            "jaxpose": jaxpose.__version__,
            "jax": jax.__version__,
            "calling_convention": exported.calling_convention_version,
        },
        "convention": _CONVENTION,
    }
