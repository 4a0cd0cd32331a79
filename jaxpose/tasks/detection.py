"""Person (or object) detection with SSD: targets of the default boxes, loss, detections in px.

After Liu et al. 2016 and Caffe's `multibox_loss_layer.cpp` (branch ssd of weiliu89/caffe).
Everything here runs on the device inside jitted functions, on batches of fixed shape.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from jaxpose.errors import UsageError
from jaxpose.evaluation.detection import DetectionEvaluator
from jaxpose.models.ssd import SSD
from jaxpose.ops.default_boxes import default_boxes
from jaxpose.ops.rows import on_own_rows
from jaxpose.tasks.detection_augment import augment, boxes_to_source, prepare
from jaxpose.tasks.detection_pictures import input_sheet, prediction_sheet
from jaxpose.tasks.detection_start import starting_values
from jaxpose.tasks.detection_targets import Targets, assign_targets
from jaxpose.tasks.multibox import detect, multibox_loss
from jaxpose.tasks.task import Batch, Task

PERSON = "person"
__all__ = ["detect", "detection_task", "multibox_loss"]


def detection_task(config: ConfigDict) -> Task:
    """The detection task of a config (see `jaxpose.defaults.detection_config` for its fields)."""
    size, classes = input_side(config), tuple(config.classes)
    if not classes:
        raise UsageError("config.classes is empty; name the classes, or open the records first")
    network = {name: config.model[name] for name in ("width", "batch_norm")}
    model = SSD(size, len(classes) + 1, dtype=jnp.dtype(config.model.dtype), **network)
    anchors = default_boxes(size, **config.default_boxes.to_dict())
    scored = tuple(config.eval.classes) or classes
    view: dict[str, Any] = {
        "size": size,
        "mean": tuple(config.mean),
        "channels": config.channels,
    }
    test_time = view | {"model": model, "anchors": anchors, "options": config.detect.to_dict()}
    return Task(
        name="detection",
        outputs=f"{len(classes)} classes" if len(classes) > 1 else f"class {classes[0]}",
        model=model,
        input_shape=(size, size, 3),
        example=example(config.canvas or 512, config.max_boxes or 1, config.max_ignored),
        initial_value=starting_values(config, model),
        augment=partial(augment, options=config.augment.to_dict(), **view),
        loss=partial(loss, anchors=anchors, options=config.matching.to_dict()),
        predict=partial(predict, **test_time, kept=_numbers(classes, scored)),
        predict_images=partial(predict_images, **test_time, names=classes),
        evaluator=partial(
            DetectionEvaluator,
            classes,
            rule=config.eval.rule,
            iou_threshold=config.eval.iou_threshold,
            plus_one=bool(config.eval.plus_one),
            inclusive=bool(config.eval.inclusive),
            difficult=config.eval.difficult,
            score_thresholds=tuple(config.eval.score_thresholds),
            keep=scored,
            truth_classes=scored,
        ),
        picture=partial(prediction_sheet, classes=classes),
        picture_inputs=partial(
            input_sheet, classes=classes, mean=view["mean"], channels=config.channels
        ),
    )


def _numbers(classes: tuple[str, ...], scored: tuple[str, ...]) -> tuple[int, ...]:
    """Which of the classes 1.. are scored; the evaluator refuses those that the network lacks."""
    return tuple(number for number, name in enumerate(classes, 1) if name in scored) or (1,)


def input_side(config: ConfigDict) -> int:
    """Side of the square network input; raises UsageError where it is not square."""
    height, width = config.input_size
    if height != width:
        raise UsageError(f"config.input_size is {height} x {width}; an SSD takes a square")
    return int(height)


def example(canvas: int, boxes: int, ignored: int) -> dict[str, jax.ShapeDtypeStruct]:
    """Device inputs of one example: name -> shape and dtype, without the batch axis."""
    shapes = {
        "image": ((canvas, canvas, 3), np.uint8),
        "matrix": ((2, 3), np.float32),
        "valid": ((4,), np.float32),
        "size": ((2,), np.float32),
        "boxes": ((boxes, 4), np.float32),
        "labels": ((boxes,), np.int32),
        "difficult": ((boxes,), np.bool_),
        "crowd": ((boxes,), np.bool_),
        "ignore": ((ignored, 4), np.float32),
        "mask": ((), np.float32),
    }
    return {name: jax.ShapeDtypeStruct(shape, dtype) for name, (shape, dtype) in shapes.items()}


def loss(
    outputs: tuple[jax.Array, jax.Array],
    batch: Batch,
    *,
    anchors: np.ndarray,
    options: Mapping[str, Any],
) -> tuple[jax.Array, dict[str, jax.Array]]:
    """Multibox loss: smooth L1 plus cross entropy, over the positives of the whole batch.

    Args:
      outputs: class logits [B, P, C] and offsets [B, P, 4].
      batch: result of `augment`.
      anchors: default boxes [P, 4] cxcywh, fractions.
      options: overlap_threshold, negative_overlap, mode, negative_ratio.

    Returns:
      scalar loss and its parts; `positives` is the number of matched default boxes an image.
    """
    assigning = {name: value for name, value in options.items() if name != "negative_ratio"}

    def assign(boxes: jax.Array, labels: jax.Array, ignore: jax.Array) -> Targets:
        return assign_targets(boxes, labels, ignore, anchors, **assigning)

    assign_all = on_own_rows(jax.vmap(assign))
    targets = assign_all(batch["boxes"], batch["labels"], batch["ignore"])
    location, confidence = multibox_loss(
        *outputs,
        targets.labels,
        targets.offsets,
        negative_ratio=options["negative_ratio"],
        candidates=targets.candidates,
    )
    parts = {
        "loss_location": location,
        "loss_confidence": confidence,
        "positives": (targets.labels > 0).sum(1).astype(location.dtype).mean(),
    }
    return location + confidence, parts


def predict(
    variables: Mapping[str, Any],
    batch: Batch,
    *,
    model: SSD,
    anchors: np.ndarray,
    size: int,
    mean: tuple[float, ...],
    channels: str,
    options: Mapping[str, Any],
    kept: tuple[int, ...],
) -> dict[str, jax.Array]:
    """Detections in every frame of a batch.

    Args:
      kept: classes (1..) that are looked for; a network may know others.

    Returns:
      boxes [B, N, 4] xyxy in source px, clipped to the image, scores [B, N] descending, classes
      int32 [B, N] (1..) and valid bool [B, N]; N = options' max_outputs.
    """
    inputs, _ = prepare(batch, size, mean, channels)
    outputs: tuple[jax.Array, jax.Array] = model.apply(variables, inputs)  # type: ignore[assignment]
    logits = merge_others(outputs[0], kept)
    boxes, scores, classes, valid = detect(logits, outputs[1], jnp.asarray(anchors), **options)
    return {
        "boxes": boxes_to_source(jnp.clip(boxes, 0, 1), batch["size"]),
        "scores": scores,
        "classes": jnp.asarray((0, *kept), jnp.int32)[classes],
        "valid": valid,
    }


def merge_others(class_logits: jax.Array, kept: tuple[int, ...]) -> jax.Array:
    """Logits [..., 1 + len(kept)]: classes that are not kept join the background (0).

    The probabilities of those that are kept stay what they are.
    """
    others = [c for c in range(class_logits.shape[-1]) if c not in kept]
    background = jax.nn.logsumexp(class_logits[..., jnp.array(others)], -1, keepdims=True)
    return jnp.concatenate([background, class_logits[..., jnp.array(kept)]], -1)


def predict_images(
    variables: Mapping[str, Any],
    images_uint8: jax.Array,
    *,
    names: tuple[str, ...],
    **options: Any,
) -> dict[str, jax.Array]:
    """People in whole images [B, H, W, 3] uint8 RGB, boxes in their px; see `predict`.

    Raises:
      UsageError: the network has no class `person`.
    """
    if PERSON not in names:
        raise UsageError(f"this detector finds {', '.join(names)}, no {PERSON}; take another")
    count, height, width = images_uint8.shape[:3]
    batch = {
        "image": images_uint8,
        "valid": jnp.tile(jnp.array([0.0, 0.0, width, height]), (count, 1)),
        "size": jnp.tile(jnp.array([float(width), float(height)]), (count, 1)),
    }
    return predict(variables, batch, **options, kept=(1 + names.index(PERSON),))
