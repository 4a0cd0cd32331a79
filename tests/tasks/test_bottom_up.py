"""The bottom-up task: weights of the loss, and people back from the maps that it trains on."""

from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxpose import drawing
from jaxpose.defaults import bottom_up_config
from jaxpose.errors import UsageError
from jaxpose.evaluation.bottom_up import BottomUpEvaluator
from jaxpose.limbs import limbs_of
from jaxpose.ops import affine
from jaxpose.skeletons import COCO_18, POSETRACK17
from jaxpose.tasks import make_task
from jaxpose.tasks.bottom_up import loss
from jaxpose.tasks.bottom_up_pictures import input_sheet, prediction_sheet
from jaxpose.tasks.bottom_up_prediction import (
    candidates,
    frame_view,
    limb_set,
    map_to_source,
    network_options,
)
from jaxpose.tasks.bottom_up_targets import targets

OPTIONS = bottom_up_config().targets.to_dict()
VIEW, CELLS = (192, 256), (24, 32)
# Units of 30 px: a person who stands with spread arms, PoseTrack's joints.
STANDING = np.array(
    [[-0.5, 5], [-0.5, 4], [-0.5, 3], [0.5, 3], [0.5, 4], [0.5, 5], [-2, 2], [-1.6, 1.5],
     [-0.8, 1], [0.8, 1], [1.6, 1.5], [2, 2], [0, 0.8], [0.1, 0.3], [0, -0.3]]
)  # fmt: skip


def standing(skeleton=POSETRACK17):
    """Two people in one view, as `augment` gives them: [1, 2, K, 2] px of the view."""
    joints = dict(zip(POSETRACK17.joints, STANDING, strict=True)) | {"neck": STANDING[12]}
    for side, x in (("left", 0.2), ("right", -0.2)):
        joints |= {f"{side}_eye": np.array([x, 0.1]), f"{side}_ear": np.array([2 * x, 0.2])}
    person = np.stack([joints[name] for name in skeleton.joints])
    points = np.stack([28 * person + (70, 25), 30 * person + (180, 20)])[None]
    return {
        "points": points.astype(np.float32),
        "annotated": np.ones(points.shape[:3], bool),
        "joint_mask": np.ones((1, skeleton.size), np.float32),
        "trained": np.ones((1, *CELLS), np.float32),
        "mask": np.ones(1, np.float32),
    }


@cache
def jitted(function, skeleton, **options):
    return jax.jit(partial(function, limbs=limbs_of(skeleton).by_field, options=OPTIONS, **options))


def made(batch, skeleton=POSETRACK17):
    truth = jitted(targets, skeleton, size=CELLS)(batch)
    return {name: np.asarray(value) for name, value in truth.items()}


def test_perfect_outputs_cost_nothing_and_stages_add_up():
    batch, cost = standing(), jitted(loss, POSETRACK17)
    truth = made(batch)
    perfect = [np.stack([truth[name]] * 2) for name in ("fields", "maps")]
    value, parts = cost(perfect, batch)
    assert value == pytest.approx(0, abs=1e-6) and len(parts) == 4
    perfect[1][1, 0, 3, 4, 5] += 2
    value, parts = cost(perfect, batch)
    assert value == pytest.approx(2.0) and parts["maps_l2_stage2"] == pytest.approx(2.0)
    padded = jax.tree.map(lambda leaf: np.concatenate([leaf, leaf]), batch)
    padded["mask"] = np.array([1, 0], np.float32)
    twice = [np.concatenate([leaf, leaf + 1], 1) for leaf in perfect]
    assert cost(twice, padded)[0] == pytest.approx(2.0)


def test_where_nobody_knows_only_what_is_drawn_counts():
    batch = standing() | {"trained": np.zeros((1, *CELLS), np.float32)}
    truth = made(batch)
    drawn = np.asarray(truth["maps"][..., :-1] > 0)
    np.testing.assert_array_equal(truth["maps_weight"][..., :-1], drawn)
    np.testing.assert_array_equal(truth["maps_weight"][..., -1], drawn.any(-1))
    covered = np.abs(np.asarray(truth["fields"]).reshape(1, *CELLS, 14, 2)).max(-1) > 0
    np.testing.assert_array_equal(truth["fields_weight"][..., ::2], covered)


def test_parts_that_a_data_set_lacks_weigh_nothing():
    nose = POSETRACK17.joints.index("nose")
    batch = standing()
    batch["joint_mask"][:, nose] = 0
    truth = made(batch)
    weighed = np.asarray(truth["maps_weight"]).max((0, 1, 2))
    assert [k for k in range(16) if weighed[k] == 0] == [nose, 15]
    of_limbs = np.asarray(truth["fields_weight"]).max((0, 1, 2))[::2]
    with_nose = (limbs_of(POSETRACK17).by_field == nose).any(-1)
    np.testing.assert_array_equal(of_limbs == 0, with_nose)
    assert not np.asarray(truth["maps"][..., nose]).any()


