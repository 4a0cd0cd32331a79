"""The grouping of a bottom-up network's maps by itself: what is timed, without a network.

Drawn people stand side by side in a frame; the maps and fields that a perfect network would say of
them are grouped, on the device (peaks, limbs) and on the host (people).
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxpose.annotations.synthetic_motion import draw_body, pose_body
from jaxpose.annotations.synthetic_poses import draw_angles, draw_facing
from jaxpose.limbs import LimbSet, limbs_of
from jaxpose.models.openpose import STRIDE
from jaxpose.ops import heatmaps, part_maps
from jaxpose.ops.assembly import assemble
from jaxpose.ops.grouping import Candidates, Scale, find_candidates
from jaxpose.skeletons import POSETRACK17
from jaxpose.tasks.bottom_up_prediction import ASSEMBLY

# MPII's joint names for PoseTrack's; the neck is where MPII has its upper neck.
_JOINTS = tuple("upper_neck" if name == "head_bottom" else name for name in POSETRACK17.joints)
# Of the room that a person has.
_FILLED = 0.85
_SIGMA = 7.0  # px, of the maps' peaks
Maps = tuple[jax.Array, jax.Array]


class Grouping(NamedTuple):
    """The two halves of the grouping of PoseTrack's joints in frames of one size.

    Attributes:
      find: maps and fields of a batch -> candidates, on the device.
      people: candidates -> how many people the first frame has, on the host.
    """

    find: Callable[..., Candidates]
    people: Callable[[Candidates], int]


def make_grouping(size: tuple[int, int], options: Mapping[str, Any]) -> Grouping:
    """The grouping of frames of `size` (h, w) px by `config.grouping`."""
    limbs, grouping = limbs_of(POSETRACK17), dict(options)
    thresholds = {name: grouping.pop(name) for name in ASSEMBLY}

    def find(maps: jax.Array, fields: jax.Array) -> Candidates:
        return find_candidates(
            [Scale(maps, fields)], limbs.indices, size, stride=STRIDE, **grouping
        )

    return Grouping(jax.jit(find), lambda candidates: _people(candidates, limbs, thresholds))


def rendered(count: int, size: tuple[int, int], batch: int = 1) -> Maps:
    """Maps and fields that a perfect network says of a batch of frames with so many people."""
    points = heatmaps.input_to_heatmap(standing(count, size), STRIDE)
    cells = (size[0] // STRIDE, size[1] // STRIDE)
    valid = jnp.ones(points.shape[:3])
    maps = part_maps.confidence_maps(points, valid, cells, _SIGMA / STRIDE)
    limbs = limbs_of(POSETRACK17).indices
    fields, _ = part_maps.affinity_fields(points, valid, limbs, cells)
    return jnp.repeat(maps, batch, 0), jnp.repeat(fields, batch, 0)


def standing(count: int, size: tuple[int, int]) -> np.ndarray:
    """Joints [1, count, K, 2] in px of drawn people in rows and columns of a frame (h, w)."""
    rng = np.random.default_rng(count)
    columns = min(count, max(1, round((count * size[1] / size[0]) ** 0.5 + 0.49)))
    rows = -(-count // columns)
    room = np.array([size[1] / columns, size[0] / rows])
    people = []
    for place in range(count):
        yaw = np.array([draw_facing(rng, walking=False)])
        points = pose_body(draw_body(rng), draw_angles(rng, 1, walking=False), yaw).points
        joints = np.array([points[name][0, :2] for name in _JOINTS]) * [1, -1]
        low, extent = joints.min(0), np.ptp(joints, axis=0)
        shown = (joints - low - extent / 2) * _FILLED * (room / extent).min()
        people.append(shown + (np.array([place % columns, place // columns]) + 0.5) * room)
    return np.array(people, np.float32)[None]


def _people(candidates: Candidates, limbs: LimbSet, thresholds: Mapping[str, Any]) -> int:
    arrays = [np.asarray(each) for each in candidates]
    made = [
        assemble(scores, pairs, limbs.indices, **thresholds)
        for _, scores, pairs in zip(*arrays, strict=True)
    ]
    return len(made[0].scores)
