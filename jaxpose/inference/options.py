"""What can be chosen when people are estimated, with the report's values as defaults.

`det_threshold`, `nms_iou` and `pose_batch_size` are of a detector and of crops: bottom-up networks
have neither. `scales` are of those alone.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import jax
from ml_collections import ConfigDict

from jaxpose.defaults import PERSON_THRESHOLD
from jaxpose.errors import UsageError
from jaxpose.inference.flow import BatchSizes
from jaxpose.inference.joint_scores import JOINT_SCORES

# A single picture's people; fuller batches pay on accelerators only.
_PEOPLE_A_FRAME = 8
# A network's input of 16 times the pixels.
_LARGEST_SCALE = 4


class Options(NamedTuple):
    """How people are estimated.

    Attributes:
      det_threshold: boxes scored lower are left out, own ones too; None: the detector's own
        (`config.detect.person_threshold`), 0.15 without a detector. See `person_threshold`.
      nms_iou: boxes that overlap a better one by more are left out.
      max_persons: the best so many of a frame; all without.
      joint_score: how a joint is scored, see `joint_scores.JOINT_SCORES`.
      keypoint_threshold: joints scored lower are neither written nor drawn. A `Person` has them.
      oks_nms: poses whose OKS with a better one is larger are left out; none without.
      batch_size: frames that the detector takes at once; 8, or 4 on a CPU, without.
      pose_batch_size: people that the pose network takes at once; 32, or 8 on a CPU, without: a
        CPU is not faster with more, and a run's last batch is padded.
      flip_test: average the heat maps of both mirrorings, at twice the time.
      scales: at which frames are shown to a bottom-up network, whose maps are averaged; 1 is the
        size of its config. CMU's OpenPose takes 0.5, 1, 1.5 and 2 for its best figures.
    """

    det_threshold: float | None = None
    nms_iou: float = 0.45
    max_persons: int | None = None
    joint_score: str = "peak_times_box"
    keypoint_threshold: float = 0.0
    oks_nms: float | None = None
    batch_size: int | None = None
    pose_batch_size: int | None = None
    flip_test: bool = True
    scales: tuple[float, ...] = (1.0,)


def numbers(name: str, texts: Sequence[str]) -> tuple[float, ...]:
    """A list flag's values; UsageError where one is no number."""
    try:
        return tuple(float(text) for text in texts)
    except ValueError:
        raise UsageError(f"--{name}={','.join(texts)}: give numbers") from None


def checked(options: Options) -> Options:
    """The options; UsageError for one that is out of range."""
    for name in ("det_threshold", "nms_iou", "oks_nms"):
        value = getattr(options, name)
        if value is not None and not 0 <= value <= 1:
            raise UsageError(f"{name} is {value}; it must be from 0 to 1")
    if not math.isfinite(options.keypoint_threshold):
        raise UsageError(f"keypoint_threshold is {options.keypoint_threshold}; give a number")
    for name in ("max_persons", "batch_size", "pose_batch_size"):
        value = getattr(options, name)
        if value is not None and value < 1:
            raise UsageError(f"{name} is {value}; it must be 1 or more")
    if not options.scales or not all(0 < scale <= _LARGEST_SCALE for scale in options.scales):
        raise UsageError(f"scales are {options.scales}; give numbers above 0, to {_LARGEST_SCALE}")
    if options.joint_score not in JOINT_SCORES:
        known = ", ".join(JOINT_SCORES)
        raise UsageError(f"joint_score is {options.joint_score!r}; there are {known}")
    return options


def in_effect(options: Options, detector: ConfigDict | None) -> Options:
    """The options with `person_threshold` where no `det_threshold` is given; arguments as there.

    Raises:
      UsageError: an option, the detector's own included, is out of range.
    """
    return checked(options._replace(det_threshold=person_threshold(options, detector)))


def person_threshold(options: Options, detector: ConfigDict | None = None) -> float:
    """The least score of a person's box: the given one, else the detector's own.

    Args:
      detector: its config; None where boxes come from elsewhere, of which the default is taken.
    """
    if options.det_threshold is not None:
        return options.det_threshold
    own = {} if detector is None else detector.get("detect", {})  # another task's: refused later
    return float(own.get("person_threshold", PERSON_THRESHOLD))


def batch_sizes(options: Options, frames: int | None) -> BatchSizes:
    """Sizes of the batches for a run over so many frames; None: many.

    There are two, for one frame and for more: the networks compile again for each size.
    """
    slow = jax.default_backend() == "cpu"
    largest = options.batch_size or (4 if slow else 8)
    people = options.pose_batch_size or (8 if slow else 32)
    if frames == 1:
        return BatchSizes(1, min(people, _PEOPLE_A_FRAME))
    return BatchSizes(largest, people)
