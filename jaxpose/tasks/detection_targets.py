"""What the default boxes of an image learn: class, offsets, and which of them may be negatives."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxpose.ops.boxes import area, encode_offsets, intersection, to_xyxy
from jaxpose.ops.matching import Mode, match_with_overlaps

# A default box that lies in an ignored region with more than this share of its area is no negative.
IGNORED_SHARE = 0.5


class Targets(NamedTuple):
    """What the default boxes of one image learn.

    Attributes:
      labels: int32 [P], class 1.. of matched default boxes, 0 for the others.
      offsets: [P, 4] encoded offsets to the matched box; meaningless where labels are 0.
      candidates: bool [P], default boxes that may be negatives.
    """

    labels: jax.Array
    offsets: jax.Array
    candidates: jax.Array


def assign_targets(
    boxes_xyxy: jax.Array,
    labels: jax.Array,
    ignore_xyxy: jax.Array,
    anchors: np.ndarray,
    *,
    overlap_threshold: float = 0.5,
    negative_overlap: float = 0.5,
    mode: Mode = "caffe",
) -> Targets:
    """What each default box of one image learns; vmap it over a batch.

    Args:
      boxes_xyxy: [G, 4] ground truth in fractions of the network input; labels: [G], 0 for none.
      ignore_xyxy: [I, 4] regions (crowds, ignore polygons) that give no negatives; zeros for none.
      anchors: default boxes [P, 4] cxcywh, fractions.
      overlap_threshold: smallest IoU of a match beyond the best default box of each object.
      negative_overlap: unmatched default boxes of at least this IoU with an object are neither
        positives nor negatives (Caffe's neg_overlap).
      mode: of `match`.
    """
    index, best_iou = match_with_overlaps(boxes_xyxy, labels > 0, anchors, overlap_threshold, mode)
    matched = index >= 0
    row = jnp.maximum(index, 0)
    offsets = encode_offsets(boxes_xyxy[row], anchors)
    corners = to_xyxy(jnp.asarray(anchors))
    shared = intersection(corners[:, None], ignore_xyxy[None])
    ignored = (shared > IGNORED_SHARE * area(corners)[:, None]).any(1)
    return Targets(
        labels=jnp.where(matched, labels[row], 0),
        offsets=jnp.where(matched[:, None], offsets, 0),
        candidates=~matched & ~ignored & (best_iou < negative_overlap),
    )
