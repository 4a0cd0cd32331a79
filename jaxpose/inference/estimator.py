"""People in pictures and videos: a person detector and a pose network as one function.

A bottom-up network finds the joints of all people at once and is alone, without a detector.

estimator = jaxpose.PoseEstimator.restore(detector="runs/ssd", pose="runs/hourglass")
people = estimator(image)                 # one picture: a list of Person
for frame in estimator("videos"):         # a folder, list or video: FrameResults, as they come
    print(frame.name, len(frame.people))
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Literal, overload

import numpy as np

from jaxpose.config import skeleton_of
from jaxpose.errors import UsageError
from jaxpose.inference.bottom_up import BottomUpFunctions, bottom_up_functions, is_bottom_up
from jaxpose.inference.device_clock import DeviceClock
from jaxpose.inference.flow import Flow
from jaxpose.inference.folded import folded
from jaxpose.inference.frames import Boxes, Frame, checked_image
from jaxpose.inference.inputs import frames_of
from jaxpose.inference.joint_scores import JOINT_SCORES, distinct_poses, pairwise_oks
from jaxpose.inference.options import Options, batch_sizes, checked, in_effect, person_threshold
from jaxpose.inference.own_boxes import boxes_by_name, person_boxes, with_boxes
from jaxpose.inference.people import FrameResult, Person
from jaxpose.inference.pictures import read_picture
from jaxpose.inference.restore import Restored, restore
from jaxpose.inference.sources import is_one_picture
from jaxpose.inference.stages import Pending
from jaxpose.inference.steps import (
    DetectorFunctions,
    PoseFunctions,
    detector_functions,
    pose_functions,
)
from jaxpose.inference.warming import compile_networks
from jaxpose.zoo.shipped import default


class PoseEstimator:
    """Estimates people; made by `restore`.

    Attributes:
      options: what it was made with; `det_threshold` is the detector's own where none was given.
      skeleton: joints of the pose network, in the order of `Person.keypoints`.
      digests: role ('detector', 'pose') -> digest of its checkpoint.
    """

    def __init__(self, detector: Restored | None, pose: Restored, options: Options) -> None:
        if is_bottom_up(pose) and detector is not None:
            raise UsageError("a bottom-up network finds people itself: give no detector")
        self.options = in_effect(options, detector and detector.config)
        detector, pose = detector and folded(detector), folded(pose)
        self._pose: PoseFunctions | None = None
        self._detector: DetectorFunctions | BottomUpFunctions | None = None
        if is_bottom_up(pose):
            self._detector = bottom_up_functions(
                pose, options.flip_test, options.scales, options.max_persons
            )
        else:
            self._pose = pose_functions(pose, options.flip_test)
            self._detector = detector and detector_functions(
                detector, person_threshold(self.options), options.nms_iou
            )
        self.skeleton = skeleton_of(pose.config)
        self.digests = {"pose": pose.digest} | ({"detector": detector.digest} if detector else {})

    @classmethod
    def restore(
        cls,
        detector: str | Path | Literal[False] | None = None,
        pose: str | Path | None = None,
        **options: Any,
    ) -> "PoseEstimator":
        """Restore both networks from their checkpoints; see `jaxpose.restore` for the paths.

        Args:
          detector: of people; without it the one that comes with jaxpose, where there is one; False
            where boxes are given with every picture. None beside a bottom-up network.
          pose: network of a person's joints; without it the one that comes with jaxpose.
          options: fields of `options.Options`: det_threshold (the detector's own without), nms_iou,
            max_persons, joint_score, keypoint_threshold, oks_nms, batch_size, pose_batch_size,
            flip_test, scales.

        Raises:
          CheckpointError: nothing intact there. UsageError: a network of the other task, a
            detector without the class `person` or beside a bottom-up network, an option out of
            range, or none given and none in this installation.
        """
        unknown = ", ".join(set(options) - set(Options._fields))
        if unknown:
            raise TypeError(f"restore() knows no {unknown}; options: {', '.join(Options._fields)}")
        chosen = checked(Options(**options))
        network = restore(pose or default("pose"))
        if detector is False or (detector is None and is_bottom_up(network)):
            return cls(None, network, chosen)
        return cls(restore(detector or default("detection")), network, chosen)

    @overload
    def __call__(
        self, source: np.ndarray, boxes: Any = None, box_scores: Any = None
    ) -> list[Person]: ...

    @overload
    def __call__(
        self, source: Any, boxes: Any = None, box_scores: Any = None
    ) -> list[Person] | Iterator[FrameResult]: ...

    def __call__(
        self, source: Any, boxes: Any = None, box_scores: Any = None
    ) -> list[Person] | Iterator[FrameResult]:
        """Estimate the people in one picture, or in many.

        Args:
          source: RGB image uint8 [H, W, 3], or the path of a JPEG or PNG, which is turned upright
            by its EXIF orientation: one picture. A folder, a video, a pattern such as
            'photos/*.jpg', a list or generator of any of these: many.
          boxes: own person boxes instead of the detector's: [N, 4] xyxy in px of the one picture;
            for many a mapping from a frame's name to its [N, 4], without it nobody is there.
          box_scores: [N], or a mapping likewise; 1 without. `det_threshold` applies to them.

        Returns:
          of one picture the list of its people, by falling score of their boxes (own boxes in
          their own order); of many a generator of FrameResults in the order of the inputs, which
          reads as far ahead as a few batches and has a row with an `error` for each bad input.

        Raises:
          DataError: the one picture cannot be read. UsageError: neither detector nor boxes, or no
            input. ValueError: another kind of array, or boxes that are none.
        """
        if hasattr(source, "shape"):
            return self._people(Frame("", checked_image(source)), boxes, box_scores)
        if isinstance(source, (str, Path)) and is_one_picture(source):
            picture = read_picture(source)
            return self._people(Frame("", picture.image), boxes, box_scores)
        frames, count = frames_of(source)
        if boxes is not None:
            frames = with_boxes(frames, boxes_by_name(boxes, box_scores).get)
        return (result for _, result in self.stream(frames, count))

    def stream(
        self,
        frames: Iterable[Frame],
        count: int | None = None,
        keep_images: bool = False,
        clock: DeviceClock | None = None,
        live: bool = False,
    ) -> Iterator[tuple[Frame, FrameResult]]:
        """Estimate people frame by frame.

        Args:
          frames: with their own `boxes` or without.
          count: their number, if it is known; a single one needs no large batches.
          keep_images: whether the frames come back with their pixels.
          clock: takes the device's time, if it is wanted; entered by the caller.
          live: finish each frame before the next is taken, for a camera.

        Yields:
          the frames, in order, with their results; those with an `error` too.

        Raises:
          UsageError: a frame without boxes and no detector, or with boxes and a bottom-up network.
        """
        if clock is None:
            with DeviceClock() as own_clock:
                yield from self.stream(frames, count, keep_images, own_clock, live)
            return
        sizes = batch_sizes(self.options, count)
        # A bottom-up network's people come with their joints, already chosen.
        select = (lambda boxes: boxes) if self._pose is None else self._select
        flow = Flow(self._detector, self._pose, sizes, select, clock, keep_images, live)
        for pending in flow.run(self._checked(frames)):
            yield pending.frame, self._result(pending)

    def compile_networks(self, count: int | None = None) -> None:
        """Compile the networks for a run over so many frames (None: many).

        What is left compiles in a moment, once for each canvas side. A bottom-up network's input
        follows from the frame: it compiles with that.
        """
        detector = self._detector if isinstance(self._detector, DetectorFunctions) else None
        compile_networks(detector, self._pose, batch_sizes(self.options, count))

    def warm_up(self, width: int = 1280, height: int = 720, many: bool = False) -> None:
        """Compile everything for pictures of a size, so that the first one is not slow.

        Args:
          width, height: px; pictures that share its canvas (`canvases.SIDES`) are as warm.
          many: compile for folders, lists and videos instead of single pictures.
        """
        count = None if many else 1
        self.compile_networks(count)
        image = np.zeros((height, width, 3), np.uint8)
        whole = person_boxes([[0, 0, width, height]])
        frames = [Frame("", image, boxes=whole)] if self._pose is not None else []
        if self._detector is not None:
            frames.append(Frame("", image))
        for frame in frames:
            for _ in self.stream([frame], count):
                pass

    def _people(self, frame: Frame, boxes: Any, scores: Any) -> list[Person]:
        if boxes is not None:
            frame = frame._replace(boxes=person_boxes(boxes, scores))
        ((_, result),) = self.stream([frame], 1)
        return list(result.people)

    def _checked(self, frames: Iterable[Frame]) -> Iterator[Frame]:
        for frame in frames:
            name = frame.name or "the picture"
            if self._detector is None and frame.boxes is None and frame.image is not None:
                raise UsageError(f"{name}: no detector and no boxes; give one of them")
            if self._pose is None and frame.boxes is not None:
                raise UsageError(f"{name}: a bottom-up network takes no boxes; leave them out")
            yield frame

    def _select(self, boxes: Boxes) -> Boxes:
        kept = np.flatnonzero(boxes.scores >= person_threshold(self.options))
        if self.options.max_persons is not None:
            best = np.argsort(-boxes.scores[kept], kind="stable")[: self.options.max_persons]
            kept = kept[np.sort(best)]
        return Boxes(boxes.boxes_xyxy[kept], boxes.scores[kept])

    def _result(self, pending: Pending) -> FrameResult:
        frame, (width, height) = pending.frame, pending.size
        people = () if pending.boxes is None else self._assembled(pending.boxes, pending.joints)
        result = FrameResult(frame.name, width, height, people, frame.video, frame.index)
        return result._replace(error=frame.error, folder=frame.folder)

    def _assembled(self, boxes: Boxes, joints: np.ndarray) -> tuple[Person, ...]:
        if not len(boxes.scores):
            return ()
        points, peaks = joints[..., :2], joints[..., 2]
        scores = JOINT_SCORES[self.options.joint_score](peaks, boxes.scores)
        kept = np.ones(len(points), bool)
        if self.options.oks_nms is not None:
            sides = boxes.boxes_xyxy[:, 2:] - boxes.boxes_xyxy[:, :2]
            similar = pairwise_oks(points, sides.prod(-1), self.skeleton.sigmas)
            order = boxes.scores * peaks.mean(-1)
            kept = distinct_poses(similar, order, self.options.oks_nms)
        return tuple(
            Person(
                boxes.boxes_xyxy[n], float(boxes.scores[n]), points[n], scores[n],
                self.skeleton.joints,
            )
            for n in np.flatnonzero(kept)
        )  # fmt: skip
