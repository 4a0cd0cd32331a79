"""SSD's training loss and its path from network outputs to detections.

Class 0 is the background; boxes and default boxes are fractions of the network input, 0..1.
Sources: multibox_loss_layer.cpp and detection_output_layer.cpp of weiliu89/caffe (branch ssd).
"""

from functools import partial

import jax
import jax.numpy as jnp
from jax import lax

from jaxpose.ops.boxes import MAX_LOG_SCALE, decode_offsets
from jaxpose.ops.nms import nms
from jaxpose.ops.rows import on_own_rows

# (image, class) pairs whose NMS runs at once: 160 KB each for 400 candidates.
_PAIRS_AT_ONCE = 128


def multibox_loss(
    class_logits: jax.Array,
    offsets: jax.Array,
    labels: jax.Array,
    target_offsets: jax.Array,
    negative_ratio: float = 3,
    candidates: jax.Array | None = None,
) -> tuple[jax.Array, jax.Array]:
    """Smooth L1 and cross entropy with hard negative mining (section 2.2 of the SSD paper).

    Per image the negatives are the unmatched default boxes of largest background loss,
    min(`negative_ratio` * positives, candidates) of them exactly, so an image without positives
    has none (Caffe, torchvision). Of equal losses the lower index goes first.

    Args:
      class_logits: [B, P, C]; computed in float32 at least.
      offsets: [B, P, 4], encoded.
      labels: int [B, P], 1..C-1 for positives and 0 for unmatched default boxes.
      target_offsets: [B, P, 4], encoded; only those of positives matter, others may be NaN.
      negative_ratio: negatives per positive.
      candidates: bool [B, P], which unmatched default boxes may be negatives; None for all.

    Returns:
      (loc, conf): scalar sums, both divided by max(1, positives of the whole batch).
    """
    positive, unmatched = labels > 0, labels == 0
    log_probs = jax.nn.log_softmax(_wide(class_logits))
    # A comparison, not a gather: its gradient is no scatter, which is slow on a TPU.
    is_label = labels[..., None] == jnp.arange(log_probs.shape[-1])
    cross_entropy = -jnp.where(is_label, log_probs, 0).sum(-1)
    if candidates is not None:
        unmatched &= candidates
    wanted = (negative_ratio * positive.sum(-1)).astype(jnp.int32)
    negative = _hardest(cross_entropy, unmatched, wanted)
    conf = jnp.where(positive | negative, cross_entropy, 0).sum()
    # Masked before the loss, not after: 0 * NaN in the gradient of a target that does not count.
    error = jnp.where(positive[..., None], _wide(offsets) - _wide(target_offsets), 0)
    loc = _smooth_l1(error).sum()
    normaliser = jnp.maximum(positive.sum(), 1)
    return loc / normaliser, conf / normaliser


def detect(
    class_logits: jax.Array,
    offsets: jax.Array,
    default_boxes: jax.Array,
    score_threshold: float = 0.01,
    iou_threshold: float = 0.45,
    pre_nms_top_k: int = 400,
    max_outputs: int = 200,
    clip: bool = False,
    max_log_scale: float = MAX_LOG_SCALE,
) -> tuple[jax.Array, jax.Array, jax.Array, jax.Array]:
    """Detections of a batch as Caffe makes them: per class NMS, then the best over all classes.

    A default box may be detected as several classes. Those with NaN in their outputs are left out.

    Args:
      class_logits: [B, P, C], C >= 2.
      offsets: [B, P, 4], encoded.
      default_boxes: [P, 4] cxcywh.
      score_threshold: softmax probabilities must exceed it.
      iou_threshold: NMS within a class keeps a box iff its IoU with better kept ones is <= this.
      pre_nms_top_k: so many of the best boxes of a class enter NMS; 200 for ssd.pytorch.
      max_outputs: detections per image over all classes.
      clip: cut boxes to the image before NMS, as torchvision does; Caffe does not.
      max_log_scale: see `decode_offsets`.

    Returns:
      boxes_xyxy [B, N, 4], scores [B, N] falling, classes int32 [B, N] in 1..C-1, valid bool
      [B, N]; zeros where there is no detection. N is `max_outputs`, or less where that is more
      than NMS can let through, (C - 1) * `pre_nms_top_k`.
    """
    boxes = decode_offsets(_wide(offsets), default_boxes, max_log_scale)
    if clip:
        boxes = jnp.clip(boxes, 0, 1)
    probabilities = jax.nn.softmax(_wide(class_logits))[..., 1:]
    scores = jnp.where(probabilities > score_threshold, probabilities, -jnp.inf)
    best_of_images = partial(
        _best_of_images,
        iou_threshold=iou_threshold,
        top_k=pre_nms_top_k,
        max_outputs=max_outputs,
    )
    return on_own_rows(best_of_images)(boxes, scores)


