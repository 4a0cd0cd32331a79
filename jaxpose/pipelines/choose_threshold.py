"""From which score on a detector's boxes are people: precision and recall on its training data."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
from ml_collections import ConfigDict

from jaxpose.errors import DataError, UsageError
from jaxpose.evaluation.operating_points import OperatingPoint, best_point, operating_points
from jaxpose.inference.restore import restore
from jaxpose.pipelines.evaluate import one_pass, opened_split
from jaxpose.tasks.detection_prediction import PERSON, person_class

THRESHOLDS = tuple(number / 100 for number in range(5, 96))
# What a match is: plain IoU of 0.5. Difficult boxes are neither positives nor errors.
_RULES: dict[str, Any] = {
    "iou_threshold": 0.5,
    "plus_one": False,
    "inclusive": True,
    "difficult": "ignore",
}


class Sweep(NamedTuple):
    """A detector's operating points on a split.

    Attributes:
      points: for every hundredth from 0.05 to 0.95.
      best: the one of the largest F1.
      own: `detect.person_threshold` of the detector's config.
      data: what it was measured on, in words.
    """

    points: list[OperatingPoint]
    best: OperatingPoint
    own: float
    data: str


def sweep_thresholds(
    run: str, *, dataset: str | None = None, split: str | None = None, **options: Any
) -> Sweep:
    """Precision, recall and F1 of a detector's people at IoU 0.5, for thresholds from 0.05 to 0.95.

    Each detection is compared with the person of the highest IoU in its image, and the best of a
    person's counts, as in VOC AP. Crowds are regions here, as in COCO AP: detections with more than
    half their area in one do not count, nor do those of difficult boxes and in ignored regions.

    Args:
      run: checkpoint, see `jaxpose.restore`.
      dataset: data set; without it the run's scored set if it was trained on it, else its first.
      split: the run's training split without. A threshold that was chosen on a validation split
        makes scores on that split too good.
      options: of `evaluate.opened_split`: data_dir, source, batch_size.

    Raises:
      UsageError: a network of the other task, or one without the class `person`. DataError: no such
        records or split, or nobody is annotated in it. CheckpointError: no intact checkpoint.
    """
    restored = restore(run)
    config = restored.config
    if config.task != "detection":
        raise UsageError(f"{run} holds a network for {config.task}; give a person detector's")
    person_class(tuple(config.classes))
    records = opened_split(
        run,
        restored,
        dataset=dataset or _trained_set(config),
        split=split or config.data.train_split,
        classes=(PERSON,),
        **_RULES,
        **options,
    )
    evaluator, _ = one_pass(restored, records, with_crowds_ignored(records.validation()))
    data = f"{records.config.data.eval} {records.config.data.eval_split}"
    curves = evaluator.curves()
    people = curves[PERSON].positives if curves else 0
    if not people:
        raise DataError(f"{data}: nobody is annotated in it, so it tells no threshold")
    points = operating_points(curves[PERSON], THRESHOLDS)
    data += f", {people} people, step {restored.step}"
    return Sweep(points, best_point(points), config.detect.person_threshold, data)


def with_crowds_ignored(batches: Iterable[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """Detection batches (see `data.image_batches`) in which crowds are ignored regions as well."""
    for batch in batches:
        crowds = np.where(batch["crowd"][..., None], batch["boxes"], 0)
        yield {**batch, "ignore": np.concatenate([batch["ignore"], crowds], 1)}


def _trained_set(config: ConfigDict) -> str:
    train, scored = config.data.train, config.data.eval
    return str(scored if scored in train else train[0])
