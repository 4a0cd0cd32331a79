"""The estimator's four jitted functions, over fixed shapes.

    canvases --show--> network input --detect--> boxes      people of many frames
    canvases + boxes --crop--> network input --estimate--> joints

`show` and `crop` fill slots of a batch that lies on the device and is donated to them, so batches
of the two networks are filled from canvases of several sides. They compile once for each side; the
networks, which take nearly all the time to compile, once.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxpose.errors import UsageError
from jaxpose.inference.restore import Restored
from jaxpose.tasks.detection_prediction import PersonSteps, person_steps
from jaxpose.tasks.pose_prediction import PoseSteps, pose_steps


class DetectorFunctions(NamedTuple):
    """Jitted functions of the detector.

    Attributes:
      input_shape: (S, S, 3).
      show: (inputs [D, S, S, 3], canvases [R, side, side, 3], valid [R, 4], slots [R]) -> inputs,
        in which canvas i replaced row slots[i]; slots beyond D are left out.
      detect: (variables, inputs, sizes [D, 2]) -> float32 [D, N, 5]: box xyxy in source px and
        score by falling score; score 0 where there is none.
      variables: of the network, on the device.
    """

    input_shape: tuple[int, int, int]
    show: Callable[..., jax.Array]
    detect: Callable[..., jax.Array]
    variables: Any


class PoseFunctions(NamedTuple):
    """Jitted functions of the pose network.

    Attributes:
      input_shape: (h, w, 3).
      crop: (crops [P, h, w, 3], canvases [R, side, side, 3], matrices [R, 2, 3] source px -> canvas
        px, rows [P], boxes [P, 4] in source px, slots [P]) -> crops, in which box i, cut out of
        canvas rows[i], replaced row slots[i]; slots beyond P are left out.
      estimate: (variables, crops, boxes [P, 4]) -> float32 [P, K, 3]: x, y in source px and peak.
      variables: of the network, on the device.
    """

    input_shape: tuple[int, int, int]
    crop: Callable[..., jax.Array]
    estimate: Callable[..., jax.Array]
    variables: Any


def detector_functions(
    restored: Restored, score_threshold: float, iou_threshold: float
) -> DetectorFunctions:
    """The detector's functions.

    Raises:
      UsageError: another task's network, or one that knows no class `person`.
    """
    require_task(restored, "detection", "detector")
    steps = person_steps(
        restored.config, score_threshold=score_threshold, iou_threshold=iou_threshold
    )
    return DetectorFunctions(
        (steps.size, steps.size, 3),
        jax.jit(_shower(steps), donate_argnums=0),
        jax.jit(_detector(steps)),
        restored.variables,
    )


def pose_functions(restored: Restored, flip_test: bool) -> PoseFunctions:
    """The pose network's functions; UsageError for another task's network."""
    require_task(restored, "pose", "pose network")
    steps = pose_steps(restored.config, flip_test)
    return PoseFunctions(
        (*steps.size, 3),
        jax.jit(_cropper(steps), donate_argnums=0),
        jax.jit(_estimator(steps)),
        restored.variables,
    )


def empty_batch(rows: int, shape: tuple[int, int, int]) -> jax.Array:
    """A network's input batch on the device, all zeros; made without compiling anything."""
    return jax.device_put(np.zeros((rows, *shape), np.float32))


def require_task(restored: Restored, task: str, role: str) -> None:
    """UsageError unless a checkpoint in this role holds a network of this task."""
    found = restored.config.task
    if found != task:
        raise UsageError(f"the {role}'s checkpoint holds a network for {found}, not for {task}")


def _shower(steps: PersonSteps) -> Callable[..., jax.Array]:
    def show(
        inputs: jax.Array, canvases: jax.Array, valid: jax.Array, slots: jax.Array
    ) -> jax.Array:
        shown = steps.show({"image": canvases, "valid": valid})
        return inputs.at[slots].set(shown, mode="drop")

    return show


def _detector(steps: PersonSteps) -> Callable[..., jax.Array]:
    def detect(variables: Any, inputs: jax.Array, sizes: jax.Array) -> jax.Array:
        found = steps.detect(variables, inputs, sizes)
        scores = jnp.where(found["valid"], found["scores"], 0)
        return jnp.concatenate([found["boxes"], scores[..., None]], -1)

    return detect


def _cropper(steps: PoseSteps) -> Callable[..., jax.Array]:
    def crop(
        crops: jax.Array,
        canvases: jax.Array,
        matrices: jax.Array,
        rows: jax.Array,
        boxes: jax.Array,
        slots: jax.Array,
    ) -> jax.Array:
        batch = {"image": canvases, "matrix": matrices}
        shown = steps.show(batch, steps.crop(boxes), rows)
        return crops.at[slots].set(shown, mode="drop")

    return crop


def _estimator(steps: PoseSteps) -> Callable[..., jax.Array]:
    def estimate(variables: Any, crops: jax.Array, boxes: jax.Array) -> jax.Array:
        found = steps.estimate(variables, crops, steps.crop(boxes))
        return jnp.concatenate([found["points"], found["scores"][..., None]], -1)

    return estimate
