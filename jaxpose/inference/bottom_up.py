"""A bottom-up network's functions: whole frames in, people out, without a detector.

    canvases --show--> network input --find--> candidates --people--> boxes and joints

`show` and `find` are jitted and compile once for each view: frames are shown in the one of a few
shapes in which they are largest. `people` puts them together on the host.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxpose.annotations.people import person_box
from jaxpose.annotations.schema import Person as AnnotatedPerson
from jaxpose.evaluation.bottom_up import assembled_people
from jaxpose.inference.frames import Boxes
from jaxpose.inference.restore import Restored
from jaxpose.inference.steps import require_task
from jaxpose.limbs import LimbSet
from jaxpose.models.openpose import STRIDE
from jaxpose.ops import affine
from jaxpose.ops.grouping import Candidates, Scale, find_candidates
from jaxpose.tasks.bottom_up_prediction import (
    ASSEMBLY,
    frame_view,
    limb_set,
    network_input,
    network_options,
    predict_maps,
)

View = tuple[int, int]


class BottomUpFunctions(NamedTuple):
    """Functions of a bottom-up network.

    Attributes:
      views: (h, w) in px of what the network can be shown.
      empty: (view, frames) -> inputs, a batch of each scale, all zeros.
      show: (inputs, canvases [R, side, side, 3], matrices [R, 2, 3] source px -> canvas px, valid
        [R, 4] canvas px, sizes [R, 2] width and height in source px, slots [R], view=) -> inputs,
        in which canvas i replaced row slots[i]; slots beyond their rows are left out.
      find: (variables, inputs, sizes [D, 2], view=) -> Candidates, points in source px.
      people: (Candidates of one frame, NumPy) -> boxes by falling score, and joints float32
        [N, K, 3] in their order: x, y in source px and peak; nan, nan and 0 where one is missing.
      variables: of the network, on the device.
    """

    views: tuple[View, ...]
    empty: Callable[[View, int], tuple[jax.Array, ...]]
    show: Callable[..., tuple[jax.Array, ...]]
    find: Callable[..., Candidates]
    people: Callable[[Candidates], tuple[Boxes, np.ndarray]]
    variables: Any


def is_bottom_up(network: Restored) -> bool:
    """Whether a network finds all people of a frame by itself."""
    return network.config.task == "bottom_up"


def bottom_up_functions(
    restored: Restored,
    flip_test: bool,
    scales: tuple[float, ...] = (1.0,),
    max_persons: int | None = None,
) -> BottomUpFunctions:
    """The network's functions; see `options.Options` for the arguments.

    Raises:
      UsageError: another task's network.
    """
    require_task(restored, "bottom_up", "bottom-up network")
    config = restored.config.copy_and_resolve_references().unlock()
    config.eval.flip_test = flip_test
    network, limbs = network_options(config), limb_set(config)
    shown = {name: network[name] for name in ("mean", "channels")}
    found = {name: network[name] for name in ("model", "flip", "limbs", "grouping")}
    thresholds = {name: config.grouping[name] for name in ASSEMBLY}
    return BottomUpFunctions(
        views=views_of(network["view"]),
        empty=lambda view, frames: tuple(
            jax.device_put(np.zeros((frames, *scaled_view(view, scale), 3), np.float32))
            for scale in scales
        ),
        show=jax.jit(
            partial(_show, scales=scales, **shown), donate_argnums=0, static_argnames="view"
        ),
        find=jax.jit(partial(_find, scales=scales, **found), static_argnames="view"),
        people=partial(people_of, limbs=limbs, most=max_persons, **thresholds),
        variables=restored.variables,
    )


def views_of(view: View) -> tuple[View, ...]:
    """Shapes for frames of the usual proportions, from the (h, w) of `config.eval.input_size`.

    Its own, a square and 4:3, all with its shorter side, lying and upright; whole map pixels.
    """
    short, long = min(view), max(view)
    between = -(-short * 4 // (3 * STRIDE)) * STRIDE
    sides = {long, min(long, between), short}
    return tuple(sorted({view for side in sides for view in ((short, side), (side, short))}))


def best_view(width: int, height: int, views: Sequence[View]) -> View:
    """The view in which a frame is largest; of several the one with the fewest pixels."""
    return max(views, key=lambda view: (min(view[0] / height, view[1] / width), -view[0] * view[1]))


def scaled_view(view: View, scale: float) -> View:
    """Size of the network's input that shows at a scale what the view shows, in whole cells."""
    height, width = (max(STRIDE, -(-round(side * scale) // STRIDE) * STRIDE) for side in view)
    return height, width


def people_of(
    candidates: Candidates, limbs: LimbSet, most: int | None = None, **thresholds: Any
) -> tuple[Boxes, np.ndarray]:
    """People of one frame, see `BottomUpFunctions.people`.

    A person's score is the sum over peaks and limbs, divided by what a whole person can have; its
    box is the extent of its joints x 1.3.

    Args:
      limbs: in the order of assembly.
      most: the best so many people; all without.
      thresholds: min_parts and min_mean_score of `assembly.assemble`.
    """
    found = assembled_people(candidates._asdict(), limbs, **thresholds)
    order = np.argsort(-found.scores, kind="stable")[:most]
    joints = found.keypoints[order].astype(np.float32)
    there = np.asarray(joints.any(-1))
    flagged = np.concatenate([joints[..., :2], 2 * there[..., None]], -1)
    boxes = [person_box(AnnotatedPerson(person))[0] for person in flagged]
    whole = joints.shape[1] + limbs.size
    joints[~there, :2] = np.nan
    scores = np.clip(found.scores[order] / whole, 0, 1).astype(np.float32)
    return Boxes(np.array(boxes, np.float32).reshape(-1, 4), scores), joints


def _show(
    inputs: tuple[jax.Array, ...],
    canvases: jax.Array,
    matrices: jax.Array,
    valid: jax.Array,
    sizes: jax.Array,
    slots: jax.Array,
    *,
    view: View,
    scales: Sequence[float],
    **network: Any,
) -> tuple[jax.Array, ...]:
    """See `BottomUpFunctions.show`; mean and channels are of the network."""
    batch = {"image": canvases, "matrix": matrices, "valid": valid}
    to_source = frame_view(sizes, view)
    filled = []
    for each, scale in zip(inputs, scales, strict=True):
        size = (each.shape[1], each.shape[2])
        rectangle = jnp.array([0, 0, size[1], size[0]], jnp.float32) / scale
        scaled = affine.compose(to_source, affine.stretch_matrix(rectangle, size))
        shown = network_input(batch, scaled, size, **network)
        filled.append(each.at[slots].set(shown, mode="drop"))
    return tuple(filled)


def _find(
    variables: Mapping[str, Any],
    inputs: tuple[jax.Array, ...],
    sizes: jax.Array,
    *,
    view: View,
    scales: Sequence[float],
    limbs: LimbSet,
    grouping: Mapping[str, Any],
    **network: Any,
) -> Candidates:
    """See `BottomUpFunctions.find`; model and flip are of `predict_maps`."""
    to_source = frame_view(sizes, view)
    seen = []
    for each, scale in zip(inputs, scales, strict=True):
        fields, maps = predict_maps(variables, each, **network)
        seen.append(Scale(maps[..., :-1], fields[..., limbs.channels.ravel()], scale))
    shown = sizes / to_source[:, 0, :1]
    found = find_candidates(seen, limbs.indices, view, shown, stride=STRIDE, **grouping)
    return found._replace(points=affine.transform_points(to_source[:, None], found.points))
