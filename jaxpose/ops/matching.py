"""Which default box learns which ground-truth box: Caffe's matching and that of the torch ports."""

import functools
import math
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import ArrayLike

from jaxpose.ops.boxes import iou_remainder, pairwise_iou, to_xyxy

Mode = Literal["caffe", "torch"]

# MatchBBox of bbox_util.cpp (weiliu89/caffe, branch ssd) drops overlaps up to this.
_NEGLIGIBLE_IOU = 1e-6
# Relative error of a float32 IoU, generously.
_ROUNDING = 2e-6


class Matches(NamedTuple):
    """For each default box: its ground truth, and how much it overlaps any."""

    matches: jax.Array  # int32 [P], row of the ground truth, -1 for none
    best_iou: jax.Array  # [P], largest IoU with a usable ground-truth box, 0 where there is none


def match(
    boxes_xyxy: ArrayLike,
    valid: ArrayLike,
    default_boxes_cxcywh: ArrayLike,
    threshold: ArrayLike = 0.5,
    mode: Mode = "caffe",
) -> jax.Array:
    """Ground-truth index of each default box; see `match_with_overlaps`.

    Returns:
      int32 [P], -1 for none.
    """
    return match_with_overlaps(boxes_xyxy, valid, default_boxes_cxcywh, threshold, mode).matches


@functools.partial(jax.jit, static_argnames="mode")
def match_with_overlaps(
    boxes_xyxy: ArrayLike,
    valid: ArrayLike,
    default_boxes_cxcywh: ArrayLike,
    threshold: ArrayLike = 0.5,
    mode: Mode = "caffe",
) -> Matches:
    """Match one image's ground truth to the default boxes; vmap it over a batch.

    'caffe' (MatchBBox, bbox_util.cpp): overlaps up to 1e-6 do not count. First the pair of largest
    IoU is matched and both leave, again and again, until no pair is left; equal pairs go by the
    lower default box, then the lower ground truth. Then each other default box takes the ground
    truth of its largest IoU, if that is at least `threshold`.

    'torch' (ssd.pytorch, lufficc/SSD, torchvision): each ground truth takes the default box of its
    largest IoU, a later one from an earlier one (which may be left with none); the others as above.

    Of equal IoUs the first counts. A ground-truth row takes part if it is `usable`.

    Args:
      boxes_xyxy: [G, 4] ground truth, fractions of the network input.
      valid: [G] bool, False for padding; such rows may hold anything, NaN too.
      default_boxes_cxcywh: [P, 4], fractions of the network input.
      threshold: smallest IoU of the second phase (Caffe's `overlap_threshold`).
      mode: 'caffe' or 'torch'.

    Returns:
      Matches: matches int32 [P], best_iou [P]. The hard negatives of Caffe are chosen among the
      default boxes with match -1 and best_iou below `neg_overlap` (0.5 whatever the threshold).

    Raises:
      ValueError: `mode` is not one of the two.
    """
    if mode not in ("caffe", "torch"):
        raise ValueError(f"mode {mode!r} is not 'caffe' or 'torch'")
    boxes, defaults = jnp.asarray(boxes_xyxy), jnp.asarray(default_boxes_cxcywh)
    count = defaults.shape[0]
    if boxes.shape[0] == 0:
        return Matches(jnp.full(count, -1, jnp.int32), jnp.zeros(count, defaults.dtype))
    boxes = jnp.where(usable(boxes, valid)[:, None], boxes, 0)
    defaults = to_xyxy(defaults)
    # Labels are constants: no gradient goes into the loop of the bipartite phase.
    iou = lax.stop_gradient(pairwise_iou(boxes, defaults))
    best_iou = iou.max(0)
    accepted = (best_iou >= threshold) & (best_iou > (_NEGLIGIBLE_IOU if mode == "caffe" else 0))
    matches = jnp.where(accepted, iou.argmax(0).astype(jnp.int32), -1)
    first = _bipartite(iou, boxes, defaults) if mode == "caffe" else _best_default_box(iou)
    # A default box forced twice goes to the later ground truth ('caffe' never forces one twice);
    # max, because the order of scattered writes is undefined. `count` stands for none.
    rows = jnp.arange(boxes.shape[0], dtype=jnp.int32)
    forced = jnp.full(count, -1, jnp.int32).at[first].max(rows, mode="drop")
    return Matches(jnp.where(forced >= 0, forced, matches), best_iou)


