"""The annotations of a synthetic video: what annotators would have written down of each frame."""

import numpy as np

from jaxpose.annotations.people import keypoint_extent, person_box
from jaxpose.annotations.schema import NOT_ANNOTATED, OCCLUDED, VISIBLE, Frame, Person
from jaxpose.annotations.synthetic_head import head_box_half, head_center
from jaxpose.annotations.synthetic_motion import SYNTHETIC
from jaxpose.annotations.synthetic_video import OVERSAMPLING, Plan, view_of

_RAW_SCALE_PER_HEAD_DIAGONAL = 0.024
_MIN_JOINTS = 4
_MIN_VISIBLE_SHARE = 0.35


def annotate(plan: Plan, frame: int, owners: np.ndarray) -> tuple[list[Person], list[np.ndarray]]:
    """What annotators would write down.

    Args:
      plan: the video.
      frame: which frame.
      owners: the second result of `render`.

    Returns:
      Persons, and polygons [4, 2] around people who are not annotated: bystanders, and people of
      whom too little is in the picture or visible.
    """
    persons, ignored = [], []
    for index, actor in enumerate(plan.actors):
        keypoints = _keypoints(plan, index, frame, owners)
        seen = (keypoints[:, 2] == VISIBLE).sum()
        inside = (keypoints[:, 2] != NOT_ANNOTATED).sum()
        if actor.annotated and inside >= _MIN_JOINTS and seen >= _MIN_VISIBLE_SHARE * inside:
            persons.append(_person(plan, index, frame, keypoints))
        elif inside:
            ignored.append(_polygon(keypoints, plan.size))
    return persons, ignored


def _keypoints(plan: Plan, index: int, frame: int, owners: np.ndarray) -> np.ndarray:
    """float64 [K, 3]; a joint is occluded where another person or an object is seen."""
    actor, (width, height) = plan.actors[index], plan.size
    points = np.stack([actor.motion.points[name][frame] for name in SYNTHETIC.joints])
    view = view_of(plan, actor, frame, 1)
    # Two decimals, so that every file format returns the same numbers.
    xy = np.round(view.project(points)[:, :2], 2)
    inside = np.all((xy >= 0) & (xy <= np.array([width - 1, height - 1])), axis=1)
    cells = np.round((np.where(inside[:, None], xy, 0) + 0.5) * OVERSAMPLING - 0.5).astype(int)
    owner = owners[cells[:, 1], cells[:, 0]]
    flags = np.where((owner == 0) | (owner == index + 1), VISIBLE, OCCLUDED)
    found = np.concatenate([xy, flags[:, None]], -1)
    return np.where(inside[:, None], found, 0.0)


def _person(plan: Plan, index: int, frame: int, keypoints: np.ndarray) -> Person:
    actor = plan.actors[index]
    view = view_of(plan, actor, frame, 1)
    head = actor.motion.head[frame]
    neck = actor.motion.points["upper_neck"][frame]
    middle = view.project(head_center(actor.body, neck, head))[:2]
    half = actor.height * head_box_half(actor.body, view.rotation @ head)
    head_box = np.round(np.concatenate([middle - half, middle + half]), 2)
    extent = keypoint_extent(keypoints)
    center = (extent[:2] + extent[2:]) / 2
    scale = _RAW_SCALE_PER_HEAD_DIAGONAL * float(np.hypot(*(head_box[2:] - head_box[:2])))
    # MPII's rule adds 15 px per scale (6 percent of the crop); in the real set the crop's centre
    # ends 3.5 percent below the middle of the keypoints, so objpos lies 2.5 percent above it.
    objpos = center - np.array([0.0, 0.025 * 250 * scale])
    return Person(
        keypoints=keypoints,
        box_xyxy=np.round(person_box(Person(keypoints))[0], 2),
        head_box=head_box,
        center=np.round(objpos, 2),
        scale=round(scale, 4),
        track_id=index,
    )


def _polygon(keypoints: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    x1, y1, x2, y2 = keypoint_extent(keypoints)
    margin = 4 + 0.12 * max(x2 - x1, y2 - y1)
    corners = [(x1, y1), (x2, y1), (x2, y2), (x1, y2)]
    outward = margin * np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)])
    return np.round(np.clip(np.array(corners) + outward, 0, np.array(size) - 1), 2)


def frame_record(plan: Plan, frame: int, owners: np.ndarray, filename: str, video: str) -> Frame:
    """The annotation of one frame; without people where the frame is unlabelled.

    Args:
      plan, frame, owners: see `annotate`.
      filename: path of the image below the image root.
      video: `NNNNNN_name`; the image id is PoseTrack18's, made of NNNNNN and the frame.
    """
    persons, ignored = annotate(plan, frame, owners) if plan.labelled[frame] else ([], [])
    return Frame(
        filename=filename,
        image_id=f"1{video.split('_')[0]}{frame:04d}",
        width=plan.size[0],
        height=plan.size[1],
        video_id=video,
        frame_index=frame,
        is_labeled=bool(plan.labelled[frame]),
        persons=tuple(persons),
        ignore_polygons=tuple(ignored),
    )
