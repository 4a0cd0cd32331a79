"""What each task reads: which records, where they lie, and what they fill in of a config."""

import os
from collections.abc import Sequence
from pathlib import Path

from ml_collections import ConfigDict

from jaxpose.config import set_skeleton, skeleton_of
from jaxpose.data.batches import Rows
from jaxpose.data.image_batches import image_rows
from jaxpose.data.manifest import Manifest, record_folder
from jaxpose.data.people_batches import people_rows
from jaxpose.errors import UsageError
from jaxpose.tasks.bottom_up_prediction import limb_set

PERSON = "person"
# Config of the records that a task reads, and what one of them is called.
RECORDS = {"pose": "people", "detection": "images", "bottom_up": "images"}


def data_folder(config: ConfigDict) -> Path:
    """`config.data_dir`, else JAXPOSE_DATA, else ~/jaxpose_data."""
    text = config.data_dir or os.environ.get("JAXPOSE_DATA") or "~/jaxpose_data"
    return Path(text).expanduser()


def drawn_folder(data_dir: str, workdir: Path) -> Path:
    """Where a run keeps drawn people: apart from real records, whose names they carry."""
    return Path(data_dir or workdir / "data") / "drawn_people"


def record_folders(config: ConfigDict) -> dict[str, Path]:
    """Record folder of every data set that a config names, by its name.

    Raises:
      UsageError: no training set.
    """
    if not config.data.train:
        raise UsageError("config.data.train names no data set")
    names = dict.fromkeys([*config.data.train, config.data.eval])
    kind, source = RECORDS[config.task], config.data.source
    return {name: record_folder(data_folder(config), name, kind, source) for name in names}


def fill_in(config: ConfigDict, train_sets: Sequence[Manifest], validation_set: Manifest) -> None:
    """Write what the records decide into a config: canvas, joint set or classes, and room.

    Raises:
      UsageError: the network has none of the classes of the scored data set.
    """
    config.canvas = train_sets[0].canvas
    if config.task != "detection":
        from_data = config.skeleton == "data"
        set_skeleton(config, train_sets[0].skeleton if from_data else skeleton_of(config))
    if config.task == "pose":
        return
    if config.task == "bottom_up":
        limbs = limb_set(config)
        config.part_limbs.update(pairs=limbs.pairs, places=limbs.places)
    splits = [manifest.split(config.data.train_split) for manifest in train_sets]
    config.max_boxes = config.max_boxes or max(1, *(split.most_boxes for split in splits))
    config.max_ignored = config.max_ignored or max(split.most_ignored for split in splits)
    if config.task == "detection":
        _fill_in_classes(config, train_sets, validation_set)


def _fill_in_classes(
    config: ConfigDict, train_sets: Sequence[Manifest], validation_set: Manifest
) -> None:
    config.classes = tuple(config.classes) or train_sets[0].classes
    shared = tuple(name for name in config.classes if name in validation_set.classes)
    config.eval.classes = tuple(config.eval.classes) or shared
    lacking = [name for name in config.eval.classes if name not in shared]
    if lacking or not shared:
        raise UsageError(
            f"cannot score {', '.join(lacking) or 'anything'}: the detector finds "
            f"{', '.join(config.classes)}, {validation_set.dataset} has "
            f"{', '.join(validation_set.classes)}; score on another data set"
        )


def training_rows(config: ConfigDict) -> Rows:
    """What a training batch of the config's task holds."""
    if config.task == "pose":
        return people_rows(skeleton_of(config))
    return _frames(config, config.max_boxes, config.max_ignored)


def scored_rows(config: ConfigDict, manifest: Manifest, split: str) -> Rows:
    """What an evaluation batch holds; a detector's labels count in `config.eval.classes`."""
    if config.task == "pose":
        return people_rows(skeleton_of(config))
    room = manifest.split(split)
    return _frames(config, max(1, room.most_boxes), room.most_ignored, scored=True)


def _frames(config: ConfigDict, boxes: int, ignored: int, scored: bool = False) -> Rows:
    """Whole frames with room for so many boxes and ignored regions."""
    if config.task == "bottom_up":
        return image_rows((PERSON,), boxes, ignored, skeleton_of(config))
    classes = config.eval.classes if scored else config.classes
    return image_rows(tuple(classes), boxes, ignored)
