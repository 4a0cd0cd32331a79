"""What the estimator may be called with, what it refuses, and what its options change."""

import copy

import numpy as np
import pytest

import jaxpose
from jaxpose.config import to_json
from jaxpose.errors import DataError, UsageError
from jaxpose.inference.flow import BatchSizes
from jaxpose.inference.options import Options, batch_sizes
from jaxpose.inference.people import FrameResult, Person
from jaxpose.inference.restore import restore
from jaxpose.training.weight_file import read_weight_file, write_weight_file


@pytest.fixture(scope="module")
def estimator(networks):
    return jaxpose.PoseEstimator.restore(
        detector=networks["detection"],
        pose=networks["pose"],
        det_threshold=0.75,
        batch_size=1,  # so that one picture and many compile the same
    )


@pytest.fixture
def folder(tmp_path, picture, jpeg):
    for name in ("a.jpg", "sub/b ü.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(jpeg(picture(320, 200, len(name))))
    (tmp_path / "bad.jpg").write_bytes(b"no picture")
    return tmp_path


def assert_same(one, other):
    assert len(one) == len(other) > 0
    for a, b in zip(one, other, strict=True):
        assert a.score == pytest.approx(b.score, abs=1e-4)
        np.testing.assert_allclose(a.box_xyxy, b.box_xyxy, atol=0.01)


def test_one_picture_gives_its_people(estimator, folder, picture):
    people = estimator(folder / "a.jpg")
    assert type(people) is list and all(isinstance(person, Person) for person in people)
    assert people[0].joint_names == estimator.skeleton.joints
    assert people[0].keypoints.shape == (15, 2) and people[0].keypoint_scores.shape == (15,)
    assert [p.score for p in people] == sorted((p.score for p in people), reverse=True)
    assert all(person.score >= 0.75 for person in people)
    assert_same(estimator(str(folder / "a.jpg")), people)
    with pytest.raises(DataError, match="bad.jpg: neither JPEG nor PNG"):
        estimator(folder / "bad.jpg")
    with pytest.raises(DataError, match="gone.jpg: .*No such file"):
        estimator(folder / "gone.jpg")


def test_many_pictures_give_results_in_order_with_rows_for_bad_ones(estimator, folder):
    results = list(estimator(folder))
    assert [r.name for r in results] == ["a.jpg", "bad.jpg", "sub/b ü.jpg"]
    assert all(isinstance(result, FrameResult) for result in results)
    assert {result.folder for result in results} == {folder.name}
    assert (results[0].width, results[0].height) == (320, 200)
    bad = results[1]
    assert (bad.width, bad.height, bad.people) == (0, 0, ()) and "neither JPEG" in bad.error
    assert_same(results[0].people, estimator(folder / "a.jpg"))
    listed = list(estimator([folder / "sub/b ü.jpg", folder / "gone.jpg", str(folder / "a.jpg")]))
    assert [r.name for r in listed] == ["b ü.jpg", "gone.jpg", "a.jpg"] and listed[1].error
    assert_same(listed[2].people, results[0].people)
    found = estimator(f"{folder}/**/*.jpg")
    assert [r.name for r in found] == ["a.jpg", "bad.jpg", "sub/b ü.jpg"]
    with pytest.raises(UsageError, match="empty"):
        estimator([])


def test_paths_may_come_from_a_generator_and_mix_with_images(estimator, folder, picture):
    found = estimator(path for path in sorted(folder.rglob("*.jpg")))
    assert [(r.name, bool(r.error)) for r in found] == [
        ("a.jpg", False), ("bad.jpg", True), ("b ü.jpg", False),
    ]  # fmt: skip
    image = picture(320, 200, len("a.jpg"))
    mixed = [image, folder / "a.jpg", str(folder / "gone.jpg"), image]
    results = list(estimator(mixed))
    names = ["000000", "a.jpg", "gone.jpg", "000003"]
    assert [r.name for r in results] == [r.name for r in estimator(iter(mixed))] == names
    assert results[2].error
    assert_same(results[0].people, results[3].people)
    assert len(results[1].people) > 0


def test_own_boxes_of_many_pictures_go_by_name(estimator, folder):
    box = [[10, 20, 200, 190]]
    results = list(estimator(folder, {"a.jpg": box}, {"a.jpg": [0.8]}))
    assert [len(result.people) for result in results] == [1, 0, 0]
    assert results[0].people[0].score == pytest.approx(0.8)
    alone = estimator(folder / "a.jpg", box, [0.8])
    np.testing.assert_allclose(alone[0].keypoints, results[0].people[0].keypoints, atol=0.01)
    assert not estimator(folder / "a.jpg", box, [0.5])  # below det_threshold
    assert not estimator(folder / "a.jpg", [])


def test_options_change_what_they_name(networks, picture):
    image = picture(320, 240)
    boxes = [[10, 10, 150, 200], [12, 9, 151, 203], [200, 20, 300, 230]]
    scores = [0.5, 0.9, 0.6]

    both = {
        flip_test: jaxpose.PoseEstimator.restore(False, networks["pose"], flip_test=flip_test)
        for flip_test in (True, False)
    }

    def people(**options):
        estimator = copy.copy(both[options.get("flip_test", True)])
        estimator.options = estimator.options._replace(**options)  # nothing compiles again
        return estimator(image, boxes, scores)

    plain = people(joint_score="peak")
    assert [p.score for p in plain] == pytest.approx(scores)
    for person, by_box in zip(plain, people(joint_score="box", flip_test=False), strict=True):
        np.testing.assert_allclose(by_box.keypoint_scores, person.score)
    for person, product in zip(plain, people(), strict=True):
        expected = person.keypoint_scores * person.score
        np.testing.assert_allclose(product.keypoint_scores, expected, rtol=1e-5)
    assert [p.score for p in people(max_persons=2)] == pytest.approx([0.9, 0.6])  # order kept
    assert [p.score for p in people(det_threshold=0.55)] == pytest.approx([0.9, 0.6])
    assert len(people(oks_nms=1.0)) == 3 and len(people(oks_nms=0.0)) == 1


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        ({"det_threshold": 1.5}, "det_threshold is 1.5"),
        ({"oks_nms": -0.1}, "oks_nms is -0.1"),
        ({"keypoint_threshold": float("nan")}, "keypoint_threshold is nan"),
        ({"max_persons": 0}, "max_persons is 0"),
        ({"pose_batch_size": -3}, "pose_batch_size is -3"),
        ({"joint_score": "sum"}, "'sum'; there are peak_times_box"),
    ],
)
def test_options_out_of_range_are_refused(networks, options, fault):
    with pytest.raises(UsageError, match=fault):
        jaxpose.PoseEstimator.restore(False, networks["pose"], **options)


