"""Exact greedy non-maximum suppression with fixed shapes."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import ArrayLike

from jaxpose.ops.boxes import pairwise_iou

# Boxes that are compared with one another at once. SSD's 400 candidates fit into one block; of
# thousands of boxes only the best few blocks are looked at before `max_outputs` are found.
_BLOCK = 512


class _Progress(NamedTuple):
    scores: jax.Array  # [N], -inf where the box is out or has had its turn
    kept: jax.Array  # int32 [max_outputs], -1 padded
    filled: jax.Array  # how many of `kept` are


def nms(
    boxes_xyxy: ArrayLike,
    scores: ArrayLike,
    iou_threshold: float | jax.Array = 0.45,
    max_outputs: int = 200,
    valid: ArrayLike | None = None,
    top_k: int | None = None,
) -> jax.Array:
    """Greedy NMS: a box stays iff its IoU with every better box that stays is <= the threshold.

    Equal to the sequential algorithm (`ApplyNMSFast` of weiliu89/caffe, branch ssd) for any
    threshold. Of equal scores the lower index goes first. Boxes without area suppress nothing and
    are suppressed by nothing. Works under jit and vmap; compares at most 512 boxes at once.

    Args:
      boxes_xyxy: [N, 4] corners, in any unit.
      scores: [N]; NaN and -inf are out.
      iou_threshold: scalar.
      max_outputs: static; the best that stay.
      valid: bool [N]; False is out. A box with a coordinate that is not finite is out as well.
      top_k: static; only so many of the best boxes take part.

    Returns:
      int32 [max_outputs]: indices into the inputs by falling score, -1 where there is none.
    """
    boxes, scores = jnp.asarray(boxes_xyxy), jnp.asarray(scores)
    boxes = boxes.astype(jnp.promote_types(boxes.dtype, jnp.float32))
    takes_part = jnp.isfinite(boxes).all(-1) & (scores > -jnp.inf)
    if valid is not None:
        takes_part &= jnp.asarray(valid, bool)
    scores = jnp.where(takes_part, scores, -jnp.inf)
    candidates = min(len(boxes), len(boxes) if top_k is None else top_k)
    if _BLOCK < candidates < len(boxes):
        scores, order = lax.top_k(scores, candidates)
        kept = nms(boxes[order], scores, iou_threshold, max_outputs)
        return jnp.where(kept >= 0, order.astype(jnp.int32)[kept], -1)

    progress = _Progress(scores, jnp.full(max_outputs, -1, jnp.int32), jnp.int32(0))
    if candidates <= _BLOCK:
        return _next_block(progress, boxes, iou_threshold, candidates).kept

    def unfinished(progress: _Progress) -> jax.Array:
        return (progress.filled < max_outputs) & (progress.scores > -jnp.inf).any()

    def body(progress: _Progress) -> _Progress:
        return _next_block(progress, boxes, iou_threshold, _BLOCK, first=False)

    return lax.while_loop(unfinished, body, progress).kept


def _next_block(
    progress: _Progress,
    boxes: jax.Array,
    iou_threshold: float | jax.Array,
    size: int,
    first: bool = True,
) -> _Progress:
    """Decide on the best `size` boxes that have not had their turn."""
    scores, order = lax.top_k(progress.scores, size)
    # One row of memory per coordinate lets the CPU compare many boxes per instruction.
    block = lax.optimization_barrier(boxes[order].T).T
    alive = scores > -jnp.inf
    if not first:
        overlaps = pairwise_iou(boxes[progress.kept], block) > iou_threshold
        alive &= ~(overlaps & (progress.kept >= 0)[:, None]).any(0)
    keep = _greedy(block, alive, iou_threshold)
    max_outputs = len(progress.kept)
    place = jnp.where(keep, progress.filled + jnp.cumsum(keep) - 1, max_outputs)
    return _Progress(
        scores=progress.scores.at[order].set(-jnp.inf, unique_indices=True),
        kept=progress.kept.at[place].set(order.astype(jnp.int32), mode="drop"),
        filled=jnp.minimum(progress.filled + keep.sum(dtype=jnp.int32), max_outputs),
    )


def _greedy(boxes: jax.Array, alive: jax.Array, iou_threshold: float | jax.Array) -> jax.Array:
    """Which of `boxes` [K, 4], best first, stay: bool [K].

    `keep = alive and not suppressed by a better kept box` has one fixed point, the greedy result,
    since box k depends on better boxes only: after round r the first r are final, whatever came
    before. So iterating until nothing changes is exact; it takes as many rounds as the longest
    chain of boxes that suppress one another (4 to 9 on SSD's outputs), not K.
    """
    rank = jnp.arange(len(boxes))
    overlaps = pairwise_iou(boxes, boxes) > iou_threshold
    # Zeros and ones: how many kept boxes suppress a box is a product of a vector and this matrix,
    # for which every device has fast code. No rounding makes a sum of ones 0.
    suppresses = (overlaps & (rank[:, None] < rank)).astype(jnp.float32)

    def body(state: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        keep, _ = state
        found = alive & (keep.astype(jnp.float32) @ suppresses == 0)
        return found, (found != keep).any()

    return lax.while_loop(lambda state: state[1], body, (alive, alive.any()))[0]
