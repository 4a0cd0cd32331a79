"""All people of a picture: limbs by side, joints by confidence, boxes and labels by person.

Widths follow the person and the picture, from thumbnails to 4K. A limb is a coloured core on a dark
rim, so that it is seen on any background. Images are uint8 [h, w, 3] RGB, coordinates px.
"""

from collections.abc import Sequence
from typing import Protocol

import cv2
import numpy as np

from jaxpose.drawing import FIXED_BITS, Colour, fixed_point, side_colour, visible_joints
from jaxpose.drawing_labels import draw_label
from jaxpose.skeletons import Skeleton, skeleton_of

RIM: Colour = (16, 16, 16)
# Person n always has the same colour. The first ones are far from the colours of the sides.
PALETTE: tuple[Colour, ...] = (
    (70, 215, 95), (255, 120, 225), (150, 100, 255), (200, 240, 60), (255, 165, 80),
    (60, 225, 205), (225, 60, 120), (75, 130, 255), (250, 245, 190), (165, 115, 70),
    (0, 150, 140), (200, 160, 255), (255, 190, 170), (150, 60, 170), (160, 160, 60),
    (185, 205, 220),
)  # fmt: skip
# Joints scored at least this much are drawn in full; heat-map peaks of sure joints lie above it.
SURE = 0.5
_FAINTEST = 0.3
_FACE = frozenset({"nose", "left_eye", "right_eye", "left_ear", "right_ear"})
_FACE_FACTOR = 0.6  # five joints share a face

Point = Sequence[float]


class PosedPerson(Protocol):
    """What is drawn of a person, in px of the picture; `inference.people.Person` is one."""

    @property
    def box_xyxy(self) -> np.ndarray:
        """Float [4]; nan where there is none."""

    @property
    def score(self) -> float:
        """Of the person."""

    @property
    def keypoints(self) -> np.ndarray:
        """Float [K, 2]; joints that are not finite are left out."""

    @property
    def keypoint_scores(self) -> np.ndarray:
        """Float [K]."""

    @property
    def joint_names(self) -> tuple[str, ...]:
        """K names."""


def person_colour(identity: int) -> Colour:
    """The colour of person or track `identity` (0, 1, ...); 16 colours, then again the first."""
    return PALETTE[identity % len(PALETTE)]


def draw_people(
    image: np.ndarray,
    people: Sequence[PosedPerson],
    ids: Sequence[int] | None = None,
    *,
    threshold: float = 0.0,
    boxes: bool = True,
    labels: bool = True,
    skeleton: Skeleton | None = None,
) -> np.ndarray:
    """Draw everybody on one copy of the picture, small persons above large ones.

    Limbs are coloured by side; those of unsure joints fade and their dots shrink. Box, label and
    the rings around the joints have the person's colour.

    Args:
      image: uint8 [h, w, 3].
      people: who is drawn.
      ids: number of each person, e.g. of its track; its place in `people` without them.
      threshold: joints with a lower score, and their limbs, are left out.
      boxes: draw the persons' boxes.
      labels: write number and score of each person at its box.
      skeleton: names and limbs of the joints; `skeletons.skeleton_of` their names without it.

    Returns:
      uint8 [h, w, 3], a new image.
    """
    drawn = np.ascontiguousarray(image).copy()
    numbers = range(len(people)) if ids is None else ids
    sizes = [_size(person) for person in people]
    order = sorted(range(len(people)), key=lambda n: -sizes[n])
    if boxes:
        for n in order:
            _paint_box(drawn, people[n].box_xyxy, person_colour(numbers[n]))
    for n in order:
        width = limb_width(drawn.shape, sizes[n])
        _paint_pose(drawn, people[n], skeleton, threshold, width, person_colour(numbers[n]))
    taken: list[tuple[int, int, int, int]] = []
    for n in order if labels else ():
        text = f"#{numbers[n]}  {people[n].score:.2f}"
        draw_label(drawn, text, _area(people[n]), person_colour(numbers[n]), taken)
    return drawn


def limb_width(shape: tuple[int, ...], size: float) -> float:
    """Width of a person's limbs in px, at least 1.

    Args:
      shape: of the image, (h, w, ...).
      size: longer side of the person's box in px.

    Returns:
      1/70 of the person; from 1/500 (a small person in a large picture is seen from afar) to 1/90
      of the picture's shorter side, but never more than 1/25 of the person.
    """
    side = min(shape[:2])
    return max(1.0, min(float(np.clip(size / 70, side / 500, side / 90)), size / 25))


