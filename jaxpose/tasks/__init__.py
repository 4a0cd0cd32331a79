"""What differs between model families, as plain functions in one record each."""

from ml_collections import ConfigDict

from jaxpose.errors import UsageError
from jaxpose.tasks.bottom_up import bottom_up_task
from jaxpose.tasks.detection import detection_task
from jaxpose.tasks.pose import pose_task
from jaxpose.tasks.task import Task

TASKS = {"pose": pose_task, "detection": detection_task, "bottom_up": bottom_up_task}


def make_task(config: ConfigDict) -> Task:
    """The task that `config.task` names; UsageError if there is none of that name."""
    if config.task not in TASKS:
        raise UsageError(f"config.task is {config.task!r}; there are {', '.join(TASKS)}")
    return TASKS[config.task](config)
