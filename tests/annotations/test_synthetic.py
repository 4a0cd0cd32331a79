import signal
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from jaxpose.annotations.mpii import read_mpii_json
from jaxpose.annotations.posetrack17 import read_posetrack17
from jaxpose.annotations.posetrack18 import read_posetrack18
from jaxpose.annotations.synthetic import draw_dataset, video_plan, write_dataset
from jaxpose.annotations.synthetic_motion import SYNTHETIC
from jaxpose.errors import UsageError
from jaxpose.skeletons import MPII, POSETRACK17, POSETRACK18, convert_keypoints

SIZE = (192, 144)
TOOL = Path(__file__).parents[2] / "tools" / "make_synthetic.py"


def _contents(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(Path(folder).rglob("*"))
        if path.is_file()
    }


def test_the_same_seed_gives_the_same_frames_whatever_else_is_drawn(videos):
    fewer = draw_dataset(seed=3, train_videos=2, val_videos=1, frames_per_video=4, size=SIZE)
    assert [video.name for video in fewer] == [videos[i].name for i in (0, 1, 6)]
    for one, other in zip(fewer, [videos[0], videos[1], videos[6]], strict=True):
        for (image, frame), (again, same) in zip(one.frames, other.frames, strict=True):
            assert np.array_equal(image, again)
            assert len(frame.persons) == len(same.persons)
            for person, twin in zip(frame.persons, same.persons, strict=True):
                assert np.array_equal(person.keypoints, twin.keypoints)
    different = draw_dataset(seed=4, train_videos=1, val_videos=0, frames_per_video=1, size=SIZE)
    assert not np.array_equal(different[0].frames[0][0], videos[0].frames[0][0])


def test_validation_has_other_people_backgrounds_and_motions():
    seen = {
        split: [video_plan(3, split, i, 3, SIZE) for i in range(8)] for split in ("train", "val")
    }
    for part in (
        lambda plan: {repr(actor.look) for actor in plan.actors},
        lambda plan: {repr(actor.body) for actor in plan.actors},
        lambda plan: {actor.motion.points["nose"].tobytes() for actor in plan.actors},
        lambda plan: {plan.background.tobytes()},
    ):
        train, val = (set().union(*map(part, seen[split])) for split in ("train", "val"))
        assert train and val and not train & val


def test_track_ids_follow_the_person_through_the_video(videos):
    for video in videos:
        where: dict[int, list[np.ndarray]] = {}
        for _, frame in video.frames:
            assert frame.is_labeled or not frame.persons
            tracks = [person.track_id for person in frame.persons]
            assert len(set(tracks)) == len(tracks)
            for person in frame.persons:
                where.setdefault(person.track_id, []).append(person.center)
        for path in where.values():
            assert np.linalg.norm(np.diff(path, axis=0), axis=-1).max(initial=0) < 0.25 * SIZE[1]


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("drawn")
    summaries = write_dataset(
        folder, seed=3, train_videos=6, val_videos=2, frames_per_video=4, size=SIZE
    )
    return folder, summaries


def test_files_are_the_same_in_several_processes(written, tmp_path):
    folder, _ = written
    write_dataset(
        tmp_path, seed=3, train_videos=6, val_videos=2, frames_per_video=4, size=SIZE, processes=2
    )
    assert _contents(tmp_path) == _contents(folder)


def _expected(videos, split, target):
    frames = [f for v in videos if v.split == split for _, f in v.frames]
    points = [
        [convert_keypoints(p.keypoints, SYNTHETIC, target) for p in frame.persons]
        for frame in frames
    ]
    return frames, points


def _assert_image(path, image):
    read = cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)
    assert read.shape == image.shape
    assert abs(read.astype(int) - image).mean() < 5


