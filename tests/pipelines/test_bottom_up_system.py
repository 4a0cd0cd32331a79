"""A bottom-up network in `predict` and in the evaluation of systems: no detector, no boxes."""

import json

import optax
import pytest

from jaxpose.config import to_json
from jaxpose.defaults import DEFAULTS
from jaxpose.errors import UsageError
from jaxpose.inference.options import numbers
from jaxpose.pipelines.evaluate_system import evaluate_system
from jaxpose.pipelines.predict import predict
from jaxpose.tasks import make_task
from jaxpose.training.state import init_state
from jaxpose.training.weight_file import write_weight_file
from jaxpose.training.weights import Weights


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    """An untrained network with loud outputs that finds somebody in any picture."""
    config = DEFAULTS["bottom_up"]()
    config.model.update(width=1 / 16, batch_norm=True, stages=1)
    config.eval.input_size = (64, 64)
    config.grouping.update(
        peak_threshold=0.0, max_peaks=8, sample_threshold=-9.0, long_limb=9.0, min_parts=2,
        min_mean_score=0.0,
    )  # fmt: skip
    made = make_task(config)
    state = init_state(made.model, made.input_shape, made.initial_value, optax.identity(), seed=0)
    params = {
        name: 30 * value if "/conv5/" in name else value for name, value in state.params.items()
    }
    path = tmp_path_factory.mktemp("network") / "loud.npz"
    write_weight_file(
        path, Weights(7, params, state.batch_stats, False, {}, {}, ""), to_json(config)
    )
    return str(path)


def test_predict_needs_no_detector(network, picture, jpeg, tmp_path, capsys):
    for name in ("a.jpg", "b.jpg"):
        (tmp_path / name).write_bytes(jpeg(picture(96, 64, seed=ord(name[0]))))
    out = tmp_path / "out"
    report = predict(
        [str(tmp_path)], pose=network, output_dir=str(out), flip_test=False, save_images=True,
        formats=("coco", "openpose"), max_persons=3,
    )  # fmt: skip
    assert f"no detector, bottom-up network: {network}" in capsys.readouterr().out
    assert report["networks"] == {"pose": network} and list(report["checkpoints"]) == ["pose"]
    people = json.loads((out / "coco" / "results.json").read_text())
    assert 2 <= len(people) == report["people"] <= 6
    assert all(0 <= person["score"] <= 1 for person in people)
    assert len(list((out / "openpose").rglob("*_keypoints.json"))) == 2
    assert len(list((out / "images").rglob("*.jpg"))) == 2


@pytest.mark.parametrize("given", [{"detector": "d"}, {"boxes": "b.json"}])
def test_predict_refuses_what_has_no_meaning(network, given, tmp_path, picture, jpeg):
    (tmp_path / "a.jpg").write_bytes(jpeg(picture(96, 64)))
    if "boxes" in given:
        given = {"boxes": str(tmp_path / "b.json")}
        (tmp_path / "b.json").write_text(
            '[{"image_id": 1, "category_id": 1, "bbox": [0, 0, 9, 9], "score": 0.9}]'
        )
    with pytest.raises(UsageError, match="has no meaning beside .*loud.npz, a bottom-up network"):
        predict([str(tmp_path / "a.jpg")], pose=network, output_dir=str(tmp_path / "o"), **given)


def test_the_system_is_the_network_alone(network, drawn_videos, tmp_path, capsys):
    where = {"pose": network, "frames": str(drawn_videos / "posetrack17")}
    report = evaluate_system(
        **where, output_dir=str(tmp_path), flip_test=False, scales=(0.5, 1.0), max_persons=4
    )
    protocol = report["protocol"]
    assert protocol["boxes"] == "bottom_up" and protocol["detector"] is None
    assert protocol["det_threshold"] is None
    assert protocol["pose"]["scales"] == [0.5, 1.0]
    assert protocol["pose"]["frame_size"] == [64, 64]
    assert protocol["pose"]["grouping"]["min_parts"] == 2
    assert report["pred_persons"] > 0 and report["speed"]["detection_seconds"] is None
    page = (tmp_path / "report.html").read_text()
    assert "poses by loud, no boxes" in page
    assert not (tmp_path / "detections.json").exists()
    for given in ({"detector": "d"}, {"boxes": "ground_truth"}, {"detections": "d.json"}):
        with pytest.raises(UsageError, match="has no meaning: --pose is a bottom-up network"):
            evaluate_system(**where, **given)


def test_scales_are_numbers():
    assert numbers("scales", ["0.5", "1"]) == (0.5, 1.0)
    with pytest.raises(UsageError, match="--scales=1,x: give numbers"):
        numbers("scales", ["1", "x"])
