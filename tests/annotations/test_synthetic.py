import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from jaxpose.annotations.mpii import read_mpii_json
from jaxpose.annotations.people import head_size, keypoint_extent
from jaxpose.annotations.posetrack17 import read_posetrack17
from jaxpose.annotations.posetrack18 import read_posetrack18
from jaxpose.annotations.synthetic import (
    draw_dataset,
    video_plan,
    write_dataset,
)
from jaxpose.annotations.synthetic_labels import annotate
from jaxpose.annotations.synthetic_motion import (
    ANGLES,
    SYNTHETIC,
    Body,
    draw_angles,
    pose_body,
)
from jaxpose.annotations.synthetic_video import OVERSAMPLING, Actor, render, view_of
from jaxpose.errors import UsageError
from jaxpose.skeletons import MPII, POSETRACK17, POSETRACK18, conversion, convert_keypoints

SIZE = (192, 144)
TOOL = Path(__file__).parents[2] / "tools" / "make_synthetic.py"


@pytest.fixture(scope="module")
def videos():
    return draw_dataset(seed=3, train_videos=6, val_videos=2, frames_per_video=4, size=SIZE)


def _contents(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(Path(folder).rglob("*"))
        if path.is_file()
    }


def _upright(yaw, **angles):
    still = {name: np.full(len(yaw), angles.get(name, 0.0)) for name in ANGLES}
    return pose_body(Body(), still, np.asarray(yaw, float))


def test_the_superset_fills_every_target_joint_but_the_ears():
    for target in (MPII, POSETRACK17, POSETRACK18):
        missing = np.flatnonzero(conversion(SYNTHETIC, target) < 0)
        assert all("ear" in target.joints[k] for k in missing)


def test_upright_body_has_its_segment_lengths():
    at = {name: points[0] for name, points in _upright([0.0]).points.items()}
    body = Body()
    assert at["left_ankle"][1] == pytest.approx(0.035)
    assert at["left_knee"][1] - at["left_ankle"][1] == pytest.approx(body.shank)
    assert at["left_hip"][1] - at["left_knee"][1] == pytest.approx(body.thigh)
    assert at["left_shoulder"][0] - at["right_shoulder"][0] == pytest.approx(2 * body.shoulder)
    assert at["head_top"][1] - at["upper_neck"][1] == pytest.approx(body.head)
    bent = _upright([0.0], left_elbow=np.pi / 2, left_arm_out=np.pi / 2)
    assert bent.points["left_elbow"][0, 0] == pytest.approx(body.shoulder + body.upper_arm)
    # The forearm of a stretched-out arm, bent by 90 degrees, points forward.
    assert bent.points["left_wrist"][0, 2] == pytest.approx(body.forearm)


def test_left_is_on_the_images_right_only_of_those_who_face_the_camera():
    yaw = np.radians([0, 30, 90, 150, 180, -90])
    points = _upright(yaw).points
    for joint in ("shoulder", "hip", "knee", "ankle"):
        apart = points[f"left_{joint}"] - points[f"right_{joint}"]
        assert np.sign(np.round(apart[:, 0], 6)).tolist() == [1, 1, 0, -1, -1, 0]
        # Facing the image's right hides the left side, facing its left hides the right side.
        assert np.sign(np.round(apart[:, 2], 6))[[2, 5]].tolist() == [-1, 1]
    ahead = points["nose"] - points["upper_neck"]
    assert np.sign(np.round(ahead[:, 0], 6)).tolist() == [0, 1, 1, 1, 0, -1]
    assert np.sign(np.round(ahead[[0, 4], 2], 6)).tolist() == [1, -1]


def test_bones_keep_their_length_in_every_pose():
    rng = np.random.default_rng(0)
    for walking in (False, True):
        points = pose_body(Body(), draw_angles(rng, 40, walking), rng.uniform(-3, 3, 40)).points
        for a, b, length in (
            ("left_shoulder", "left_elbow", Body().upper_arm),
            ("right_elbow", "right_wrist", Body().forearm),
            ("right_hip", "right_knee", Body().thigh),
            ("left_knee", "left_ankle", Body().shank),
            ("pelvis", "thorax", Body().trunk),
        ):
            np.testing.assert_allclose(np.linalg.norm(points[a] - points[b], axis=-1), length)
        lowest = np.minimum(points["left_ankle"][:, 1], points["right_ankle"][:, 1])
        np.testing.assert_allclose(lowest, 0.035)


def test_motion_is_smooth_and_poses_vary(videos):
    steps, poses = [], []
    for index in range(12):
        plan = video_plan(3, "train", index, 12, SIZE)
        for actor in plan.actors:
            points = np.stack([actor.motion.points[name] for name in SYNTHETIC.joints], 1)
            steps.append(np.linalg.norm(np.diff(points[..., :2], axis=0), axis=-1).max())
            poses.append(points[0])
    assert max(steps) < 0.35 and np.median(steps) > 0.03
    spread = np.std(poses, axis=0)[:, :2].max(-1)
    names = list(SYNTHETIC.joints)
    assert spread[[names.index(f"{s}_wrist") for s in ("left", "right")]].min() > 0.15


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


