"""Random batches of a config, and what stands in for that which its records would decide."""

from collections.abc import Mapping

import numpy as np
from ml_collections import ConfigDict

from jaxpose.annotations import coco_categories, voc
from jaxpose.config import set_skeleton
from jaxpose.skeletons import KNOWN
from jaxpose.tasks.task import Task

# Boxes and ignored regions that a frame has room for: few pictures of COCO or PoseTrack have more.
_BOXES, _IGNORED = 32, 8
_BOXES_USED = 8
_UNSEEN = 0.1  # share of joints without annotation
_CLASSES = {"coco_detection": coco_categories.CATEGORIES, "voc": voc.CLASSES}


def completed(config: ConfigDict) -> list[str]:
    """Fill in, in place, what the records of a config would decide; tells what was not given."""
    drawn, notes = config.data.synthetic, []
    if not config.canvas and drawn.train_videos:
        config.canvas = drawn.canvas
    if config.task == "pose":
        if config.skeleton == "data" and not config.joints:
            set_skeleton(config, KNOWN["coco"])
            notes.append("COCO's 17 joints stand in for those of the data")
        return notes
    config.model.base_weights = ""  # a file that need not be at hand to measure
    if config.task == "bottom_up" and config.skeleton == "data" and not config.joints:
        set_skeleton(config, KNOWN["coco"])
        notes.append("COCO's 17 joints stand in for those of the data")
    if config.task == "detection" and not config.classes:
        config.classes = _CLASSES.get(config.data.train[0], ("person",))
        notes.append(f"{len(config.classes)} classes stand in for those of the data")
    if not config.max_boxes:
        config.max_boxes, config.max_ignored = _BOXES, config.max_ignored or _IGNORED
        notes.append(f"room for {_BOXES} boxes a frame")
    return notes


def random_batch(task: Task, rows: int, seed: int = 0) -> dict[str, np.ndarray]:
    """A host batch of `task.example`: noise for pictures, plausible people or boxes for labels."""
    rng = np.random.default_rng(seed)
    side = task.example["image"].shape[0]
    labels = _LABELS[task.name]
    batch = {
        "image": rng.integers(0, 256, (rows, side, side, 3), np.uint8),
        "matrix": np.tile(np.eye(2, 3, dtype=np.float32), (rows, 1, 1)),
        "mask": np.ones(rows, np.float32),
        **labels(task, rows, side, rng),
    }
    return {name: batch[name].astype(one.dtype) for name, one in task.example.items()}


def _people(task: Task, rows: int, side: int, rng: np.random.Generator) -> Mapping[str, np.ndarray]:
    """A person in the middle, whose crop is half the canvas wide: records hold a margin."""
    joints = task.example["keypoints"].shape[0]
    points = side / 2 + side * rng.uniform(-0.2, 0.2, (rows, joints, 2))
    seen = rng.random((rows, joints, 1)) >= _UNSEEN
    return {
        "keypoints": np.concatenate([points, seen], -1),
        "joint_mask": np.ones((rows, joints)),
        "center": np.full((rows, 2), side / 2),
        "scale": np.full(rows, side / 2 / 200),
    }


def _boxes(task: Task, rows: int, side: int, rng: np.random.Generator) -> Mapping[str, np.ndarray]:
    """A photograph of 4:3 with up to eight objects, the rest of the room empty."""
    room, regions = task.example["boxes"].shape[0], task.example["ignore"].shape[0]
    size = np.array([side, 0.75 * side])
    sides = size * rng.uniform(0.05, 0.6, (rows, room, 2))
    corner = rng.random((rows, room, 2)) * (size - sides)
    used = np.arange(room) < rng.integers(1, min(room, _BOXES_USED) + 1, (rows, 1))
    boxes = np.concatenate([corner, corner + sides], -1) * used[..., None]
    return {
        "valid": np.tile([0, 0, *size], (rows, 1)),
        "size": np.tile(size, (rows, 1)),
        "boxes": boxes,
        "labels": used * 1,
        "difficult": np.zeros((rows, room)),
        "crowd": np.zeros((rows, room)),
        "ignore": np.zeros((rows, regions, 4)),
    }


def _boxes_with_joints(
    task: Task, rows: int, side: int, rng: np.random.Generator
) -> Mapping[str, np.ndarray]:
    """The same frames, whose boxes are of people with joints anywhere in them."""
    frames = dict(_boxes(task, rows, side, rng))
    _, joints, _ = task.example["keypoints"].shape
    corner, far = frames["boxes"][..., None, :2], frames["boxes"][..., None, 2:]
    people = corner.shape[1]
    points = corner + (far - corner) * rng.random((rows, people, joints, 2))
    seen = (rng.random((rows, people, joints, 1)) >= _UNSEEN) * frames["labels"][..., None, None]
    frames["keypoints"] = np.concatenate([points, seen], -1)
    frames["joint_mask"] = np.ones((rows, joints))
    return frames


_LABELS = {"pose": _people, "detection": _boxes, "bottom_up": _boxes_with_joints}
