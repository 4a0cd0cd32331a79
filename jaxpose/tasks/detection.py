"""Person (or object) detection with SSD: targets of the default boxes, loss, detections in px.

After Liu et al. 2016 and Caffe's `multibox_loss_layer.cpp` (branch ssd of weiliu89/caffe).
Everything here runs on the device inside jitted functions, on batches of fixed shape.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict

from jaxpose.errors import UsageError
from jaxpose.evaluation.detection import DetectionEvaluator
from jaxpose.ops.rows import on_own_rows
from jaxpose.tasks.detection_augment import augment
from jaxpose.tasks.detection_pictures import input_sheet, prediction_sheet
from jaxpose.tasks.detection_prediction import network_options, predict, predict_images
from jaxpose.tasks.detection_start import starting_values
from jaxpose.tasks.detection_targets import Targets, assign_targets
from jaxpose.tasks.multibox import detect, multibox_loss
from jaxpose.tasks.task import Batch, Task

__all__ = ["detect", "detection_task", "multibox_loss"]


def detection_task(config: ConfigDict) -> Task:
    """The detection task of a config (see `jaxpose.defaults.detection_config` for its fields)."""
    classes = tuple(config.classes)
    if not classes:
        raise UsageError("config.classes is empty; name the classes, or open the records first")
    test_time = network_options(config)
    model, size, anchors = (test_time[name] for name in ("model", "size", "anchors"))
    view = {name: test_time[name] for name in ("size", "mean", "channels")}
    scored = tuple(config.eval.classes) or classes
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
