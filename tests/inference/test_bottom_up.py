"""People of bottom-up networks, with a stub that reads parts off the colours of a picture.

Everybody is an L: a red part, a green one to its right, a blue one below that.
"""

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
import pytest

from jaxpose.config import set_skeleton
from jaxpose.defaults import DEFAULTS
from jaxpose.errors import UsageError
from jaxpose.inference import bottom_up
from jaxpose.inference.estimator import PoseEstimator
from jaxpose.inference.frames import Frame
from jaxpose.inference.options import Options
from jaxpose.inference.restore import Restored
from jaxpose.limbs import LimbSet
from jaxpose.ops.grouping import Candidates
from jaxpose.skeletons import Skeleton

JOINTS = ("neck", "right_hip", "right_knee")
PAIRS = (("neck", "right_hip"), ("right_hip", "right_knee"))
LIMBS = LimbSet(JOINTS, PAIRS)


class Colours(nn.Module):
    """Means of 8x8 px: one part a channel; fields to the right and downwards everywhere."""

    @nn.compact
    def __call__(self, images):
        maps = 1.8 * nn.avg_pool(images, (8, 8), (8, 8))
        maps = jnp.concatenate([maps, 1 - maps.max(-1, keepdims=True)], -1)
        fields = jnp.broadcast_to(jnp.array([1.0, 0, 0, 1]), (*maps.shape[:3], 4))
        return fields[None], maps[None]


@pytest.fixture
def estimator(monkeypatch):
    options_of = bottom_up.network_options

    def with_stub(config):
        return options_of(config) | {"model": Colours()}

    monkeypatch.setattr(bottom_up, "network_options", with_stub)

    def estimator(**options):
        config = DEFAULTS["bottom_up"]()
        set_skeleton(config, Skeleton("custom", JOINTS, PAIRS))
        config.eval.input_size = (64, 96)
        config.grouping.update(min_parts=2, max_peaks=8)
        network = Restored(config, None, {}, 3, "digest", None)
        return PoseEstimator(None, network, Options(**{"flip_test": False} | options))

    return estimator


def picture(width, height, *corners, reach=24, missing=()):
    """L-shaped people: the green part lies at each corner; `missing` are (person, channel)."""
    image = np.full((height, width, 3), 128, np.uint8)
    y, x = np.mgrid[:height, :width]
    for person, corner in enumerate(corners):
        for channel, offset in enumerate(((-reach, 0), (0, 0), (0, reach))):
            center = np.add(corner, offset)
            near = (x - center[0]) ** 2 + (y - center[1]) ** 2 <= (reach / 3) ** 2
            if (person, channel) not in missing:
                image[near, channel] = 255
    return image


def joints_of(corner, reach=24):
    return np.array(corner) + [[-reach, 0], [0, 0], [0, reach]]


def assert_found(people, corners, within, reach=24):
    assert len(people) == len(corners)
    found = sorted((person.keypoints for person in people), key=lambda joints: tuple(joints[1]))
    for joints, corner in zip(found, sorted(corners), strict=True):
        np.testing.assert_allclose(joints, joints_of(corner, reach), rtol=0, atol=within)


def test_views_and_which_frame_is_shown_in_which():
    views = bottom_up.views_of((368, 656))
    assert views == ((368, 368), (368, 496), (368, 656), (496, 368), (656, 368))
    assert bottom_up.views_of((64, 64)) == ((64, 64),)
    assert bottom_up.views_of((96, 64)) == ((64, 64), (64, 88), (64, 96), (88, 64), (96, 64))
    frames = {(1280, 720): (368, 656), (640, 480): (368, 496), (500, 500): (368, 368),
              (720, 1280): (656, 368), (10, 3000): (656, 368), (480, 640): (496, 368)}  # fmt: skip
    for frame, view in frames.items():
        assert bottom_up.best_view(*frame, views) == view, frame
    assert bottom_up.scaled_view((368, 656), 0.5) == (184, 328)
    assert bottom_up.scaled_view((368, 496), 0.25) == (96, 128)
    assert bottom_up.scaled_view((64, 64), 0.01) == (8, 8)


def test_people_of_frames_of_several_shapes_in_their_order(estimator):
    corners = [[(40, 20), (80, 30)], [(40, 30)], [], [(100, 20), (36, 20), (70, 28)]]
    sizes = [(96, 64), (64, 96), (96, 64), (120, 60)]
    images = [picture(*size, *own) for size, own in zip(sizes, corners, strict=True)]
    frames = [Frame(f"{n}", image) for n, image in enumerate(images)]
    frames.insert(2, Frame("bad", None, error="bad: cannot be read"))
    results = [result for _, result in estimator(batch_size=2).stream(frames, len(frames))]
    assert [result.name for result in results] == ["0", "1", "bad", "2", "3"]
    assert results[2].error == "bad: cannot be read" and not results[2].people
    for result, own in zip([results[n] for n in (0, 1, 3, 4)], corners, strict=True):
        assert_found(result.people, own, within=2)


