"""Which frames of a split are estimated, their boxes, and the digest that stands for them."""

import json
import shutil

import cv2
import numpy as np
import pytest

from jaxpose.annotations.posetrack17 import read_posetrack17, write_posetrack17_mat
from jaxpose.annotations.schema import Frame, Person
from jaxpose.errors import DataError
from jaxpose.pipelines.system_split import decoded_frames, read_split, truth_boxes


@pytest.fixture
def folder(drawn_videos, tmp_path):
    return shutil.copytree(drawn_videos, tmp_path / "videos")


@pytest.mark.parametrize("dataset", ["posetrack17", "posetrack18"])
def test_labelled_frames_are_estimated_in_the_order_of_the_files(drawn_videos, dataset):
    split = read_split(drawn_videos / dataset, None, "validation")
    assert split.dataset == dataset == split.skeleton.name and len(split.videos) == 2
    frames = [frame for video in split.videos for frame in video.frames]
    jobs = split.estimated()
    assert [frame for frame, _ in jobs] == [frame for frame in frames if frame.persons]
    assert len(jobs) == split.labelled < len(frames) == 8
    for decoded, (frame, path) in zip(decoded_frames(jobs), jobs, strict=True):
        assert decoded.name == frame.filename and decoded.image.shape == (144, 192, 3)
        assert path.is_file() and np.array_equal(decoded.image, cv2.imread(str(path))[..., ::-1])


def test_the_training_split_is_read_like_validation(folder):
    validation = read_split(folder / "posetrack18", None, "validation")
    (folder / "posetrack18/annotations/val").rename(folder / "posetrack18/annotations/train")
    train = read_split(folder / "posetrack18", None, "train")
    assert (train.name, train.labelled) == ("train", validation.labelled)
    images = [[path for _, path in split.estimated()] for split in (train, validation)]
    assert images[0] == images[1] and train.digest != validation.digest


def test_matlab_files_are_read_too(folder):
    annotations = folder / "posetrack17" / "annotations" / "val"
    as_json = read_split(folder / "posetrack17", "posetrack17", "validation")
    write_posetrack17_mat(annotations, read_posetrack17(annotations))
    for file in annotations.glob("*.json"):
        file.unlink()
    as_matlab = read_split(folder / "posetrack17", None, "validation")
    assert as_matlab.dataset == "posetrack17" and as_matlab.labelled == as_json.labelled
    assert [v.file.stem for v in as_matlab.videos] == [v.file.stem for v in as_json.videos]
    boxes = [[truth_boxes(f)[0] for f, _ in split.estimated()] for split in (as_matlab, as_json)]
    for one, other in zip(*boxes, strict=True):
        assert np.allclose(one.boxes_xyxy, other.boxes_xyxy, atol=1e-3)


def test_the_digest_is_that_of_annotations_and_images(folder, drawn_videos):
    def digest():
        return read_split(folder / "posetrack18", None, "validation").digest

    before = digest()
    assert before == read_split(drawn_videos / "posetrack18", None, "validation").digest
    split = read_split(folder / "posetrack18", None, "validation")
    unlabelled = next(f for v in split.videos for f in v.frames if not f.persons)
    (folder / "posetrack18" / unlabelled.filename).unlink()
    assert digest() == before, "frames that do not count need no image"
    image = split.estimated()[0][1]
    content = image.read_bytes()
    image.write_bytes(content + b"\0")
    assert digest() != before
    image.write_bytes(content)
    assert digest() == before
    file = split.videos[0].file
    file.write_text(file.read_text() + " ")
    assert digest() != before


def edit(file, change):
    document = json.loads(file.read_text())
    change(document)
    file.write_text(json.dumps(document))


def test_what_cannot_be_a_split_is_refused(folder):
    root = folder / "posetrack18"
    one, two = sorted((root / "annotations" / "val").iterdir())
    texts = one.read_text(), two.read_text()

    def refused(words):
        with pytest.raises(DataError, match=words):
            read_split(root, None, "validation")
        one.write_text(texts[0])
        two.write_text(texts[1])

    name = json.loads(texts[0])["images"][0]["file_name"]
    edit(two, lambda document: document["images"][0].update(file_name=name))
    refused(f"{two.name}: image {name} occurs in {one.name} too")
    shutil.copy(folder / "posetrack17/annotations/val/500001_synthetic.json", two)
    refused("is of format posetrack17, .* of posetrack18")
    two.with_suffix(".mat").write_bytes(b"")
    (root / "annotations" / "val" / "other.mat").write_bytes(b"")
    refused("holds PoseTrack18's JSON and PoseTrack17's .mat files")
    (root / "annotations" / "val" / "other.mat").unlink()
    one.write_text(json.dumps(json.loads(texts[0]) | {"annotations": []}))
    two.write_text(json.dumps(json.loads(texts[1]) | {"annotations": []}))
    refused("val: nobody is annotated in its 8 frames")
    edit(one, lambda document: document["images"][0].update(file_name="../out.jpg"))
    refused("out.jpg")


def test_an_image_of_another_size_is_refused(folder):
    split = read_split(folder / "posetrack18", None, "validation")
    path = split.estimated()[0][1]
    cv2.imwrite(str(path), np.zeros((50, 60, 3), np.uint8))
    with pytest.raises(DataError, match=f"{path.name}: image is 60 x 50, annotated as 192 x 144"):
        next(decoded_frames(split.estimated()))


def test_boxes_of_the_ground_truth():
    def person(points, **more):
        keypoints = np.zeros((15, 3))
        keypoints[: len(points)] = [(*point, 2) for point in points]
        return Person(keypoints, **more)

    own = person([(1, 1)], box_xyxy=np.array([10.0, 20, 30, 60]))
    extent = person([(100, 100), (120, 140)])
    nowhere = person([(5, 5)])  # a single joint has no extent
    crowd = person([(1, 1), (5, 5)], iscrowd=True)
    unposed = Person(np.zeros((15, 3)), box_xyxy=np.array([0.0, 0, 9, 9]))
    boxes, boxless = truth_boxes(Frame("a", "a", persons=(own, extent, nowhere, crowd, unposed)))
    assert boxes.boxes_xyxy.tolist() == [[10, 20, 30, 60], [97, 94, 123, 146]]
    assert boxes.scores.tolist() == [1, 1] and boxless == 1
    assert truth_boxes(Frame("a", "a"))[0].boxes_xyxy.shape == (0, 4)
