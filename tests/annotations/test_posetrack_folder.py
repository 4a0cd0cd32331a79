from dataclasses import replace

import numpy as np
import pytest

from jaxpose.annotations.posetrack_folder import (
    annotation_files,
    frames_by_video,
    read_videos,
    video_file,
)
from jaxpose.annotations.schema import AnnotationSet, Frame
from jaxpose.errors import DataError
from jaxpose.skeletons import COCO, POSETRACK17


def video(name, images, skeleton=POSETRACK17, notes=()):
    frames = [Frame(f"{i}.jpg", i, video_id=name, frame_index=n) for n, i in enumerate(images)]
    return AnnotationSet(skeleton, tuple(frames), notes)


def test_files_are_sorted_and_the_first_suffix_wins(tmp_path):
    for name in ("b.json", "a.mat", "b.mat", "c.txt", "a10.json", "a9.json"):
        (tmp_path / name).write_text("")
    names = [path.name for path in annotation_files(tmp_path, (".json", ".mat"))]
    assert names == ["a.mat", "a10.json", "a9.json", "b.json"]
    assert annotation_files(tmp_path / "c.txt", (".json",)) == [tmp_path / "c.txt"]


def test_nothing_there_is_a_data_error(tmp_path):
    for path in (tmp_path, tmp_path / "none"):
        with pytest.raises(DataError, match=str(path)):
            annotation_files(path, (".json",))


def test_videos_are_joined_in_order(tmp_path):
    parts = {tmp_path / "a": video("va", "12", notes=("x",)),
             tmp_path / "b": video("vb", "3", notes=("x", "y"))}  # fmt: skip
    joined = read_videos(parts, parts.__getitem__)
    assert [frame.image_id for frame in joined.frames] == ["1", "2", "3"]
    assert joined.notes == ("x", "y") and joined.skeleton is POSETRACK17


@pytest.mark.parametrize(
    ("second", "reason"),
    [(video("vb", "2"), "image id 2 occurs in a too"), (video("va", "3"), "video va occurs in a"),
     (video("vb", "3", COCO), "joints differ"),
     (replace(video("vb", "3"), classes=("dog",)), "category differs")],
)  # fmt: skip
def test_conflicts_between_files_are_refused(tmp_path, second, reason):
    parts = {tmp_path / "a": video("va", "12"), tmp_path / "b": second}
    with pytest.raises(DataError, match=reason):
        read_videos(parts, parts.__getitem__)


def test_frames_by_video_keeps_the_order():
    mixed = AnnotationSet(POSETRACK17, tuple(
        Frame(n, n, video_id=v) for n, v in (("1", "b"), ("2", "a"), ("3", "b"))))  # fmt: skip
    videos = frames_by_video(mixed)
    assert list(videos) == ["b", "a"]
    np.testing.assert_array_equal([f.image_id for f in videos["b"]], ["1", "3"])
    with pytest.raises(DataError, match="no video id"):
        frames_by_video(AnnotationSet(POSETRACK17, (Frame("still.jpg", "1"),)))


@pytest.mark.parametrize("video_id", ["../x", "/x", "a/b", "a\\b", "c:x", "a\0"])
def test_video_ids_cannot_leave_the_folder(tmp_path, video_id):
    with pytest.raises(DataError):
        video_file(tmp_path, video_id, ".json")