def _area(person: PosedPerson) -> np.ndarray:
    """The person's box xyxy, or the extent of its joints; nan where it has neither."""
    box = np.asarray(person.box_xyxy, np.float64)
    points = np.asarray(person.keypoints, np.float64)[:, :2]
    points = points[np.isfinite(points).all(-1)]
    if np.isfinite(box).all() or not len(points):
        return box
    return np.concatenate([points.min(0), points.max(0)])


def _size(person: PosedPerson) -> float:
    x1, y1, x2, y2 = np.nan_to_num(_area(person))
    return float(max(x2 - x1, y2 - y1, 0.0))


def _paint_box(image: np.ndarray, box_xyxy: np.ndarray, colour: Colour) -> None:
    if not np.isfinite(box_xyxy).all():
        return
    corners = fixed_point(box_xyxy[:2]), fixed_point(box_xyxy[2:])
    width = max(1, round(min(image.shape[:2]) / 360))
    if width > 1:
        cv2.rectangle(image, *corners, RIM, width + 2, cv2.LINE_AA, FIXED_BITS)
    cv2.rectangle(image, *corners, colour, width, cv2.LINE_AA, FIXED_BITS)


def _paint_pose(
    image: np.ndarray,
    person: PosedPerson,
    skeleton: Skeleton | None,
    threshold: float,
    width: float,
    ring: Colour,
) -> None:
    skeleton = skeleton or skeleton_of(tuple(person.joint_names))
    points = np.asarray(person.keypoints, np.float64)
    scores = np.asarray(person.keypoint_scores, np.float64)
    shown = visible_joints(points, scores, threshold)
    strength = np.clip(scores / SURE, _FAINTEST, 1.0)
    widths = np.where([j in _FACE for j in skeleton.joints], _FACE_FACTOR * width, width)
    at = points.tolist()  # Python's numbers: NumPy's calls would cost more than the drawing
    for a, b in skeleton.limb_indices.tolist():
        if shown[a] and shown[b]:
            paint = side_colour(skeleton.joints[a], skeleton.joints[b])
            thick, sure = max(widths[a], widths[b]), min(strength[a], strength[b])
            _paint_limb(image, at[a], at[b], paint, float(thick), float(sure))
    for k in np.flatnonzero(shown):
        radius = float(widths[k] * (0.4 + 0.7 * strength[k]))
        paint = side_colour(skeleton.joints[k])
        _paint_joint(image, at[k], paint, radius, float(strength[k]), ring)


def _paint_limb(
    image: np.ndarray, a: Point, b: Point, colour: Colour, width: float, strength: float
) -> None:
    core, whole = max(1, round(width)), round(1.5 * width + 1)
    patch, (left, top) = _patch(image, a, b, whole)
    below = patch.copy() if strength < 1 else patch
    line = fixed_point((a[0] - left, a[1] - top)), fixed_point((b[0] - left, b[1] - top))
    if core > 1:
        cv2.line(patch, *line, RIM, whole, cv2.LINE_AA, FIXED_BITS)
    cv2.line(patch, *line, colour, core, cv2.LINE_AA, FIXED_BITS)
    _fade(patch, below, strength)


def _paint_joint(
    image: np.ndarray, at: Point, colour: Colour, radius: float, strength: float, ring: Colour
) -> None:
    whole = radius * 1.35 if radius > 2 else radius
    patch, (left, top) = _patch(image, at, at, whole)
    below = patch.copy() if strength < 1 else patch
    centre = fixed_point((at[0] - left, at[1] - top))
    for reach, paint in ((whole, ring), (radius, colour)):
        fixed = round(reach * (1 << FIXED_BITS))
        cv2.circle(patch, centre, fixed, paint, -1, cv2.LINE_AA, FIXED_BITS)
    _fade(patch, below, strength)


def _patch(
    image: np.ndarray, a: Point, b: Point, margin: float
) -> tuple[np.ndarray, tuple[int, int]]:
    """The part of the image around two points, a view that may be empty, and its corner x, y."""
    bounds = []
    for axis, side in ((0, image.shape[1]), (1, image.shape[0])):
        low, high = min(a[axis], b[axis]) - margin - 2, max(a[axis], b[axis]) + margin + 3
        bounds.append((int(min(max(low, 0), side)), int(min(max(high, 0), side))))
    (left, right), (top, bottom) = bounds
    return image[top:bottom, left:right], (left, top)


def _fade(patch: np.ndarray, below: np.ndarray, strength: float) -> None:
    """Let what was below show through, the more the less sure."""
    if strength < 1 and patch.size:
        cv2.addWeighted(patch, strength, below, 1 - strength, 0, dst=patch)
