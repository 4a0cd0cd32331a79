"""The estimator as one function of arrays, for export: canvases in, people of fixed shape out.

It calls the functions that the estimator calls. Shapes depend on the numbers of canvases alone, so
that number may stay open under `jax.export`; how many crops are computed depends on the people.
"""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp

from jaxpose.inference.joint_scores import JOINT_SCORES
from jaxpose.inference.options import Options, in_effect, person_threshold
from jaxpose.inference.restore import Restored
from jaxpose.inference.steps import (
    DetectorFunctions,
    PoseFunctions,
    detector_functions,
    pose_functions,
)

# As many as the estimator takes at once for a single picture.
_PEOPLE_AT_ONCE = 8
_NO_BOX = (0.0, 0.0, 1.0, 1.0)

PeopleFunction = Callable[[Mapping[str, Any], jax.Array, jax.Array], dict[str, jax.Array]]


def people_function(detector: Restored, pose: Restored, options: Options) -> PeopleFunction:
    """The estimator of two networks as a function that jax can trace.

    Args:
      options: those of the estimator; `oks_nms`, `batch_size` and `keypoint_threshold` have no
        meaning here. `pose_batch_size` people (8 without) go through the network at once.

    Returns:
      (variables of the networks under 'detector' and 'pose', canvases uint8 [B, side, side, 3],
      sizes float32 [B, 2]) -> people. Frames lie at the top left of their canvas, which is black
      elsewhere; sizes are their widths and heights, px. People of a frame by falling score, zeros
      where there is none, M = `max_persons` or all that the detector can find: boxes float32
      [B, M, 4] xyxy px, scores [B, M], keypoints [B, M, K, 2] px, keypoint_scores [B, M, K], valid
      bool [B, M].

    Raises:
      UsageError: a network of the other task, a detector without the class `person`, or an option
        out of range.
    """
    options = in_effect(options, detector.config)
    finder = detector_functions(detector, person_threshold(options), options.nms_iou)
    network = pose_functions(pose, options.flip_test)
    at_once = options.pose_batch_size or _PEOPLE_AT_ONCE
    joint_score: Callable[..., jax.Array] = JOINT_SCORES[options.joint_score]  # type: ignore[assignment]

    def people(
        variables: Mapping[str, Any], canvases: jax.Array, sizes: jax.Array
    ) -> dict[str, jax.Array]:
        rows = _found(finder, variables["detector"], canvases, sizes)[:, : options.max_persons]
        boxes, scores, valid = rows[..., :4], rows[..., 4], rows[..., 4] > 0
        joints = _joints(network, variables["pose"], canvases, boxes, valid, at_once)
        return {
            "boxes": jnp.where(valid[..., None], boxes, 0),
            "scores": scores,
            "keypoints": joints[..., :2],
            "keypoint_scores": jnp.where(
                valid[..., None], jax.vmap(joint_score)(joints[..., 2], scores), 0
            ),
            "valid": valid,
        }

    return people


def _found(
    finder: DetectorFunctions, variables: Any, canvases: jax.Array, sizes: jax.Array
) -> jax.Array:
    """Boxes of people, best first: [B, N, 5] as `DetectorFunctions.detect` returns them."""
    frames = canvases.shape[0]
    inputs = jnp.zeros((frames, *finder.input_shape), jnp.float32)
    valid = jnp.concatenate([jnp.zeros_like(sizes), sizes], -1)
    inputs = finder.show(inputs, canvases, valid, jnp.arange(frames))
    return finder.detect(variables, inputs, sizes)


def _joints(
    network: PoseFunctions,
    variables: Any,
    canvases: jax.Array,
    boxes: jax.Array,
    valid: jax.Array,
    at_once: int,
) -> jax.Array:
    """Joints [B, M, K, 3] in the boxes [B, M, 4] that are valid [B, M], zeros in the others.

    A loop over `at_once` people of any frames, as long as there are some: a crop costs far more
    than a detection, and most places of `boxes` are empty.
    """
    frames, most = valid.shape
    places = frames * most
    order = jnp.argsort(~valid.reshape(-1), stable=True)  # those that are valid first
    people = valid.sum()
    # One more than there are places, for what fills up the last round.
    boxes = jnp.concatenate([boxes.reshape(-1, 4), jnp.asarray([_NO_BOX], boxes.dtype)])
    matrices = jnp.tile(jnp.eye(2, 3), (frames, 1, 1))  # a frame lies on its canvas as it is

    def round_of(first: jax.Array) -> tuple[jax.Array, jax.Array]:
        index = first + jnp.arange(at_once)
        place = jnp.where(index < people, order.at[index].get(mode="clip"), places)
        rows = jnp.minimum(place // most, frames - 1)
        crops = jnp.zeros((at_once, *network.input_shape), jnp.float32)
        crops = network.crop(crops, canvases, matrices, rows, boxes[place], jnp.arange(at_once))
        return place, network.estimate(variables, crops, boxes[place])

    def body(state: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        first, joints = state
        place, found = round_of(first)
        return first + at_once, joints.at[place].set(found, mode="drop")

    shape = jax.eval_shape(round_of, jnp.int32(0))[1].shape[1:]
    empty = jnp.zeros((places, *shape), jnp.float32)
    _, joints = jax.lax.while_loop(lambda state: state[0] < people, body, (jnp.int32(0), empty))
    return joints.reshape(frames, most, *shape)
