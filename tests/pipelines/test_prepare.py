"""What a config asks for before anything is trained: records, plan, custom sets, refusals."""

import pytest

from jaxpose.errors import DataError, UsageError
from jaxpose.pipelines.prepare import prepare_records
from jaxpose.pipelines.train import make_plan, train

pose_only = pytest.mark.parametrize("task", ["pose"], indirect=True, scope="session")


def test_missing_records_say_how_to_get_them(config, tmp_path):
    config.data_dir = str(tmp_path / "empty")
    config.data.synthetic.train_videos = 0
    with pytest.raises(DataError) as caught:
        train(config, str(tmp_path / "run"))
    text = str(caught.value)
    for part in ("posetrack18", "mpii", "build_records.py", "posetrack.net", "disk", "time"):
        assert part in text, part
    assert ("--config=images" in text) == (config.task != "pose")


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"task": "poses"}, "config.task"),
        ({"non_finite": "Stop"}, "config.non_finite"),
        ({"model": {"dtype": "bf16"}}, "config.model.dtype"),
        ({"seed": -1}, "config.seed"),
        ({"skeleton": "mpi"}, "config.skeleton"),
        ({"input_size": (60, 64)}, "multiples of 4"),
    ],
)
@pose_only
def test_wrong_configs_are_refused_before_training(config, tmp_path, change, expected):
    config.update(change)
    with pytest.raises(UsageError, match=expected):
        train(config, str(tmp_path))


@pose_only
def test_plan_prefers_steps_to_epochs(config):
    config.steps, config.epochs = 0, 2.5
    config.eval.update(every_steps=0, every_epochs=1.0)
    plan = make_plan(config, steps_per_epoch=12.4)
    assert (plan.total, plan.eval_every, plan.save_every) == (31, 12, 2)


@pose_only
def test_custom_sets_are_converted_on_first_use(config, data, tmp_path):
    """Any joint names: the drawn set renamed and written as COCO, trained on as `mine`."""
    from jaxpose.annotations.coco import write_coco_keypoints
    from jaxpose.annotations.posetrack18 import read_posetrack18
    from jaxpose.annotations.schema import AnnotationSet
    from jaxpose.skeletons import Skeleton

    for split in ("train", "val"):
        drawn = read_posetrack18(
            data / "drawn_people" / "drawn" / "posetrack18" / "annotations" / split
        )
        names = tuple(f"{joint}_x" for joint in drawn.skeleton.joints)
        renamed = AnnotationSet(Skeleton("mine", names), drawn.frames)
        write_coco_keypoints(tmp_path / f"{split}.json", renamed)
    images = str(data / "drawn_people" / "drawn" / "posetrack18")
    config.data.synthetic.train_videos = 0
    config.data.custom.update(
        train_json=str(tmp_path / "train.json"),
        train_images=images,
        validation_json=str(tmp_path / "val.json"),
    )
    config.data_dir, config.data.train, config.data.eval = str(tmp_path), ("mine",), "mine"
    config.data.custom.name = "mine"
    config.skeleton = "data"
    records = prepare_records(config, tmp_path)
    assert records.config.joints[0] == "nose_x" and len(records.config.joints) == 17
    batch = next(records.train(0))
    assert batch["keypoints"].shape == (8, 17, 3) and batch["mask"].all()


@pytest.mark.parametrize("task", ["detection"], indirect=True, scope="session")
@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"data": {"train_split": "train_unlabeled"}}, "nobody is annotated in it"),
        ({"channels": "gbr"}, "config.channels"),
        ({"matching": {"mode": "Caffe"}}, "config.matching.mode"),
        ({"matching": {"overlap_threshold": 0.0}}, "config.matching.overlap_threshold"),
        ({"eval": {"rule": "11"}}, "config.eval.rule"),
        ({"eval": {"difficult": "yes"}}, "config.eval.difficult"),
        ({"eval": {"score_thresholds": (0.0, 0.5)}}, "config.eval.score_thresholds"),
        ({"default_boxes": {"clip": "corners"}}, "config.default_boxes.clip"),
        ({"detect": {"max_outputs": 0}}, "config.detect.max_outputs"),
        ({"mean": (1.0,)}, "config.mean"),
        ({"model": {"base_weights": "vgg.npz"}}, "config.model.base_weights"),
        ({"input_size": (320, 320)}, "300 or 512"),
        ({"classes": ("dog",)}, "the detector finds dog, posetrack18 has person"),
    ],
)
def test_wrong_detector_configs_are_refused_before_training(config, tmp_path, change, expected):
    config.update(change)
    with pytest.raises((UsageError, DataError), match=expected):
        train(config, str(tmp_path))


@pytest.mark.parametrize("task", ["detection"], indirect=True, scope="session")
def test_records_decide_classes_and_room(config, tmp_path):
    config.classes = ()
    records = prepare_records(config, tmp_path)
    assert records.config.classes == records.config.eval.classes == ("person",)
    batch, rows = next(records.train(0)), records.config.batch_size
    assert batch["boxes"].shape == (rows, records.config.max_boxes, 4)
    most = max((batch["labels"] > 0).sum(1))
    assert 1 <= most <= records.config.max_boxes
    assert batch["image"].shape == (rows, 128, 128, 3) and batch["mask"].all()
