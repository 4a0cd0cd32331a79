"""What the records of a split hold, counted while they are written: for shapes and protocols."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from jaxpose.annotations.people import (
    HEAD_SIZE_PER_DIAGONAL,
    HEAD_SIZE_PER_RAW_SCALE,
    BoxOffsets,
    box_rule,
    head_size_rule,
    person_box,
)
from jaxpose.annotations.schema import Frame, Person
from jaxpose.data.labels import belongs_to_people, crop_rule
from jaxpose.data.records import Record

_HEAD_SIZES = {
    "head_box": f"as {HEAD_SIZE_PER_DIAGONAL:g} x head-box diagonal",
    "scale": f"as {HEAD_SIZE_PER_RAW_SCALE:g} x raw scale",
    "": "unknown",
}


@dataclass
class Tally:
    """Counts of one split.

    Attributes:
      most_boxes: largest number of persons or objects in one record.
      most_ignored: largest number of ignore polygons in one record; 0 for config `people`.
      boxes, crops, head_sizes: how many came from which rule.
    """

    most_boxes: int = 0
    most_ignored: int = 0
    boxes: Counter[str] = field(default_factory=Counter)
    crops: Counter[str] = field(default_factory=Counter)
    head_sizes: Counter[str] = field(default_factory=Counter)

    def add(self, frame: Frame, records: Sequence[Record]) -> None:
        """Count the records that a frame gave: itself, or some of its persons."""
        for record in records:
            if "person/index" in record:
                self.most_boxes = 1
                self._add_person(frame.persons[int(record["person/index"])])
                continue
            self.most_boxes = max(self.most_boxes, len(frame.persons))
            self.most_ignored = max(self.most_ignored, len(frame.ignore_polygons))
            for person in frame.persons:
                self._add_person(person)

    def _add_person(self, person: Person) -> None:
        box, source = person_box(person)
        has_area = bool(np.all(box[2:] > box[:2]))
        self.boxes[source if has_area else "none"] += 1
        if belongs_to_people(person):
            self.crops[crop_rule(person)] += 1
            self.head_sizes[head_size_rule(person)] += 1

    def notes(self, split: str, classes: tuple[str, ...], box_offsets: BoxOffsets) -> list[str]:
        """Sentences for the manifest: where boxes, crops and head sizes come from."""
        kind = classes[0] if len(classes) == 1 else "object"
        boxes = {
            "annotated": "annotated",
            "keypoints": f"from {box_rule(box_offsets)}",
            "none": "without area",
        }
        found = (
            (f"{kind} boxes", self.boxes, boxes),
            ("crops", self.crops, {rule: f"from {rule}" for rule in self.crops}),
            ("head sizes", self.head_sizes, _HEAD_SIZES),
        )
        return [
            f"{split} {what}: "
            + ", ".join(f"{n} {words[rule]}" for rule, n in sorted(counts.items()))
            for what, counts, words in found
            if counts
        ]
