from dataclasses import replace

import numpy as np
import pytest

from jaxpose.annotations.people import head_size, keypoint_extent
from jaxpose.annotations.synthetic import video_plan
from jaxpose.annotations.synthetic_labels import annotate
from jaxpose.annotations.synthetic_motion import SYNTHETIC, Body
from jaxpose.annotations.synthetic_video import OVERSAMPLING, Actor, render, view_of

SIZE = (192, 144)


def test_colours_belong_to_garments_never_to_sides(upright):
    # A mirrored pose, seen from the front, is the mirrored picture but for light and face turn.
    plan = video_plan(3, "train", 0, 1, SIZE)
    actor = plan.actors[0]
    middle = (SIZE[0] - 1) / 2
    ground = np.array([[middle, 0.95 * SIZE[1]]])
    raised = {"arm_out": 1.2, "elbow": 0.8, "arm_roll": 1.2, "hip_out": 0.5}
    pictures = []
    for side in ("left", "right"):
        motion = upright([0.0], **{f"{side}_{name}": value for name, value in raised.items()})
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
