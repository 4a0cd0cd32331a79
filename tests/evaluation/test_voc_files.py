import json
from pathlib import Path

import numpy as np
import pytest

from jaxpose.annotations.coco import write_coco_detection
from jaxpose.annotations.schema import AnnotationSet, Frame, Person
from jaxpose.annotations.voc import CLASSES
from jaxpose.annotations.voc_writing import write_voc
from jaxpose.errors import DataError
from jaxpose.evaluation.voc_files import evaluate
from jaxpose.skeletons import NO_JOINTS

GOLDEN = json.loads((Path(__file__).parent.parent / "golden" / "i_voc_ap.json").read_text())
NAMES = GOLDEN["classes"]
WIDTH, HEIGHT = GOLDEN["image_size"]
RULES = {"11point": "07", "area": "area"}


def annotated():
    """The golden ground truth; its boxes count pixels from 1."""
    frames = [
        Frame(
            f"VOC2007/JPEGImages/{name}.jpg",
            str(number),
            WIDTH,
            HEIGHT,
            persons=tuple(
                Person(
                    np.zeros((0, 3)),
                    np.array(o["bbox"]) - 1.0,
                    category=o["name"],
                    difficult=bool(o["difficult"]),
                    iscrowd=bool(o["difficult"]),
                )
                for o in objects
            ),
        )
        for number, (name, objects) in enumerate(GOLDEN["gt"].items())
    ]
    return AnnotationSet(NO_JOINTS, tuple(frames), classes=tuple(NAMES))


@pytest.fixture
def devkit(tmp_path):
    write_voc(tmp_path / "VOCdevkit", {"test": annotated()})
    return tmp_path / "VOCdevkit"


@pytest.fixture
def coco(tmp_path):
    write_coco_detection(tmp_path / "truth.json", annotated())
    return tmp_path / "truth.json"


def kit_files(folder, image_set="test"):
    folder.mkdir()
    for name in NAMES:
        rows = [(image, *rest) for image, own, *rest in GOLDEN["detections"] if own == name]
        lines = "".join(" ".join(map(str, row)) + "\n" for row in rows)
        (folder / f"comp4_det_{image_set}_{name}.txt").write_text(lines)
    return folder


def coco_results(path, image_id, categories):
    results = [
        {
            "image_id": image_id(image),
            "category_id": categories.index(name) + 1,
            "bbox": [x1 - 1, y1 - 1, x2 - x1, y2 - y1],
            "score": score,
        }
        for image, name, score, x1, y1, x2, y2 in GOLDEN["detections"]
    ]
    path.write_text(json.dumps(results))
    return path


def assert_golden(found, rule="11point"):
    """As lufficc's evaluation, which keeps the kit's conventions."""
    expected = {
        name: 100 * GOLDEN["results"][f"chainer_plus1_{name}_{RULES[rule]}"] for name in NAMES
    }
    for name in NAMES:
        assert found[f"ap_{name}"] == pytest.approx(expected[name], abs=1e-7)
    assert found["map"] == pytest.approx(np.mean(list(expected.values())), abs=1e-7)
    assert found["images"] == len(GOLDEN["gt"]) and found["detections"] == len(GOLDEN["detections"])
    objects = [o for objects in GOLDEN["gt"].values() for o in objects]
    assert found["boxes"] == sum(not o["difficult"] for o in objects)


@pytest.mark.parametrize("rule", RULES)
def test_the_kit_s_files_against_a_devkit(tmp_path, devkit, rule):
    assert_golden(evaluate(devkit, kit_files(tmp_path / "found"), rule=rule), rule)
    assert_golden(evaluate(devkit / "VOC2007", tmp_path / "found", rule=rule), rule)


@pytest.mark.parametrize("image_id", [str, int], ids=["name", "number"])
def test_coco_results_against_a_devkit(tmp_path, devkit, image_id):
    results = coco_results(tmp_path / "found.json", image_id, CLASSES)
    assert_golden(evaluate(devkit, results, classes=NAMES))


def test_both_kinds_of_results_against_a_coco_file(tmp_path, coco):
    numbers = {name: number for number, name in enumerate(GOLDEN["gt"])}
    assert_golden(evaluate(coco, kit_files(tmp_path / "found")))
    assert_golden(evaluate(coco, coco_results(tmp_path / "f.json", numbers.__getitem__, NAMES)))


def test_one_file_scores_one_class(tmp_path, devkit):
    file = kit_files(tmp_path / "found") / "comp4_det_test_person.txt"
    found = evaluate(devkit, file)
    assert found["map"] == found["ap_person"] and "ap_dog" not in found
    file = file.rename(tmp_path / "mine_person.txt")
    assert evaluate(devkit, file) == found
    assert evaluate(devkit, file, iou_threshold=0.8)["map"] < found["map"]


def test_image_sets(tmp_path, devkit):
    found = evaluate(devkit, kit_files(tmp_path / "found"))
    test = devkit / "VOC2007" / "ImageSets" / "Main" / "test.txt"
    test.rename(test.with_name("mine.txt"))
    with pytest.raises(DataError, match=r"no list of images to score, such as .*test\.txt"):
        evaluate(devkit, tmp_path / "found")
    assert evaluate(devkit, tmp_path / "found", image_set="mine") == found
    assert evaluate(devkit, kit_files(tmp_path / "mine", "mine")) == found
    (tmp_path / "mine" / "comp4_det_val_cow.txt").write_text("")
    with pytest.raises(DataError, match="files of several image sets: mine, val"):
        evaluate(devkit, tmp_path / "mine")


def test_classes_nobody_is_of(tmp_path, devkit):
    file = tmp_path / "comp4_det_test_cow.txt"
    file.write_text("")
    with pytest.raises(DataError, match="no box of cow"):
        evaluate(devkit, file)
    with pytest.raises(DataError, match="has no class unicorn"):
        evaluate(devkit, file.rename(tmp_path / "comp4_det_test_unicorn.txt"))
    with pytest.raises(DataError, match="neither a detection file nor a folder"):
        evaluate(devkit, tmp_path / "none")


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("000001 0.5 1 2 3", "line 2: expected image score xmin ymin xmax ymax, got '000001 0.5"),
        ("000001 0.5 1 2 3 x", "line 2: expected"),
        ("", "line 2: expected"),
        ("999999 0.5 1 2 3 4", "image 999999 is not in the ground truth"),
    ],
)
def test_bad_lines_are_refused(tmp_path, devkit, line, reason):
    file = tmp_path / "comp4_det_test_person.txt"
    file.write_text(f"000001 0.5 1 2 30 40\n{line}\n000001 0.25 1 2 3 4\n")
    with pytest.raises(DataError, match=reason):
        evaluate(devkit, file)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"image_id": 77}, "image 77 is not in the ground truth"),
        ({"category_id": 21}, "entry 0: the ground truth has no category 21"),
        ({"bbox": [1, 2, 3]}, "entry 0: bbox holds 3 numbers"),
        ({"score": "high"}, "entry 0: score is 'high'"),
        ({"score": None}, "entry 0: score is None"),
    ],
)
def test_bad_results_are_refused(tmp_path, coco, change, reason):
    entry = {"image_id": 0, "category_id": 1, "bbox": [1, 2, 3, 4], "score": 0.5}
    (tmp_path / "found.json").write_text(json.dumps([entry | change]))
    with pytest.raises(DataError, match=reason):
        evaluate(coco, tmp_path / "found.json")