def test_colours_belong_to_garments_never_to_sides():
    # A mirrored pose, seen from the front, is the mirrored picture but for light and face turn.
    plan = video_plan(3, "train", 0, 1, SIZE)
    actor = plan.actors[0]
    middle = (SIZE[0] - 1) / 2
    ground = np.array([[middle, 0.95 * SIZE[1]]])
    raised = {"arm_out": 1.2, "elbow": 0.8, "arm_roll": 1.2, "hip_out": 0.5}
    pictures = []
    for side in ("left", "right"):
        motion = _upright([0.0], **{f"{side}_{name}": value for name, value in raised.items()})
        posed = Actor(Body(), actor.look, motion, ground, 0.8 * SIZE[1])
        flat = replace(
            plan,
            actors=(posed,),
            occluders=(),
            background=np.full_like(plan.background, 128),
            grain=0 * plan.grain,
            light=np.array([0.0, -1.0]),
        )
        pictures.append(render(flat, 0)[0].astype(int))
    difference = abs(pictures[0] - pictures[1][:, ::-1])
    assert (difference > 40).mean() < 0.004
    assert (abs(pictures[0] - pictures[1]) > 40).mean() > 0.02


def test_visible_joints_lie_on_their_person_and_occluded_ones_behind_others():
    checked = occluded = 0
    for index in range(30):
        plan = video_plan(3, "train", index, 1, SIZE)
        owners = render(plan, 0)[1]
        for person in annotate(plan, 0, owners)[0]:
            for joint, (x, y, flag) in zip(SYNTHETIC.joints, person.keypoints, strict=True):
                if flag == 0 or joint == "head_top":  # the head's outline ends there
                    continue
                column, row = (round((v + 0.5) * OVERSAMPLING - 0.5) for v in (x, y))
                owner = owners[row, column]
                if flag == 2:
                    assert owner == person.track_id + 1, (index, joint)
                else:
                    assert owner not in (0, person.track_id + 1), (index, joint)
                    occluded += 1
                checked += 1
    assert checked > 500 and 0.01 < occluded / checked < 0.2


def test_joints_outside_the_picture_are_absent():
    plan = video_plan(3, "train", 1, 1, SIZE)
    actor = replace(plan.actors[0], ground=np.array([[SIZE[0] / 2, SIZE[1] + 0.15 * SIZE[1]]]))
    cut = replace(plan, actors=(actor,), occluders=())
    (person,), _ = annotate(cut, 0, render(cut, 0)[1])
    points = np.stack([actor.motion.points[name][0] for name in SYNTHETIC.joints])
    placed = view_of(cut, actor, 0, 1).project(points)
    below = placed[:, 1] > SIZE[1]
    assert below.any() and not below.all()
    assert (person.keypoints[below] == 0).all()
    assert (person.keypoints[placed[:, 1] < SIZE[1] - 2, 2] > 0).all()


def test_head_boxes_hold_the_head_and_crops_have_the_real_sets_proportions(videos):
    ratios = []
    for video in videos:
        for _, frame in video.frames:
            for person in frame.persons:
                x1, y1, x2, y2 = person.head_box
                crop_side = 6 * np.hypot(x2 - x1, y2 - y1)
                assert head_size(person) == pytest.approx(25 * person.scale, rel=0.01)
                for joint in ("head_top", "upper_neck"):
                    x, y, flag = person.keypoints[SYNTHETIC.joints.index(joint)]
                    if flag:
                        assert x1 - 1 <= x <= x2 + 1 and y1 - 1 <= y <= y2 + 1
                extent = keypoint_extent(person.keypoints)
                if (person.keypoints[:, 2] > 0).all():
                    ratios.append(crop_side / max(extent[2:] - extent[:2]))
                grown = (extent[2:] - extent[:2]) * 1.3
                np.testing.assert_allclose(
                    person.box_xyxy[2:] - person.box_xyxy[:2], grown, atol=0.02
                )
    # The real set: 1.43 of the keypoint box's longer side, 1.09 to 2.6 for the middle 90 percent.
    assert 1.3 < np.median(ratios) < 1.65
    assert min(ratios) > 1.1


def test_frames_have_people_tracks_unlabelled_frames_and_ignored_people():
    plans = [video_plan(0, "train", i, 8, SIZE) for i in range(40)]
    counts = {sum(actor.annotated for actor in plan.actors) for plan in plans}
    assert counts == {1, 2, 3, 4}
    assert any(not actor.annotated for plan in plans for actor in plan.actors)
    unlabelled = sum((~plan.labelled).sum() for plan in plans)
    assert 0 < unlabelled < 0.1 * 8 * 40


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
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


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
