"""What a trained network is compared with: the untrained one, and the mean pose of the box."""

from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from typing import Any

import numpy as np

from jaxpose.evaluation.mean_pose import mean_pose, place_pose
from jaxpose.pipelines.scoring import from_all_processes
from jaxpose.tasks.task import Task

# Batches of training people that the mean pose is taken over; it has long settled by then.
MOST_BATCHES = 100


def mean_pose_scores(
    task: Task,
    train: Iterable[Mapping[str, Any]],
    validation: Iterable[Mapping[str, Any]],
    interrupted: Callable[[], None] = lambda: None,
) -> dict[str, Any]:
    """Scores of the training people's mean pose, placed into each validation person's box.

    `interrupted` is called before each batch; it raises to stop.
    """
    keypoints, boxes = [], []
    for own in islice(train, MOST_BATCHES):
        interrupted()
        batch, _ = from_all_processes(own, {})
        real = np.asarray(batch["mask"]) > 0
        # A joint that a data set lacks is no annotation.
        flags = (
            np.asarray(batch["keypoints"])[real] * np.asarray(batch["joint_mask"])[real, :, None]
        )
        keypoints.append(flags)
        boxes.append(np.asarray(batch["box_xyxy"])[real])
    pose = mean_pose(np.concatenate(keypoints), np.concatenate(boxes))
    evaluator = task.evaluator()
    for own in validation:
        interrupted()
        batch, _ = from_all_processes(own, {})
        points = place_pose(pose, np.asarray(batch["box_xyxy"]))
        evaluator.add(batch, {"points": points, "scores": np.ones(points.shape[:2])})
    return evaluator.result()
