"""From which score on a box is a person: the detector's own threshold, unless one is given."""

import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

import jaxpose
from jaxpose.config import from_json, to_json, with_person_threshold
from jaxpose.defaults import DEFAULTS, PERSON_THRESHOLD
from jaxpose.errors import UsageError
from jaxpose.inference.options import Options, in_effect, person_threshold
from jaxpose.inference.restore import restore
from jaxpose.pipelines.predict import predict
from jaxpose.training.checkpoint import Checkpoints
from jaxpose.training.weight_file import read_weight_file, write_weight_file

REPOSITORY = Path(__file__).parents[2]
OWN = 0.8


def config_of(threshold):
    config = DEFAULTS["detection"]()
    config.detect.person_threshold = threshold
    return config


def test_a_given_threshold_goes_before_the_detector_s_own():
    assert PERSON_THRESHOLD == DEFAULTS["detection"]().detect.person_threshold == 0.15
    assert person_threshold(Options(), config_of(0.4)) == 0.4
    assert person_threshold(Options(det_threshold=0.0), config_of(0.4)) == 0
    assert person_threshold(Options(det_threshold=0.3)) == 0.3
    assert person_threshold(Options()) == person_threshold(Options(), DEFAULTS["pose"]()) == 0.15
    options = Options(max_persons=2)
    assert in_effect(options, config_of(0.4)) == options._replace(det_threshold=0.4)
    with pytest.raises(UsageError, match="det_threshold is 1.5"):
        in_effect(options, config_of(1.5))


def test_a_config_from_before_takes_the_default():
    values = json.loads(to_json(config_of(0.4)))
    assert from_json(json.dumps(values)).detect.person_threshold == 0.4
    del values["detect"]["person_threshold"]
    assert from_json(json.dumps(values)).detect.person_threshold == 0.15


def test_a_threshold_is_put_into_a_config_that_is_handed_on():
    text = to_json(config_of(0.4))
    assert from_json(with_person_threshold(text, 0.55)).to_dict() == config_of(0.55).to_dict()
    with pytest.raises(UsageError, match="this config is of a network for pose"):
        with_person_threshold(to_json(DEFAULTS["pose"]()), 0.5)


def test_a_run_s_weights_are_handed_on_with_a_threshold_that_was_chosen_later(networks, tmp_path):
    handed = read_weight_file(networks["detection"])
    arrays = {f"params/{name}": value for name, value in handed.weights.params.items()}
    arrays |= {f"batch_stats/{name}": v for name, v in handed.weights.batch_stats.items()}
    with Checkpoints(tmp_path / "run" / "checkpoints") as checkpoints:
        checkpoints.save(3, arrays, {"step": 3})
    text = with_person_threshold(handed.config, 0.4)
    (tmp_path / "run" / "config.json").write_text(text)
    for flag, expected in (("--half", 0.4), ("--person_threshold=0.55", 0.55)):
        command = [
            "tools/export_weights.py",
            str(tmp_path / "run"),
            str(tmp_path / "ssd.npz"),
            flag,
        ]
        subprocess.run([sys.executable, *command], check=True, cwd=REPOSITORY, capture_output=True)
        written = read_weight_file(tmp_path / "ssd.npz")
        assert json.loads(written.config) == json.loads(with_person_threshold(text, expected))
        assert written.weights.step == 3


@pytest.fixture(scope="module")
def detectors(networks, tmp_path_factory):
    """The tiny detector from before there were thresholds in configs, and with one of its own."""
    folder, handed = tmp_path_factory.mktemp("detectors"), read_weight_file(networks["detection"])
    values = json.loads(handed.config)
    del values["detect"]["person_threshold"]
    texts = {"old": json.dumps(values), "own": with_person_threshold(handed.config, OWN)}
    for name, text in texts.items():
        write_weight_file(folder / f"{name}.npz", handed.weights, text)
    return {name: str(folder / f"{name}.npz") for name in texts}


def test_the_estimator_takes_the_detector_s_own(detectors, networks, picture):
    def estimator(name, **options):
        return jaxpose.PoseEstimator.restore(
            detectors[name], networks["pose"], flip_test=False, **options
        )

    image = picture(320, 200)
    assert restore(detectors["old"]).config.detect.person_threshold == 0.15
    counts = []
    for name, given, threshold in (("own", None, OWN), ("own", 0.15, 0.15), ("old", None, 0.15)):
        made = estimator(name, det_threshold=given)
        people = made(image)
        assert made.options.det_threshold == threshold
        assert all(person.score >= threshold for person in people)
        counts.append(len(people))
    assert 0 < counts[0] < counts[1] == counts[2]


def test_own_boxes_are_measured_by_it_too(detectors, networks, picture):
    boxes, scores = [[10, 20, 200, 190]] * 2, [OWN + 0.1, 0.3]
    image, pose = picture(320, 200), networks["pose"]
    with_detector = jaxpose.PoseEstimator.restore(detectors["own"], pose, flip_test=False)
    assert len(with_detector(image, boxes, scores)) == 1
    alone = jaxpose.PoseEstimator.restore(False, pose, flip_test=False)
    assert len(alone(image, boxes, scores)) == 2 and alone.options.det_threshold == 0.15


def test_predict_writes_down_the_threshold_in_effect(detectors, networks, picture, tmp_path):
    cv2.imwrite(str(tmp_path / "photo.png"), np.ascontiguousarray(picture(320, 200)[..., ::-1]))
    run = {"pose": str(networks["pose"]), "detector": detectors["own"], "flip_test": False}
    document = predict([str(tmp_path / "photo.png")], output_dir=str(tmp_path / "out"), **run)
    assert document["options"]["det_threshold"] == OWN
    written = json.loads((tmp_path / "out/coco/results.json").read_text())
    assert len(written) == document["people"] > 0
    assert all(person["score"] >= OWN for person in written)
