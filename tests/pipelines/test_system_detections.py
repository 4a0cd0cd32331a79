"""When kept detections are taken again; a counting stand-in takes the detector's place."""

import json
from types import SimpleNamespace

import numpy as np
import pytest

from jaxpose.defaults import detection_config
from jaxpose.inference.detections_file import read_detections
from jaxpose.inference.device_clock import DeviceClock
from jaxpose.inference.frames import Boxes
from jaxpose.inference.options import Options
from jaxpose.pipelines import system_detections
from jaxpose.pipelines.system_detections import kept_or_made
from jaxpose.pipelines.system_speed import Speed
from jaxpose.pipelines.system_split import read_split


@pytest.fixture
def calls(monkeypatch):
    made = []

    def detect(split, detector, options, floor):
        made.append(floor)
        box = Boxes(np.array([[0, 1, 2, 3.00049]], np.float32), np.array([0.3], np.float32))
        speed = Speed()
        with DeviceClock() as clock:
            pass
        speed.close(clock)
        return {frame.filename: box for frame, _ in split.estimated()}, speed

    monkeypatch.setattr(system_detections, "_detect", detect)
    return made


@pytest.fixture
def split(drawn_videos):
    return read_split(drawn_videos / "posetrack18", None, "validation")


def detector(digest="d" * 64, **limits):
    config = detection_config()
    config.detect.update(limits)
    return SimpleNamespace(config=config, digest=digest, step=3)


@pytest.fixture
def kept(tmp_path, split, calls):
    def kept(split=split, network=None, **options):
        chosen = network or detector()
        return kept_or_made(tmp_path / "d.json", split, "runs/ssd", chosen, Options(**options))

    return kept


def test_equal_runs_share_one_detection(kept, calls, tmp_path, split):
    made, speed = kept()
    again, none = kept(batch_size=3, det_threshold=0.9, max_persons=1, keypoint_threshold=0.5)
    assert len(calls) == 1 and speed is not None and none is None
    assert made.protocol == again.protocol and made.protocol["detector"]["run"] == "ssd"
    assert made.protocol["frames"] == len(made.boxes) == split.labelled
    for one, other in zip(made.boxes.values(), again.boxes.values(), strict=True):
        # Those of the first run have been through the file as well.
        assert np.array_equal(one.boxes_xyxy, other.boxes_xyxy)
        assert one.boxes_xyxy[0, 3] == np.float32(3.0)
    assert read_detections(tmp_path / "d.json").protocol == made.protocol


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"network": detector("e" * 64)}, "was made by another detector"),
        ({"network": detector(max_outputs=100)}, "was made with other limits"),
        ({"nms_iou": 0.6}, "was made with another nms_iou"),
        ({"det_threshold": 0.001}, "holds no boxes with scores down to 0.001"),
    ],
)
def test_whatever_decides_about_boxes_detects_again(kept, calls, capsys, change, reason):
    kept()
    kept(**change)
    assert len(calls) == 2 and reason in capsys.readouterr().out
    kept(**change)
    assert len(calls) == 2


def test_other_frames_detect_again(kept, calls, capsys, split):
    kept()
    kept(split=split._replace(digest="0" * 64))
    assert len(calls) == 2 and "was made from other frames" in capsys.readouterr().out


def test_lower_boxes_serve_higher_thresholds(kept, calls):
    kept(det_threshold=0.001)
    kept(det_threshold=0.5)
    assert calls == [0.001]


def test_a_damaged_file_is_made_again(kept, calls, tmp_path, capsys):
    kept()
    file = tmp_path / "d.json"
    text = file.read_text()
    for damaged in (text[:100], "[]", json.dumps({"protocol": {}, "detections": []})):
        file.write_text(damaged)
        kept()
        assert file.read_text().startswith('{"protocol": {"kind": "detections"')
    assert len(calls) == 4 and capsys.readouterr().out.count("detecting people: ") == 4
