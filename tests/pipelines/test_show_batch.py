"""tools/show_batch.py on real VOC and COCO samples: boxes are drawn where they were annotated."""

import json
import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import cv2
import numpy as np
import pytest

from jaxpose.annotations.voc import CLASSES
from jaxpose.data.build import build
from jaxpose.data.sources import Source
from jaxpose.tasks.detection_pictures import CLASS_COLOURS

if "JAXPOSE_SAMPLES" not in os.environ:
    pytest.skip("JAXPOSE_SAMPLES is not set", allow_module_level=True)
SAMPLES, REPOSITORY = Path(os.environ["JAXPOSE_SAMPLES"]), Path(__file__).parents[2]
SIDE, GAP = 300, 2  # px of a tile and between tiles
PLAIN = [
    f"--config.augment.{name}_probability=0.0" for name in ("distort", "zoom_out", "crop", "flip")
]


def voc_photographs():
    """For each photograph (colour, box in fractions of it) of all objects, by a reader of our own.

    Corners count pixels from 1.
    """
    photographs = []
    for file in sorted((SAMPLES / "VOCdevkit").glob("VOC*/Annotations/*.xml")):
        root, objects = ElementTree.parse(file).getroot(), []
        size = [float(root.findtext(f"size/{name}")) for name in ("width", "height")] * 2
        for one in root.iter("object"):
            corners = [float(one.findtext(f"bndbox/{c}")) for c in ("xmin", "ymin", "xmax", "ymax")]
            label = CLASSES.index(one.findtext("name"))
            box = (np.array(corners) - 1) / size
            objects.append((CLASS_COLOURS[label % len(CLASS_COLOURS)], box))
        photographs.append(objects)
    return photographs


def coco_photographs():
    """The same of COCO, whose boxes are x, y, width, height."""
    document = json.loads((SAMPLES / "coco/test_coco.json").read_text())
    photographs = []
    for image in document["images"]:
        own = [row for row in document["annotations"] if row["image_id"] == image["id"]]
        boxes = np.array([row["bbox"] for row in own])
        boxes[:, 2:] += boxes[:, :2]
        boxes /= [image["width"], image["height"]] * 2
        photographs.append([(CLASS_COLOURS[0], box) for box in boxes])
    return photographs


def drawn_tiles(config, folder, rows):
    """The command's picture of a batch without augmentation, cut into tiles."""
    picture = folder / "batch.png"
    command = [sys.executable, str(REPOSITORY / "tools/show_batch.py"), f"--output={picture}"]
    command += [f"--config={REPOSITORY / 'configs' / config}", *PLAIN]
    command += [f"--config.data_dir={folder}", "--config.data.source=shards"]
    command += [f"--config.batch_size={rows}", "--config.data.eval_split=train"]
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    sheet = cv2.imread(str(picture))[..., ::-1].astype(int)
    assert sheet.shape == (SIDE, rows * (SIDE + GAP) - GAP, 3)
    return [sheet[:, left : left + SIDE] for left in range(0, sheet.shape[1], SIDE + GAP)]


def outlined(tile, colour, box):
    """Smallest share of a side of the box that is drawn in the colour, over its sides.

    A side on the border of the picture, half of whose line is cut off, does not count.
    """
    near = np.abs(tile - colour).max(-1) < 90  # an outline between two pixels is shared by them
    low_x, low_y, high_x, high_y = SIDE * box - 0.5
    shares = []
    for at, start, end, lines in (
        (low_x, low_y, high_y, near.T),
        (high_x, low_y, high_y, near.T),
        (low_y, low_x, high_x, near),
        (high_y, low_x, high_x, near),
    ):
        if 1 < at < SIDE - 2:
            along = slice(max(0, round(start) + 1), round(end))
            shares.append(lines[[int(at), int(at) + 1], along].any(0).mean())
    return min(shares)


@pytest.mark.parametrize(
    ("dataset", "config", "photographs"),
    [
        ("voc", "ssd300_voc.py", voc_photographs),
        ("coco_detection", "ssd300_coco.py", coco_photographs),
    ],
    ids=["voc", "coco"],
)
def test_boxes_stand_where_they_were_annotated(dataset, config, photographs, tmp_path):
    source = SAMPLES / "VOCdevkit"
    if dataset != "voc":
        folder = SAMPLES / "coco"
        source = Source(folder, train=folder / "test_coco.json", images=folder)
    build(dataset, source, tmp_path, "images", format="shards", progress=False)
    expected = photographs()
    tiles = drawn_tiles(config, tmp_path, len(expected))
    shares = np.array([[min(outlined(t, *o) for o in p) for p in expected] for t in tiles])
    print(shares.round(2))
    # The batch has each photograph once, in any order.
    assert ((shares > 0.8).sum(0) == 1).all() and ((shares > 0.8).sum(1) == 1).all()
    shifted = [[(colour, box + 6 / SIDE) for colour, box in photo] for photo in expected]
    for tile, photo in zip(tiles, (shares > 0.8).argmax(1), strict=True):
        assert min(outlined(tile, *one) for one in shifted[photo]) < 0.5
