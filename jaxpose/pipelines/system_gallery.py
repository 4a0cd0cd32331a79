"""The frames of a scored split in which people were estimated best and worst, drawn."""

import base64
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import cv2
import numpy as np

from jaxpose.annotations.images import read_image
from jaxpose.annotations.schema import AnnotationSet
from jaxpose.drawing import FIXED_BITS, Colour, draw_polygon, draw_skeleton, fixed_point
from jaxpose.drawing_people import draw_people
from jaxpose.inference.people import Person
from jaxpose.inference.posetrack_results import frame_results
from jaxpose.pipelines.system_submission import ScoredFrame
from jaxpose.skeletons import POSETRACK17, Skeleton, convert_keypoints

# Longer side of an embedded picture in px; small ones are enlarged this much at most.
_SIDE, _LARGEST_FACTOR = 720, 2.0
_JPEG_QUALITY = 82
MISSED: Colour = (255, 0, 200)


class Judged(NamedTuple):
    """A labelled frame and its joints: annotated, predicted rightly and predicted falsely."""

    frame: ScoredFrame
    annotated: int
    right: int
    false: int

    @property
    def share(self) -> float:
        """Right minus false joints, as a share of the annotated ones."""
        return (self.right - self.false) / self.annotated


def judged(frames: Iterable[ScoredFrame], threshold: float) -> list[Judged]:
    """How each frame went, by the joints with scores from a threshold on.

    Frames without annotated joints outside of the ignore regions are left out.
    """
    found = []
    for frame in frames:
        match = frame.match
        shown = match.predicted & (match.scores >= threshold)
        right = int((shown & match.correct).sum())
        row = Judged(frame, int(match.annotated.sum()), right, int(shown.sum()) - right)
        if row.annotated:
            found.append(row)
    return found


def extremes(rows: Sequence[Judged], count: int) -> tuple[list[Judged], list[Judged]]:
    """The best and the worst frames, no frame in both lists.

    Of a video one is taken before a second one of any; of frames with equal shares that with more
    annotated joints.
    """
    half = len(rows) // 2
    best = _spread(
        sorted(rows, key=lambda r: (-r.share, -r.annotated)), min(count, len(rows) - half)
    )
    chosen = {id(row.frame) for row in best}
    rest = [row for row in rows if id(row.frame) not in chosen]
    return best, _spread(sorted(rest, key=lambda r: (r.share, -r.annotated)), min(count, half))


def _spread(ordered: Sequence[Judged], count: int) -> list[Judged]:
    """The first `count`, one a video as long as there are further videos."""
    seen: dict[str, int] = {}
    turns = []
    for place, row in enumerate(ordered):
        turn = seen[row.frame.video] = seen.get(row.frame.video, -1) + 1
        turns.append((turn, place))
    chosen = sorted(turns)[:count]
    return [ordered[place] for _, place in sorted(chosen, key=lambda pair: pair[1])]


def drawing(frame: ScoredFrame, skeleton: Skeleton, threshold: float) -> np.ndarray:
    """A frame with its estimated people and, in thin white over them, the annotated ones.

    Annotated joints that no shown joint matches are ringed in magenta, ignore regions outlined.

    Args:
      skeleton: of the keypoints of both.
      threshold: joints with lower scores, and people without any other, are left out.
    """
    image = read_image(frame.image)
    factor = min(_SIDE / max(image.shape[:2]), _LARGEST_FACTOR)
    way = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
    image = cv2.resize(image, None, fx=factor, fy=factor, interpolation=way)
    (result,) = frame_results(AnnotationSet(skeleton, (frame.found,)))
    people = [_scaled(p, factor) for p in result.people if (p.keypoint_scores >= threshold).any()]
    for polygon in frame.truth.ignore_polygons:
        image = draw_polygon(image, _moved(polygon, factor))
    image = draw_people(image, people, threshold=threshold)
    for person in frame.truth.persons:
        moved = np.column_stack([_moved(person.keypoints[:, :2], factor), person.keypoints[:, 2]])
        image = draw_skeleton(image, moved, skeleton, colour=(255, 255, 255), width=1)
    return _with_rings(image, _moved(_missed(frame, skeleton, threshold), factor))


def _moved(points: np.ndarray, factor: float) -> np.ndarray:
    """Points [N, 2] in px of the enlarged picture; integers are pixel centres in both."""
    return (np.asarray(points, np.float64) + 0.5) * factor - 0.5


def _scaled(person: Person, factor: float) -> Person:
    box = _moved(np.reshape(person.box_xyxy, (2, 2)), factor).ravel()
    return person._replace(box_xyxy=box, keypoints=_moved(person.keypoints, factor))


def _missed(frame: ScoredFrame, skeleton: Skeleton, threshold: float) -> np.ndarray:
    """Annotated joints [N, 2] that no joint with a score from the threshold on matches."""
    match = frame.match
    missed = match.annotated.copy()
    right = match.correct & (match.scores >= threshold)
    for prediction, person in enumerate(match.assigned):
        if person >= 0:
            missed[person] &= ~right[prediction]
    people = [person.keypoints for person in frame.truth.persons]
    return convert_keypoints(np.array(people), skeleton, POSETRACK17)[missed][:, :2]


def _with_rings(image: np.ndarray, points: np.ndarray) -> np.ndarray:
    drawn = image.copy()
    radius = round(max(image.shape[:2]) / 150 * (1 << FIXED_BITS))
    for point in points:
        cv2.circle(drawn, fixed_point(point), radius, MISSED, 2, cv2.LINE_AA, FIXED_BITS)
    return drawn


def data_uri(image: np.ndarray) -> str:
    """A picture uint8 [h, w, 3] RGB as the address of an embedded JPEG."""
    options = [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY]
    done, data = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), options)
    assert done, "OpenCV's wheels always hold a JPEG encoder"
    return "data:image/jpeg;base64," + base64.b64encode(data.tobytes()).decode()