def test_all_numbers_of_pictures_but_one_share_their_batch_sizes():
    options = Options(batch_size=4, pose_batch_size=9)
    many = {batch_sizes(options, count) for count in (None, 2, 3, 4, 100)}
    assert many == {BatchSizes(4, 9)}
    assert batch_sizes(options, 1) == BatchSizes(1, 8)
    assert batch_sizes(Options(pose_batch_size=5), 1) == BatchSizes(1, 5)


def test_wrong_networks_and_images_are_refused(networks, estimator, tmp_path):
    pose, detector = networks["pose"], networks["detection"]
    with pytest.raises(UsageError, match="the detector's checkpoint holds a network for pose"):
        jaxpose.PoseEstimator.restore(pose, pose)
    with pytest.raises(UsageError, match="the pose network's checkpoint .* for detection"):
        jaxpose.PoseEstimator.restore(detector, detector)
    with pytest.raises(TypeError, match="threshold; options: det_threshold"):
        jaxpose.PoseEstimator.restore(False, pose, threshold=0.3)
    cats = restore(detector).config.copy_and_resolve_references().unlock()
    cats.classes = ("cat",)
    file = tmp_path / "cats.npz"
    write_weight_file(file, read_weight_file(detector).weights, to_json(cats))
    with pytest.raises(UsageError, match="finds cat, no person"):
        jaxpose.PoseEstimator.restore(file, pose)
    for wrong in (np.zeros((9, 9)), np.zeros((9, 9, 4), np.uint8), np.zeros((9, 9, 3))):
        with pytest.raises(ValueError, match="RGB uint8"):
            estimator(wrong)
    alone = jaxpose.PoseEstimator.restore(detector=False, pose=pose)
    with pytest.raises(UsageError, match="no detector and no boxes"):
        alone(np.zeros((9, 9, 3), np.uint8))