def usable(boxes_xyxy: ArrayLike, valid: ArrayLike) -> jax.Array:
    """Rows [...] of boxes [..., 4] that can be matched: valid, finite, not empty, in the image.

    In the image means that a part of the box lies within 0..1. NaN and inf coordinates, zero or
    negative sides are not usable. Whoever encodes boxes should mask by this, not by `valid`.
    """
    boxes = jnp.asarray(boxes_xyxy)
    low, high = boxes[..., :2], boxes[..., 2:]
    inside = ((high > low) & (high > 0) & (low < 1)).all(-1)
    return (jnp.asarray(valid) > 0) & inside & jnp.isfinite(boxes).all(-1)


def _best_default_box(iou: jax.Array) -> jax.Array:
    """Default box int32 [G] of each ground truth's largest IoU [G, P]; P where all are zero."""
    return jnp.where(iou.max(1) > 0, iou.argmax(1), iou.shape[1]).astype(jnp.int32)


def _bipartite(iou: jax.Array, boxes: jax.Array, defaults: jax.Array) -> jax.Array:
    """Default box int32 [G] of each ground truth by greedy bipartite matching; P stands for none.

    As many rounds as there are matches. The default boxes lie in blocks of about sqrt(P), and the
    largest IoU of each ground truth in each block is kept, so a round reads these G * sqrt(P)
    maxima, one block and one row, not the whole of IoU [G, P].
    """
    truths, count = iou.shape
    block = math.isqrt(count - 1) + 1
    blocks = -(-count // block)
    iou = jnp.where(iou > _NEGLIGIBLE_IOU, iou, 0)
    iou = jnp.pad(iou, ((0, 0), (0, blocks * block - count)))
    by_block = iou.reshape(truths, blocks, block)

    def take_largest(state: _Greedy) -> _Greedy:
        maxima, taken, matched = state
        # Among equal pairs, taking the lower ground truth first or the lower default box first ends
        # in the same matching: either takes a pair in which both prefer each other.
        truth = maxima.max(1).argmax()
        row = jnp.where(taken, 0, by_block[truth]).reshape(-1)[:count]
        chosen = _exact_argmax(row, maxima.max(), boxes[truth], defaults)
        where, place = chosen // block, chosen % block
        taken = taken.at[where, place].set(True)
        matched = matched.at[truth].set(chosen)
        left = (matched == count)[:, None] & ~taken[where]
        left_max = jnp.where(left, by_block[:, where], 0).max(1)
        return _Greedy(maxima.at[truth].set(0).at[:, where].set(left_max), taken, matched)

    none = jnp.full(truths, count, jnp.int32)
    start = _Greedy(by_block.max(2), jnp.zeros((blocks, block), bool), none)
    return lax.while_loop(lambda state: (state.maxima > 0).any(), take_largest, start).matched


class _Greedy(NamedTuple):
    """State of the bipartite phase."""

    maxima: jax.Array  # [G, blocks] largest IoU with a default box that is left, 0 for none
    taken: jax.Array  # bool [blocks, block]
    matched: jax.Array  # int32 [G] default box, P for none yet


def _exact_argmax(
    row: jax.Array, best: jax.Array, box: jax.Array, defaults: jax.Array
) -> jax.Array:
    """int32 index of what were the largest of `row` [P], one box's IoUs, if they were not rounded.

    `best` is the largest as they are. A ground truth that contains several default boxes of one
    size, or lies in several, overlaps them all alike; which one wins must not depend on a device's
    rounding.
    """
    near = row >= best * (1 - _ROUNDING)
    excess = (row - best) + iou_remainder(box, defaults, row)
    return jnp.where(near, excess, -jnp.inf).argmax().astype(jnp.int32)
