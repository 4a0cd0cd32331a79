"""A user's own COCO-format set, with something wrong in it, on the way into training."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from jaxpose.annotations.coco import write_coco_keypoints
from jaxpose.annotations.schema import AnnotationSet, Frame, Person
from jaxpose.data import build as build_module
from jaxpose.data.build import build
from jaxpose.data.sources import Source
from jaxpose.defaults import DEFAULTS
from jaxpose.errors import DataError, UsageError
from jaxpose.pipelines.config_checks import check_config
from jaxpose.pipelines.prepare import prepare_records
from jaxpose.pipelines.record_sets import RECORDS
from jaxpose.skeletons import LSP

FRAMES = 4
CUSTOM = "config.data.custom"


@pytest.fixture(params=DEFAULTS)
def config(request, tmp_path):
    """Config of a task on an intact set of 4 training frames and a scored one in `tmp_path`."""
    keypoints = np.column_stack([np.linspace(10, 50, LSP.size)] * 2 + [np.full(LSP.size, 2.0)])
    person = Person(keypoints, box_xyxy=np.array([5.0, 5, 55, 55]), area=900.0)
    for split, count in (("train", FRAMES), ("val", 1)):
        frames = [Frame(f"{split}{i}.jpg", str(i), 60, 60, persons=(person,)) for i in range(count)]
        for frame in frames:
            cv2.imwrite(str(tmp_path / frame.filename), np.full((60, 60, 3), 90, np.uint8))
        write_coco_keypoints(tmp_path / f"{split}.json", AnnotationSet(LSP, tuple(frames)))
    config = DEFAULTS[request.param]()
    if config.task == "pose":
        config.skeleton, config.input_size = "data", (64, 64)
    elif config.task == "detection":
        config.classes = ()
    config.data_dir, config.data.source = str(tmp_path / "records"), "shards"
    config.data.train, config.data.eval = ("custom",), "custom"
    config.data.custom.update(
        train_json=str(tmp_path / "train.json"),
        train_images=str(tmp_path),
        validation_json=str(tmp_path / "val.json"),
    )
    return config


def change_train(config, change):
    file = Path(config.data.custom.train_json)
    document = json.loads(file.read_text())
    change(document["annotations"][0])
    file.write_text(json.dumps(document))


def trained_on(config, tmp_path):
    records = prepare_records(config, tmp_path)
    return records.train_sets[0].split("train").records


def test_a_bad_record_is_refused_by_the_flag_that_training_has(config, tmp_path):
    change_train(config, lambda row: row.update(bbox=[1, 1, -5, 9]))
    refused = rf"train.json: .*allowed by --skip_bad \(--{CUSTOM}.skip_bad in training\)"
    with pytest.raises(DataError, match=refused):
        prepare_records(config, tmp_path)
    config.data.custom.skip_bad = 1
    assert trained_on(config, tmp_path) == FRAMES - (config.task == "pose")
    assert trained_on(config, tmp_path) == FRAMES - (config.task == "pose")  # built already


def test_a_missing_image_is_allowed_by_the_flag_that_training_has(config, tmp_path):
    (tmp_path / "train2.jpg").unlink()
    message = rf"1 images are missing.*--allow_missing=1 .*\(--{CUSTOM}.allow_missing in training\)"
    with pytest.raises(DataError, match=message):
        prepare_records(config, tmp_path)
    config.data.custom.allow_missing = 1
    assert trained_on(config, tmp_path) == FRAMES - 1


def test_records_built_by_hand_are_taken_with_the_same_number(config, tmp_path, monkeypatch):
    bad = tmp_path / "train1.jpg"
    bad.write_bytes(bad.read_bytes()[:-9])
    kind, canvas = RECORDS[config.task], 2 * config.input_size[0]
    name = "coco_detection" if config.task == "detection" else "coco_keypoints"
    parts = {"train": tmp_path / "train.json", "validation": tmp_path / "val.json"}
    source, format = Source(tmp_path, **parts, images=tmp_path), "shards"
    build(name, source, tmp_path / "records", kind, canvas, format, "custom", skip_bad=1)
    monkeypatch.setattr(build_module, "convert_split", None)
    config.data.custom.skip_bad = 1
    assert trained_on(config, tmp_path) == FRAMES - 1


def test_a_changed_set_is_refused_with_the_names_that_training_has(config, tmp_path):
    prepare_records(config, tmp_path)
    change_train(config, lambda row: row.update(area=7.0))
    with pytest.raises(DataError, match=rf"another source.* delete it .*--{CUSTOM}.name, data.tr"):
        prepare_records(config, tmp_path)
    config.data.custom.name = config.data.eval = "second"
    config.data.train = ("second",)
    assert trained_on(config, tmp_path) == FRAMES


def test_numbers_below_zero_are_refused(config):
    config.data.custom.allow_missing = -1
    with pytest.raises(UsageError, match=f"{CUSTOM}.allow_missing is -1; it must be 0 or more"):
        check_config(config)
