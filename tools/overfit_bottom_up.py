"""Can the bottom-up network learn at all? Train it on 16 images and score it on those same images.

python tools/overfit_bottom_up.py --source=coco_person

The images are the first of the training split (by name) without crowds, with at most four persons,
every box at least 64 px high, whose people even perfect maps would give back: both shoulders of
everybody are annotated (the neck is their mean) and eight joints in all, and boxes hardly overlap.
(Without these two rules perfect maps have AP 79 on the first 16, with them 99.) All are 4:3, as
the network's input is, so that no step is spent on padding. Nothing is augmented but the frame's
place, by half a px of the maps. Its AP says that targets, loss, grouping and assembly fit together,
and nothing about new images.
"""

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
from absl import flags
from ml_collections import ConfigDict
from pycocotools import mask as coco_mask

from jaxpose.annotations.json_files import load_json
from jaxpose.defaults import bottom_up_config
from jaxpose.errors import JaxposeError, UsageError, run_main
from jaxpose.pipelines.evaluate import evaluate
from jaxpose.pipelines.train import train
from jaxpose.skeletons import COCO

_SOURCE = flags.DEFINE_string("source", None, "Folder with train.json and its images.")
_JSON = flags.DEFINE_string("json", "annotations/person_keypoints_train.json", "Inside --source.")
_IMAGES = flags.DEFINE_string("images", "images", "Inside --source.")
_WORKDIR = flags.DEFINE_string("workdir", "runs/overfit_bottom_up", "Where the run goes.")
_STEPS = flags.DEFINE_integer("steps", 1300, "Training steps.")
_WIDTH = flags.DEFINE_float("width", 0.25, "Width multiplier of the network.")
INPUT = (144, 192)  # px, height and width
COUNT, MOST_PEOPLE, LOWEST, FEWEST_JOINTS, WANTED_AP = 16, 4, 64, 8, 90.0
MOST_OVERLAP = 0.1  # IoU
SHOULDERS = [COCO.joints.index(name) for name in ("left_shoulder", "right_shoulder")]


def suits(rows: list[dict[str, Any]]) -> bool:
    """Whether an image with these annotations is one of those."""
    if not 1 <= len(rows) <= MOST_PEOPLE or any(row.get("iscrowd") for row in rows):
        return False
    there = np.array([row["keypoints"][2::3] for row in rows]) > 0
    connected = there[:, SHOULDERS].all() and (there.sum(1) >= FEWEST_JOINTS).all()
    boxes = np.array([row["bbox"] for row in rows])
    overlaps = coco_mask.iou(boxes, boxes, [0] * len(boxes))
    apart = (np.triu(overlaps, 1) <= MOST_OVERLAP).all()
    return bool(connected and apart and boxes[:, 3].min() >= LOWEST)


def choose(document: dict[str, Any]) -> dict[str, Any]:
    """The COCO document cut to the first `COUNT` images that suit."""
    rows = defaultdict(list)
    for annotation in document["annotations"]:
        rows[annotation["image_id"]].append(annotation)
    images = sorted(document["images"], key=lambda image: image["file_name"])
    fitting = [image for image in images if image["width"] * INPUT[0] == image["height"] * INPUT[1]]
    chosen = [image for image in fitting if suits(rows[image["id"]])][:COUNT]
    if len(chosen) < COUNT:
        raise UsageError(f"only {len(chosen)} images suit; {COUNT} are needed")
    return {
        "images": chosen,
        "annotations": [row for image in chosen for row in rows[image["id"]]],
        "categories": document["categories"],
    }


def recipe(source: Path, file: Path, workdir: Path) -> ConfigDict:
    """Two stages of reduced width on the images of `file`, scored on the same."""
    config, steps = bottom_up_config(), _STEPS.value
    config.skeleton = "coco_18"
    config.midpoints = (("neck", "right_shoulder", "left_shoulder"),)
    config.model.update(stages=2, width=_WIDTH.value, batch_norm=True)
    config.input_size = config.eval.input_size = INPUT
    # At this size whole px cost 4 of AP: they are two of the photographs' own.
    config.grouping.subpixel = True
    # The view of the evaluation, a few px off: where a frame lies on the grid of the maps differs.
    whole = INPUT[1] / INPUT[0]
    config.augment.update(
        person_size=0.0, scale=(whole, whole), rotation=0.0, shift=4.0, flip_probability=0.0
    )
    config.batch_size, config.steps = 4, steps
    config.optimizer.update(
        name="adam",
        momentum=0.0,
        learning_rate=2e-3,
        weight_decay=0.0,
        warmup_steps=50,
        drop_steps=(steps * 16 // 25, steps * 21 // 25),
        drop_factor=0.3,
    )
    config.eval.update(batch_size=8, every_steps=steps // 4)
    config.checkpoint.update(every_steps=steps // 4, best="oks_ap")
    config.data.train, config.data.eval = ("overfit",), "overfit"
    config.data.source = "shards"
    config.data.custom.update(
        name="overfit",
        train_json=str(file),
        train_images=str(source / _IMAGES.value),
        validation_json=str(file),
    )
    config.data_dir = str(workdir / "data")
    return config


def main(argv: list[str]) -> None:
    """Choose, train, score."""
    if len(argv) > 1 or _SOURCE.value is None:
        raise UsageError("usage: overfit_bottom_up.py --source=FOLDER [--workdir=DIR] [--steps=N]")
    source, workdir = Path(_SOURCE.value), Path(_WORKDIR.value)
    document = choose(load_json(source / _JSON.value))
    workdir.mkdir(parents=True, exist_ok=True)
    file = workdir / "images.json"
    file.write_text(json.dumps(document))
    names = [image["file_name"] for image in document["images"]]
    print(f"{len(document['annotations'])} people in {len(names)} images: {', '.join(names)}")
    train(recipe(source, file, workdir), str(workdir))
    report = evaluate(str(workdir))
    if report["oks_ap"] < WANTED_AP:
        raise JaxposeError(f"OKS AP {report['oks_ap']:.1f} is below {WANTED_AP:.0f}")


if __name__ == "__main__":
    run_main(main)