def _best_of_images(
    boxes: jax.Array, scores: jax.Array, *, iou_threshold: float, top_k: int, max_outputs: int
) -> tuple[jax.Array, jax.Array, jax.Array, jax.Array]:
    """What `detect` returns, from boxes [B, P, 4] and scores [B, P, C-1], -inf where out."""

    def kept_of_class(scores: jax.Array) -> tuple[jax.Array, jax.Array]:
        def of_image(boxes: jax.Array, scores: jax.Array) -> tuple[jax.Array, jax.Array]:
            kept = nms(boxes, scores, iou_threshold, min(max_outputs, top_k), top_k=top_k)
            return kept, jnp.where(kept >= 0, scores[kept], -jnp.inf)

        return jax.vmap(of_image)(boxes, scores)

    batch, _, classes = scores.shape
    # jax.export may leave the batch size open; then nothing is known but that 1 class will do.
    at_once = min(classes, max(1, _PAIRS_AT_ONCE // batch)) if isinstance(batch, int) else 1
    kept, scores = lax.map(kept_of_class, jnp.moveaxis(scores, -1, 0), batch_size=at_once)
    best = partial(_best, count=min(max_outputs, classes * kept.shape[-1]))
    return jax.vmap(best, in_axes=(0, 1, 1))(boxes, kept, scores)


def _best(
    boxes: jax.Array, kept: jax.Array, scores: jax.Array, count: int
) -> tuple[jax.Array, jax.Array, jax.Array, jax.Array]:
    """The `count` best detections of an image, from boxes [P, 4] and lists [C-1, M] by class."""
    best, index = lax.top_k(scores.reshape(-1), count)
    valid = best > -jnp.inf
    classes = (index // scores.shape[1] + 1).astype(jnp.int32)
    found = boxes[kept.reshape(-1)[index]]
    return (
        jnp.where(valid[:, None], found, 0),
        jnp.where(valid, best, 0),
        jnp.where(valid, classes, 0),
        valid,
    )


def _hardest(losses: jax.Array, candidates: jax.Array, wanted: jax.Array) -> jax.Array:
    """The `wanted` [B] candidates of largest loss (all, where there are fewer): bool [B, P].

    By rank, not by a threshold on the loss, so that equal losses cannot change the number; one
    sort of the losses alone is cheaper than ranking by sorting twice.
    """
    losses = lax.stop_gradient(jnp.where(candidates, losses, -jnp.inf))
    wanted = jnp.minimum(wanted, candidates.sum(-1))[:, None]
    ordered = jnp.sort(losses, descending=True)
    smallest = jnp.take_along_axis(ordered, jnp.maximum(wanted - 1, 0), -1)
    above, equal = losses > smallest, losses == smallest
    places_left = wanted - above.sum(-1, keepdims=True)
    return above | (equal & (jnp.cumsum(equal, -1) <= places_left))


def _smooth_l1(error: jax.Array) -> jax.Array:
    """error^2 / 2 up to 1 and |error| - 1/2 beyond, without squaring a large error."""
    size = jnp.abs(error)
    inner = jnp.minimum(size, 1)
    return inner * (size - inner / 2)


def _wide(values: jax.Array) -> jax.Array:
    values = jnp.asarray(values)
    return values.astype(jnp.promote_types(values.dtype, jnp.float32))
