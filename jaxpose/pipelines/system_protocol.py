"""Where the scores of a system come from: networks, data, options, software and machine."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
from etils import epath
from ml_collections import ConfigDict

import jaxpose
from jaxpose.inference.joint_slots import JointSlots
from jaxpose.inference.options import Options
from jaxpose.inference.restore import Restored
from jaxpose.pipelines.system_split import Split
from jaxpose.training.saved_steps import absolute

MEASURE = "poseval AP, a joint matches within 0.5 head sizes, percent"
BOX_SOURCES = ("detector", "ground_truth")
# What stands for them where a bottom-up network finds people by itself.
NO_BOXES = "bottom_up"


def run_folder(path: str | Path) -> epath.Path:
    """The training run's folder that a checkpoint's path leads to; a single file's own folder."""
    given = absolute(path)
    if given.is_file():
        return given.parent
    folders = (given, given.parent, given.parent.parent)
    return next((folder for folder in folders if (folder / "config.json").exists()), given)


def run_name(path: str | Path) -> str:
    """Name of the run that a checkpoint is of: its folder's, or that of a single file."""
    given = absolute(path)
    return given.stem if given.is_file() else run_folder(path).name


def choice(config: ConfigDict, step: int | None = None) -> str:
    """Why this step of a run: a score on the very data set that it was chosen by flatters it."""
    if step is not None:
        return "given"
    best, data = config.checkpoint.best, config.data
    return f"best {best} of {data.eval} {data.eval_split}, else the newest" if best else "newest"


def network_block(
    path: str | Path, restored: Restored, scales: Sequence[float] = ()
) -> dict[str, Any]:
    """A network: its run, task, step, checkpoint digest, training data and input size.

    Of a bottom-up one also the size and the scales that frames are shown at, and its grouping.
    """
    config = restored.config
    more = {}
    if config.task == "bottom_up":
        more = {
            "frame_size": list(config.eval.input_size),
            "scales": list(scales),
            "grouping": config.grouping.to_dict(),
        }
    return more | {
        "run": run_name(path),
        "task": config.task,
        "step": restored.step,
        "checkpoint_choice": choice(config),
        "checkpoint_digest": restored.digest,
        "trained_on": list(config.data.train),
        "input_size": list(config.input_size),
    }


def machine() -> dict[str, str]:
    """Versions and device, for the protocol."""
    return {
        "jaxpose": jaxpose.__version__,
        "jax": jax.__version__,
        "device": jax.devices()[0].device_kind,
    }


def system_protocol(
    split: Split,
    slots: JointSlots,
    boxes: str,
    pose: Mapping[str, Any],
    options: Options,
    detector: Mapping[str, Any] | None,
    detections: Mapping[str, Any],
) -> dict[str, Any]:
    """Everything that a comparison of PoseTrack scores must agree on.

    Args:
      slots: from the joints of the pose network to those of the result files.
      boxes: of `BOX_SOURCES`, or `NO_BOXES`.
      pose: `network_block` of the pose network.
      options: that people were estimated with.
      detector: its `network_block`; None with boxes of the ground truth, or none.
      detections: protocol of the detector's boxes; empty likewise.
    """
    shared = int((slots.index >= 0).sum())
    of_detector = {"det_threshold": options.det_threshold, "nms_iou": options.nms_iou}
    return {
        "kind": "system",
        "measure": MEASURE,
        "data_set": split.dataset,
        "split": split.name,
        "data_digest": split.digest,
        "videos": len(split.videos),
        "boxes": boxes,
        "detector": detector and dict(detector),
        "pose": dict(pose),
        **(of_detector if detector else dict.fromkeys(of_detector)),
        "max_persons": options.max_persons,
        "joint_score": options.joint_score,
        "keypoint_threshold": options.keypoint_threshold,
        "oks_nms": options.oks_nms,
        "flip_test": options.flip_test,
        "joints": f"{shared} common (network {len(slots.joint_names)}, "
        f"data set {slots.target.size})",
        **machine(),
        "detected_with": detector and {name: detections.get(name) for name in machine()},
    }