@pytest.mark.parametrize("skeleton", [POSETRACK17, COCO_18], ids=lambda s: s.name)
def test_people_come_back_from_their_targets(skeleton):
    """Through peaks, limbs and assembly, into a frame of twice the size; nothing is lost."""
    limbs, config = limbs_of(skeleton), bottom_up_config()
    config.grouping.subpixel = True
    batch, truth = standing(skeleton), made(standing(skeleton), skeleton)
    grouping = {n: v for n, v in config.grouping.items() if not n.startswith("min_")}
    sizes = jnp.array([[VIEW[1], VIEW[0]]], jnp.float32)

    @jax.jit
    def find(truth, points):
        found = candidates(truth["fields"], truth["maps"], sizes, VIEW, limbs, grouping)
        to_source = frame_view(2 * sizes, VIEW)[:, None]
        move = partial(affine.transform_points, to_source)
        return found._replace(points=move(found.points)), move(points)

    found, keypoints = jax.tree.map(np.asarray, find(truth, batch["points"]))
    flags = np.full((1, 2, skeleton.size, 1), 2.0)
    box = np.concatenate([keypoints.min(2), keypoints.max(2)], -1)
    frames = {
        "keypoints": np.concatenate([keypoints, flags], -1),
        "joint_mask": np.ones((1, skeleton.size)),
        "head_size": np.full((1, 2), 40.0),
        "area": np.full((1, 2), 20_000.0),
        "boxes": np.asarray(box),
        "labels": np.ones((1, 2), int),
        "crowd": np.zeros((1, 2), bool),
        "ignore": np.zeros((1, 1, 4)),
        "mask": np.ones(1),
    }
    evaluator = BottomUpEvaluator(skeleton, limbs, min_parts=4, min_mean_score=0.4)
    evaluator.add(frames, found._asdict())
    result = evaluator.result()
    assert (result["images"], result["people"], result["found"]) == (1, 2, 2)
    assert result["oks_ap"] == pytest.approx(100)
    # The COCO network has no top of the head, which counts as never found; its neck is PoseTrack's.
    total = 100 if skeleton is POSETRACK17 else 100 * 14 / 15
    assert result["posetrack_total"] == pytest.approx(total)
    frames["mask"] = np.zeros(1)
    evaluator.add(frames, found._asdict())
    assert evaluator.result()["images"] == 1


def test_pictures_show_sides_by_colour():
    batch, limbs = standing(), limbs_of(POSETRACK17)
    grey = np.zeros((1, *VIEW, 3), np.float32)
    drawn = {"skeleton": POSETRACK17, "limbs": limbs}
    view = {"mean": (128.0,) * 3, "channels": "rgb", "options": OPTIONS}
    inputs = batch | {"image": grey}
    parts = input_sheet(inputs, **drawn, **view)[: VIEW[0], : VIEW[1]]
    for name, colour in (("left_ankle", drawing.LEFT), ("right_ankle", drawing.RIGHT)):
        x, y = batch["points"][0, 1, POSETRACK17.joints.index(name)].round().astype(int)
        assert np.abs(parts[y, x].astype(int) - colour).max() < 60, name
    truth = made(batch)
    keypoints = np.concatenate([batch["points"], np.full((1, 2, 15, 1), 2.0)], -1)
    frames = {
        "image": grey.astype(np.uint8),
        "matrix": np.eye(2, 3)[None],
        "valid": np.array([[0, 0, VIEW[1], VIEW[0]]]),
        "keypoints": keypoints,
        "labels": np.ones((1, 2), int),
        "mask": np.ones(1),
        "id": ["drawn/1"],
    }
    to_source = map_to_source(jnp.eye(2, 3)[None])
    predictions = {name: np.asarray(truth[name]) for name in ("maps", "fields")}
    found = prediction_sheet(frames, predictions | {"to_source": to_source}, **drawn)
    assert found.shape[:2] == (VIEW[0], 2 * VIEW[1] + 2) and found.std() > 10


def test_limbs_of_a_config():
    config = bottom_up_config()
    assert limb_set(config) is limbs_of(POSETRACK17)
    config.part_limbs.update(pairs=(("nose", "head_top"), ("nose", "head_bottom")), places=(1, 0))
    assert limb_set(config).channels.tolist() == [[2, 3], [0, 1]]
    task = make_task(config)
    assert (task.model.num_parts, task.model.num_limbs) == (15, 2)
    assert task.outputs == "15 parts, 2 limbs"
    config.part_limbs.places = (1, 1)
    with pytest.raises(UsageError, match=r"places is \(1, 1\); number 2 fields"):
        limb_set(config)
    config.part_limbs.pairs = (("nose", "tail"),)
    with pytest.raises(UsageError, match="names tail; give pairs of right_ankle"):
        limb_set(config)
    config.part_limbs.update(pairs=(("nose", "right_elbow"),), places=())
    assert network_options(config)["flip"] is None
    config.eval.flip_test = True
    message = r"no flip test \(--noflip_test\) .*nose to right_elbow is none of the 1 limbs"
    with pytest.raises(UsageError, match=message):
        network_options(config)
