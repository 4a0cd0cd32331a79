"""SSD at test time: whole frames stretched to its input, detections in source px.

Two steps, so that frames from canvases of several sizes can share a batch; `predict` is both at
once.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from jaxpose.errors import UsageError
from jaxpose.models.ssd import SSD
from jaxpose.ops.default_boxes import default_boxes
from jaxpose.tasks.detection_augment import boxes_to_source, prepare
from jaxpose.tasks.multibox import detect
from jaxpose.tasks.task import Batch

PERSON = "person"


class PersonSteps(NamedTuple):
    """A detector's two steps, for people alone.

    Attributes:
      size: side S of the network input, px.
      show: batch with image [B, H, W, 3] and valid [B, 4] -> network input float32 [B, S, S, 3].
      detect: (variables, network input, sizes [B, 2]) -> detections, see `predict_inputs`.
    """

    size: int
    show: Callable[[Batch], jax.Array]
    detect: Callable[[Mapping[str, Any], jax.Array, jax.Array], dict[str, jax.Array]]


def person_steps(config: ConfigDict, **detect_options: float) -> PersonSteps:
    """The steps of the detector that a config describes, with some of `config.detect` replaced.

    Raises:
      UsageError: the network has no class `person`.
    """
    options = network_options(config)
    view = {name: options.pop(name) for name in ("size", "mean", "channels", "antialias")}
    options["options"] = options["options"] | detect_options

    def show(batch: Batch) -> jax.Array:
        return prepare(batch, **view)[0]

    kept = (person_class(tuple(config.classes)),)
    return PersonSteps(view["size"], show, partial(predict_inputs, **options, kept=kept))


def network_options(config: ConfigDict) -> dict[str, Any]:
    """The keyword arguments of `predict` that a config decides, but for `kept`."""
    size = input_side(config)
    network = {name: config.model[name] for name in ("width", "batch_norm", "remat")}
    dtype = jnp.dtype(config.model.dtype)
    return {
        "model": SSD(size, len(config.classes) + 1, dtype=dtype, **network),
        "anchors": default_boxes(size, **config.default_boxes.to_dict()),
        "size": size,
        "mean": tuple(config.mean),
        "channels": config.channels,
        "antialias": bool(config.antialias),
        "options": detect_options(config),
    }


def detect_options(config: ConfigDict) -> dict[str, Any]:
    """The keyword arguments of `multibox.detect` that a config decides.

    All of `config.detect` but `person_threshold`, which chooses among what is found.
    """
    values = config.detect.to_dict()
    return {name: value for name, value in values.items() if name != "person_threshold"}


def input_side(config: ConfigDict) -> int:
    """Side of the square network input; raises UsageError where it is not square."""
    height, width = config.input_size
    if height != width:
        raise UsageError(f"config.input_size is {height} x {width}; an SSD takes a square")
    return int(height)


def person_class(names: tuple[str, ...]) -> int:
    """Number (1..) of the class `person`; UsageError where there is none."""
    if PERSON not in names:
        raise UsageError(f"this detector finds {', '.join(names)}, no {PERSON}; take another")
    return 1 + names.index(PERSON)


def predict(
    variables: Mapping[str, Any],
    batch: Batch,
    *,
    size: int,
    mean: tuple[float, ...],
    channels: str,
    antialias: bool = True,
    **network: Any,
) -> dict[str, jax.Array]:
    """Detections in every frame of a batch.

    Args:
      batch: image uint8 [B, H, W, 3], valid [B, 4] and size [B, 2] (width, height) in source px.
      size: side S of the network input, px.
      mean, channels: see `detection_augment.augment`; antialias: see `prepare` there.
      network: model, anchors, options and kept of `predict_inputs`.

    Returns:
      see `predict_inputs`.
    """
    inputs, _ = prepare(batch, size, mean, channels, antialias)
    return predict_inputs(variables, inputs, batch["size"], **network)


def predict_inputs(
    variables: Mapping[str, Any],
    inputs: jax.Array,
    sizes: jax.Array,
    *,
    model: SSD,
    anchors: np.ndarray,
    options: Mapping[str, Any],
    kept: tuple[int, ...],
) -> dict[str, jax.Array]:
    """Detections in prepared frames.

    Args:
      inputs: float [B, S, S, 3] of `prepare`.
      sizes: [B, 2] width and height of the frames, source px.
      anchors: default boxes [P, 4] cxcywh, fractions.
      options: keyword arguments of `multibox.detect`.
      kept: classes (1..) that are looked for; a network may know others.

    Returns:
      boxes [B, N, 4] xyxy in source px, clipped to the image, scores [B, N] descending, classes
      int32 [B, N] (1..) and valid bool [B, N]; N as `multibox.detect` says.
    """
    outputs: tuple[jax.Array, jax.Array] = model.apply(variables, inputs)  # type: ignore[assignment]
    logits = merge_others(outputs[0], kept)
    boxes, scores, classes, valid = detect(logits, outputs[1], jnp.asarray(anchors), **options)
    return {
        "boxes": boxes_to_source(jnp.clip(boxes, 0, 1), sizes),
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
    kept = (person_class(names),)
    count, height, width = images_uint8.shape[:3]
    batch = {
        "image": images_uint8,
        "valid": jnp.tile(jnp.array([0.0, 0.0, width, height]), (count, 1)),
        "size": jnp.tile(jnp.array([float(width), float(height)]), (count, 1)),
    }
    return predict(variables, batch, **options, kept=kept)