def test_one_picture(estimator):
    made = estimator(keypoint_threshold=0.1)
    image = picture(96, 64, (40, 20), (80, 30), missing={(1, 2)})
    people = made(image)
    whole, part = people
    assert whole.joint_names == JOINTS and made.skeleton.joints == JOINTS
    assert 1 >= whole.score > part.score > 0.2
    assert_found([whole], [(40, 20)], within=2)
    assert np.isnan(part.keypoints[2]).all() and part.keypoint_scores[2] == 0
    np.testing.assert_allclose(part.keypoints[:2], joints_of((80, 30))[:2], rtol=0, atol=2)
    low, high = whole.keypoints.min(0), whole.keypoints.max(0)
    box = np.concatenate([low - 0.15 * (high - low), high + 0.15 * (high - low)])
    np.testing.assert_allclose(whole.box_xyxy, box, rtol=0, atol=1e-3)
    assert made.digests == {"pose": "digest"}
    (best,) = estimator(max_persons=1)(image)
    np.testing.assert_array_equal(best.keypoints, whole.keypoints)


def test_frames_are_enlarged_and_reduced(estimator):
    large = estimator()(picture(960, 640, (400, 200), (800, 300), reach=240))
    assert_found(large, [(400, 200), (800, 300)], within=20, reach=240)
    small = estimator()(picture(48, 32, (24, 10), reach=12))
    assert_found(small, [(24, 10)], within=1.5, reach=12)


def test_scales_are_averaged_in_place(estimator):
    image = picture(96, 64, (40, 20), (80, 30))
    assert_found(estimator(scales=(0.5, 1.0, 1.5))(image), [(40, 20), (80, 30)], within=3)
    assert_found(estimator(scales=(2.0,))(image), [(40, 20), (80, 30)], within=1.5)


def test_both_mirrorings_are_averaged(estimator):
    # The stub's limbs run to the right in the mirrored picture too: those across are gone.
    (person,) = estimator(flip_test=True)(picture(96, 64, (40, 20)))
    assert np.isnan(person.keypoints[0]).all()
    np.testing.assert_allclose(person.keypoints[1:], joints_of((40, 20))[1:], rtol=0, atol=2)


def test_what_has_no_meaning_is_refused(estimator):
    made, image = estimator(), picture(96, 64)
    with pytest.raises(UsageError, match="the picture: a bottom-up network takes no boxes"):
        made(image, boxes=[[0, 0, 9, 9]])
    with pytest.raises(UsageError, match="give no detector"):
        PoseEstimator(made, Restored(DEFAULTS["bottom_up"](), None, {}, 3, "", None), Options())
    for scales in ((), (0.0,), (1.0, 9.0)):
        with pytest.raises(UsageError, match="scales are"):
            estimator(scales=scales)


def test_poses_that_resemble_a_better_one_are_left_out_by_the_joints_both_have(estimator):
    image = picture(96, 64, (40, 20), (80, 30), missing={(1, 2)})
    assert len(estimator(oks_nms=0.5)(image)) == 2


def test_people_of_candidates():
    points = np.zeros((3, 2, 2), np.float32)
    points[:, 0], points[:, 1] = [[1, 2], [3, 4], [5, 6]], [[7, 8], [9, 8], [0, 0]]
    scores = np.array([[0.9, 0.5], [0.8, 0.6], [0.7, 0]], np.float32)
    limbs = np.zeros((2, 2, 2), np.float32)
    limbs[0, 1, 1], limbs[0, 0, 0], limbs[1, 0, 0] = 0.9, 0.8, 0.6
    found = Candidates(points, scores, limbs)
    boxes, joints = bottom_up.people_of(found, LIMBS, min_parts=2, min_mean_score=0.1)
    np.testing.assert_allclose(joints[0], [[1, 2, 0.9], [3, 4, 0.8], [5, 6, 0.7]])
    np.testing.assert_allclose(joints[1, :2], [[7, 8, 0.5], [9, 8, 0.6]])
    np.testing.assert_array_equal(joints[1, 2], [np.nan, np.nan, 0])
    np.testing.assert_allclose(boxes.scores, [(2.4 + 1.4) / 5, 2.0 / 5], atol=1e-6)
    np.testing.assert_allclose(boxes.boxes_xyxy[0], [0.4, 1.4, 5.6, 6.6], atol=1e-6)
    boxes, joints = bottom_up.people_of(found, LIMBS, min_parts=4, min_mean_score=0.1)
    assert boxes.boxes_xyxy.shape == (0, 4) and joints.shape == (0, 3, 3)
