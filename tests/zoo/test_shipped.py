"""The list of networks, their lookup, and that they are the default."""

import hashlib
import json
import subprocess
import sys

import numpy as np
import pytest

import jaxpose
from jaxpose.errors import CheckpointError, UsageError
from jaxpose.pipelines.predict import predict
from jaxpose.skeletons import POSETRACK17
from jaxpose.zoo import shipped

DETECTOR, POSE = "person_ssd_small", "person_hourglass_small"


def test_the_list_tells_what_the_files_hold(zoo, networks):
    pose, detector = jaxpose.zoo.list()
    assert (pose.name, pose.task, pose.joints) == (POSE, "pose", POSETRACK17.joints)
    assert (detector.name, detector.task, detector.classes) == (DETECTOR, "detection", ("person",))
    assert pose.classes == () == detector.joints
    assert pose.input_size == (64, 48) and detector.input_size == (64, 64)
    with np.load(networks["pose"]) as file:
        sizes = [file[name].size for name in file.files if name.startswith("params/")]
    assert pose.parameters == sum(sizes) > 1000
    assert pose.bytes == networks["pose"].stat().st_size
    assert pose.sha256 == hashlib.sha256(networks["pose"].read_bytes()).hexdigest()
    assert pose.scores["coco_people_crops/validation"] == {"pck": 12.5, "oks_ap": 1.25}
    assert pose.licence == "Apache-2.0"
    assert pose.path == jaxpose.zoo.path(POSE) == zoo / f"{POSE}.npz"


def test_adding_a_network_is_adding_two_files(zoo):
    for ending in ("npz", "md"):
        (zoo / f"another.{ending}").write_bytes((zoo / f"{POSE}.{ending}").read_bytes())
    assert [model.name for model in jaxpose.zoo.list()] == ["another", POSE, DETECTOR]
    assert jaxpose.restore("another").digest == jaxpose.restore(POSE).digest


def test_a_file_without_its_card_or_damaged_is_refused(zoo):
    card, file = zoo / f"{POSE}.md", zoo / f"{POSE}.npz"
    text = card.read_text()
    card.unlink()
    with pytest.raises(CheckpointError, match=f"{POSE}.md: the model card cannot be read"):
        jaxpose.zoo.list()
    card.write_text(text.replace(shipped.file_digest(file), "0" * 64))
    with pytest.raises(CheckpointError, match=f"{POSE}.md is the card of another file"):
        jaxpose.zoo.list()
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    with pytest.raises(CheckpointError, match=f"{POSE}.npz"):
        jaxpose.zoo.list()


def test_an_unknown_name_lists_the_known_ones(zoo):
    with pytest.raises(CheckpointError, match=f"'large' comes .*there are: {POSE}, {DETECTOR}"):
        jaxpose.zoo.path("large")
    with pytest.raises(CheckpointError, match=f"large: no such file.*{POSE}, {DETECTOR}"):
        jaxpose.restore("large")


def test_an_estimator_takes_the_default_networks(zoo, networks, picture):
    estimator = jaxpose.PoseEstimator.restore(det_threshold=0.1, max_persons=2)
    named = jaxpose.PoseEstimator.restore(
        networks["detection"], POSE, **estimator.options._asdict()
    )
    assert estimator.digests == named.digests and set(named.digests) == {"detector", "pose"}
    image = picture(120, 80)
    people = estimator(image)
    assert len(people) == 2
    for person, same in zip(people, named(image), strict=True):
        np.testing.assert_array_equal(person.keypoints, same.keypoints)


@pytest.fixture
def photograph(tmp_path, picture, jpeg):
    path = tmp_path / "photo.jpg"
    path.write_bytes(jpeg(picture(120, 80)))
    return str(path)


def test_predict_needs_no_checkpoint_and_says_what_it_uses(zoo, photograph, tmp_path, capsys):
    out = tmp_path / "out"
    predict([photograph], output_dir=str(out), det_threshold=0.1, max_persons=1)
    first, second, *_ = capsys.readouterr().out.splitlines()
    assert first == f"detector: {DETECTOR}, pose network: {POSE}"
    assert second.startswith("note: the networks that come with jaxpose are small")
    report = json.loads((out / "predict.json").read_text())
    assert report["people"] == 1
    assert report["networks"] == {"detector": DETECTOR, "pose": POSE}
    assert report["checkpoints"]["pose"] == jaxpose.restore(POSE).digest


def test_own_networks_bring_no_note_and_own_boxes_no_detector(
    zoo, networks, photograph, tmp_path, capsys
):
    run = {"output_dir": str(tmp_path / "out"), "max_persons": 1}
    given = {task: str(networks[task]) for task in ("pose", "detection")}
    predict([photograph], detector=given["detection"], pose=given["pose"], **run)
    out = capsys.readouterr().out
    assert out.startswith(f"detector: {given['detection']}, pose network: {given['pose']}\n")
    assert "note: the networks" not in out
    boxes = tmp_path / "boxes.json"
    boxes.write_text(json.dumps([{"file_name": "photo.jpg", "category_id": 1,
                                  "bbox": [5, 6, 60, 70], "score": 0.9}]))  # fmt: skip
    (zoo / f"{DETECTOR}.npz").unlink()  # it is not asked for
    document = predict([photograph], boxes=str(boxes), **run)
    assert document["people"] == 1 and document["networks"] == {"pose": POSE}
    assert capsys.readouterr().out.startswith(f"boxes: {boxes}, pose network: {POSE}\nnote: ")


def test_without_default_networks_the_message_says_so(zoo, photograph, tmp_path):
    (zoo / f"{DETECTOR}.npz").unlink()
    with pytest.raises(UsageError, match="no detection network comes .*; give --detector=PATH"):
        predict([photograph], output_dir=str(tmp_path / "out"))
    with pytest.raises(UsageError, match="give --detector=PATH"):
        jaxpose.PoseEstimator.restore()


def test_importing_jaxpose_stays_light_and_the_zoo_comes_when_asked_for():
    code = "import sys, jaxpose; a = 'jax' in sys.modules; jaxpose.zoo.list; print(a)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
