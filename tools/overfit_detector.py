"""Can the detector learn at all? Train it on 16 images and score it on those same images.

python tools/overfit_detector.py --source=coco_person

The images are the first of the training split (by name) without crowds, with two people at least,
every box at least 32 px high and no two boxes above IoU 0.4. Nothing is augmented. An over-fit
check: its AP says that matching, loss and decoding fit together, and nothing about new images.
"""

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
from absl import flags
from ml_collections import ConfigDict

from jaxpose.annotations.json_files import load_json
from jaxpose.defaults import detection_config
from jaxpose.errors import JaxposeError, UsageError, run_main
from jaxpose.pipelines.evaluate import evaluate
from jaxpose.pipelines.train import train

_SOURCE = flags.DEFINE_string("source", None, "Folder with train.json and its images.")
_JSON = flags.DEFINE_string("json", "annotations/person_keypoints_train.json", "Inside --source.")
_IMAGES = flags.DEFINE_string("images", "images", "Inside --source.")
_WORKDIR = flags.DEFINE_string("workdir", "runs/overfit_detector", "Where the run goes.")
_STEPS = flags.DEFINE_integer("steps", 200, "Training steps.")
_WIDTH = flags.DEFINE_float("width", 0.25, "Width multiplier of the network.")
COUNT, LOWEST, MOST_IOU, WANTED_AP50 = 16, 32, 0.4, 95.0


def suits(boxes: np.ndarray, crowd: bool) -> bool:
    """Whether an image with these boxes [N, 4] xywh is one of those."""
    if crowd or len(boxes) < 2 or boxes[:, 3].min() < LOWEST:
        return False
    low, high = boxes[:, None, :2], boxes[:, None, :2] + boxes[:, None, 2:]
    shared = np.minimum(high, high.swapaxes(0, 1)) - np.maximum(low, low.swapaxes(0, 1))
    shared = np.maximum(shared, 0).prod(-1)
    areas = boxes[:, 2:].prod(-1)
    iou = shared / (areas[:, None] + areas - shared)
    return bool(np.all(iou[~np.eye(len(boxes), dtype=bool)] <= MOST_IOU))


def choose(document: dict[str, Any]) -> dict[str, Any]:
    """The COCO document cut to the first `COUNT` images that suit."""
    rows = defaultdict(list)
    for annotation in document["annotations"]:
        rows[annotation["image_id"]].append(annotation)
    chosen = []
    for image in sorted(document["images"], key=lambda image: image["file_name"]):
        own = rows[image["id"]]
        boxes = np.array([row["bbox"] for row in own], float).reshape(-1, 4)
        if suits(boxes, any(row.get("iscrowd") for row in own)):
            chosen.append(image)
    if len(chosen) < COUNT:
        raise UsageError(f"only {len(chosen)} images suit; {COUNT} are needed")
    chosen = chosen[:COUNT]
    return {
        "images": chosen,
        "annotations": [row for image in chosen for row in rows[image["id"]]],
        "categories": document["categories"],
    }


def recipe(source: Path, file: Path, workdir: Path) -> ConfigDict:
    """A reduced SSD300 without augmentation on the images of `file`, scored on the same."""
    config = detection_config()
    config.classes = ("person",)
    config.model.update(width=_WIDTH.value, batch_norm=True)
    config.augment.update(
        distort_probability=0.0,
        zoom_out_probability=0.0,
        crop_probability=0.0,
        flip_probability=0.0,
    )
    config.batch_size, config.steps = 8, _STEPS.value
    config.optimizer.update(
        name="adam",
        momentum=0.0,
        learning_rate=1e-3,
        weight_decay=0.0,
        warmup_steps=50,
        drop_steps=(_STEPS.value * 3 // 4,),
    )
    config.eval.update(batch_size=8, every_steps=_STEPS.value // 2)
    config.checkpoint.every_steps = _STEPS.value // 2
    config.data.train, config.data.eval = ("overfit",), "overfit"
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
        raise UsageError("usage: overfit_detector.py --source=FOLDER [--workdir=DIR] [--steps=N]")
    source, workdir = Path(_SOURCE.value), Path(_WORKDIR.value)
    document = choose(load_json(source / _JSON.value))
    workdir.mkdir(parents=True, exist_ok=True)
    file = workdir / "images.json"
    file.write_text(json.dumps(document))
    names = [image["file_name"] for image in document["images"]]
    print(f"{len(document['annotations'])} people in {len(names)} images: {', '.join(names)}")
    train(recipe(source, file, workdir), str(workdir))
    report = evaluate(str(workdir))
    if report["coco_ap50"] < WANTED_AP50:
        raise JaxposeError(f"AP50 {report['coco_ap50']:.1f} is below {WANTED_AP50:.0f}")


if __name__ == "__main__":
    run_main(main)
