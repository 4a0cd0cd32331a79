"""Time our NMS beside cv2.dnn.NMSBoxes: python tools/benchmark_nms.py

Both get the same boxes (scattered, of all sizes) and scores (uniform in 0..1, so that nearly all
pass the score threshold), drop scores up to 0.01, take the best `top_k` and suppress. Runs
alternate; the median time of a call is printed, divided by its images. OpenCV runs on the CPU.
"""

import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from absl import flags

from jaxpose.errors import JaxposeError, UsageError, run_main
from jaxpose.ops.nms import nms

_BOXES = flags.DEFINE_integer("boxes", 8732, "Boxes per image.", lower_bound=1)
_TOP_K = flags.DEFINE_integer("top_k", 400, "Boxes that enter NMS.", lower_bound=1)
_IOU = flags.DEFINE_float("iou_threshold", 0.45, "IoU above which a box is suppressed.", 0, 1)
_BATCH = flags.DEFINE_integer("batch", 16, "Images of the batched run.", lower_bound=1)
_ROUNDS = flags.DEFINE_integer("rounds", 30, "Alternating runs of each.", lower_bound=1)
_CALLS = flags.DEFINE_integer("calls", 10, "Calls in a run.", lower_bound=1)
_SCORE_THRESHOLD = 0.01


def main(argv: list[str]) -> None:
    """Check that both agree, time them in alternation, print medians and ratios."""
    if len(argv) > 1:
        raise UsageError(f"unexpected {argv[1:]} (see --help)")
    boxes, scores = scattered_boxes(_BATCH.value, _BOXES.value)
    # Another image at each call: on one image alone a processor learns every branch by heart.
    single, batched, reference = ours_one(boxes, scores), ours(boxes, scores), opencv(boxes, scores)
    for image, kept in enumerate(batched(0)):
        expected = reference(image).tolist()
        if kept[kept >= 0].tolist() != expected or single(image).tolist() != kept.tolist():
            raise JaxposeError(f"jaxpose and OpenCV differ on image {image}: nothing to compare")
    seconds = alternating(single, batched, reference)
    seconds[1] /= _BATCH.value
    device = jax.devices()[0]
    print(f"device: {device.platform} ({device.device_kind}), float32, jax {jax.__version__}")
    print(
        f"{_BOXES.value} boxes, best {_TOP_K.value}, IoU {_IOU.value}, {len(expected)} kept; median"
        f" of {_ROUNDS.value} alternating runs of {_CALLS.value} calls"
    )
    names = ("jaxpose, batch 1", f"jaxpose, batch {_BATCH.value}", "cv2.dnn.NMSBoxes")
    for name, value in zip(names, seconds, strict=True):
        print(f"{name:20} {1e3 * value:8.3f} ms an image  {seconds[2] / value:6.1f} times OpenCV")


def scattered_boxes(images: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Boxes float32 [images, count, 4] xyxy round 0..1 and scores float32 [images, count]."""
    rng = np.random.default_rng(0)
    center = rng.random((images, count, 2))
    half = rng.uniform(0.01, 0.16, (images, count, 2))
    boxes = np.concatenate([center - half, center + half], -1).astype(np.float32)
    return boxes, rng.random((images, count)).astype(np.float32)


def nms_of_image(boxes: jax.Array, scores: jax.Array) -> jax.Array:
    """Score threshold, best `top_k`, NMS: int32 [top_k] of boxes [N, 4] and scores [N]."""
    scores = jnp.where(scores > _SCORE_THRESHOLD, scores, -jnp.inf)
    return nms(boxes, scores, _IOU.value, max_outputs=_TOP_K.value, top_k=_TOP_K.value)


def ours_one(boxes: np.ndarray, scores: np.ndarray) -> Callable[[int], np.ndarray]:
    """A call on one image, whose arrays are on the device; its result is fetched."""
    run = jax.jit(nms_of_image)
    images = [jax.device_put(image) for image in zip(boxes, scores, strict=True)]
    return lambda image: np.asarray(run(*images[image % len(images)]))


def ours(boxes: np.ndarray, scores: np.ndarray) -> Callable[[int], np.ndarray]:
    """A call on all images at once, likewise."""
    run = jax.jit(jax.vmap(nms_of_image))
    arrays = jax.device_put((boxes, scores))
    return lambda _: np.asarray(run(*arrays))


def opencv(boxes: np.ndarray, scores: np.ndarray) -> Callable[[int], np.ndarray]:
    """A call of cv2.dnn.NMSBoxes with its arguments ready; float64, as it computes in that."""
    import cv2

    nms_boxes: Any = cv2.dnn.NMSBoxes  # its type hints leave arrays out
    xywh = np.concatenate([boxes[..., :2], boxes[..., 2:] - boxes[..., :2]], -1).astype(float)

    def run(image: int) -> np.ndarray:
        arrays = xywh[image % len(xywh)], scores[image % len(xywh)]
        kept = nms_boxes(*arrays, _SCORE_THRESHOLD, _IOU.value, eta=1.0, top_k=_TOP_K.value)
        return np.asarray(kept, int).reshape(-1)

    return run


def alternating(*calls: Callable[[int], object]) -> np.ndarray:
    """Median seconds of one call of each."""
    seconds = np.empty((len(calls), _ROUNDS.value, _CALLS.value))
    for k in range(_ROUNDS.value):
        for row, call in zip(seconds, calls, strict=True):
            for i in range(_CALLS.value):
                start = time.perf_counter()
                call(k * _CALLS.value + i)
                row[k, i] = time.perf_counter() - start
    return np.median(seconds, axis=(1, 2))


if __name__ == "__main__":
    run_main(main)