@pytest.mark.parametrize("name", ["posetrack18", "posetrack17"])
def test_posetrack_files_read_back(written, videos, name):
    folder, _ = written
    read, target = {
        "posetrack18": (read_posetrack18, POSETRACK18),
        "posetrack17": (read_posetrack17, POSETRACK17),
    }[name]
    turn = ("posetrack18", "posetrack17", "mpii").index(name)
    mine = [video for video in videos if int(video.name[:6]) % 500_000 % 3 == turn]
    for split in ("train", "val"):
        frames, points = _expected(mine, split, target)
        images = [image for v in mine if v.split == split for image, _ in v.frames]
        back = read(folder / name / "annotations" / split).frames
        assert [f.filename for f in back] == [f.filename for f in frames]
        for frame, want, keypoints, image in zip(back, frames, points, images, strict=True):
            assert (frame.video_id, frame.frame_index) == (want.video_id, want.frame_index)
            assert frame.is_labeled == want.is_labeled
            assert len(frame.ignore_polygons) == len(want.ignore_polygons)
            for polygon, other in zip(frame.ignore_polygons, want.ignore_polygons, strict=True):
                np.testing.assert_allclose(polygon, other)
            for person, wanted, joints in zip(frame.persons, want.persons, keypoints, strict=True):
                if name == "posetrack18":  # the format holds one flag for visible and occluded
                    joints = np.where(joints[:, 2:] > 0, joints * [1, 1, 0] + [0, 0, 2], 0)
                np.testing.assert_allclose(person.keypoints, joints)
                np.testing.assert_allclose(person.head_box, wanted.head_box)
                assert person.track_id == wanted.track_id
            _assert_image(folder / name / frame.filename, image)


def test_mpii_files_read_back(written, videos):
    folder, _ = written
    frames, points = _expected([videos[2], videos[5]], "train", MPII)
    by_name = {
        f"{f.video_id}_{f.frame_index:06d}.jpg": (f, k) for f, k in zip(frames, points, strict=True)
    }
    back = read_mpii_json(folder / "mpii" / "annot" / "train.json").frames
    assert 2 <= len(back) <= 4
    for frame in back:
        want, keypoints = by_name[frame.filename]
        assert (folder / "mpii" / "images" / frame.filename).is_file()
        for person, wanted, joints in zip(frame.persons, want.persons, keypoints, strict=True):
            joints = np.where(joints[:, 2:] > 0, joints * [1, 1, 0] + [0, 0, 2], 0)
            np.testing.assert_allclose(person.keypoints, joints, atol=1e-9)
            np.testing.assert_allclose(person.center, wanted.center)
            assert person.scale == wanted.scale
    assert not (folder / "mpii" / "annot" / "valid.json").exists()


def test_summary_counts_what_is_there(written):
    folder, summaries = written
    assert [s.format for s in summaries] == ["posetrack18", "posetrack17", "mpii"]
    assert sum(s.videos for s in summaries) == 8
    for summary in summaries:
        assert summary.images == len(list((folder / summary.format).rglob("*.jpg")))
        assert summary.persons > 0


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"formats": ("coco",)}, "unknown format 'coco'"),
        ({"val_formats": ()}, "no format for val"),
        ({"train_videos": -1}, "negative"),
        ({"frames_per_video": 0}, "cannot draw"),
        ({"size": (10, 10)}, "10 x 10"),
    ],
)
def test_wrong_arguments_are_usage_errors(tmp_path, wrong, message):
    with pytest.raises(UsageError, match=message):
        write_dataset(tmp_path / "x", **wrong)
    assert not (tmp_path / "x").exists()


def _tool(*arguments):
    command = [sys.executable, str(TOOL), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)


def test_tool_writes_and_refuses_to_mix_with_what_is_there(tmp_path):
    small = ("--videos=2", "--val_videos=1", "--frames=1", "--size=96,72", "--processes=1")
    done = _tool(tmp_path / "out", *small, "--formats=posetrack18")
    assert done.returncode == 0, done.stderr
    assert "posetrack18: 3 videos, 3 images" in done.stdout
    before = _contents(tmp_path / "out")
    again = _tool(tmp_path / "out", *small)
    assert again.returncode == 2 and "not empty" in again.stderr
    assert _contents(tmp_path / "out") == before
    (tmp_path / "out" / "mine.txt").write_text("precious")
    kept = _tool(tmp_path / "out", *small, "--overwrite")
    assert kept.returncode == 2 and "mine.txt" in kept.stderr
    (tmp_path / "out" / "mine.txt").unlink()
    replaced = _tool(tmp_path / "out", *small, "--overwrite", "--formats=posetrack17")
    assert replaced.returncode == 0, replaced.stderr
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["posetrack17"]


_KILLED = """
import os, signal, sys
from jaxpose.annotations.synthetic import write_dataset
def killed(_):
    os.kill(os.getpid(), signal.SIGKILL)
write_dataset(sys.argv[1], train_videos=40, val_videos=0, processes=2, progress=killed)
"""


def test_workers_end_with_a_killed_parent(tmp_path):
    """They hold the pipe of its output, which comes to an end when the last of them does."""
    command = [sys.executable, "-c", _KILLED, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == -signal.SIGKILL, done.stderr
