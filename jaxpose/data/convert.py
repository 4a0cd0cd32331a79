"""Photographs and annotations -> records, on all cores.

Threads suffice: OpenCV decodes, reduces and encodes outside Python's lock.
"""

from collections.abc import Iterator

import numpy as np
from tqdm import tqdm

from jaxpose.annotations.images import read_image
from jaxpose.annotations.schema import Frame
from jaxpose.data.canvas import Canvas, encode_canvas, frame_canvas, person_canvas
from jaxpose.data.labels import (
    belongs_to_people,
    crop_geometry,
    frame_labels,
    people_labels,
    person_labels,
)
from jaxpose.data.parallel import ahead, available_cores, thread_pool
from jaxpose.data.plan import FrameJob, Plan
from jaxpose.data.records import Record
from jaxpose.data.tally import Tally
from jaxpose.errors import DataError

# (record, reason) of each person or frame that could not be converted.
Problems = list[tuple[str, str]]


def convert_split(plan: Plan, split: str, progress: bool = True) -> Iterator[Record]:
    """Records of a split, in an order that depends on the source alone.

    `plan.tallies` counts them meanwhile.

    Raises:
      DataError: more records are refused than `plan.rejections` allows, or all of them.
    """
    jobs = plan.splits[split]
    bar = tqdm(total=len(jobs), desc=f"{plan.dataset} {split}", unit="img", disable=not progress)
    workers = available_cores()
    tally = plan.tallies[split] = Tally()
    count = 0
    with bar, thread_pool(workers) as pool:
        results = ahead(jobs, lambda job: convert_frame(job, plan), pool, 4 * workers)
        for job, (records, problems) in zip(jobs, results, strict=True):
            bar.update()
            for record, reason in problems:
                plan.rejections.add(job.path, record, reason)
            count += len(records)
            tally.add(job.frame, records)
            yield from records
    if not count:
        raise DataError(f"{plan.dataset}: every record of split {split} was refused")


def convert_frame(job: FrameJob, plan: Plan) -> tuple[list[Record], Problems]:
    """Records of one frame and what was refused of it."""
    try:
        image = read_image(job.path)
        check_size(job.frame, image)
    except DataError as error:
        return [], [(job.frame.image_id, str(error))]
    labels = frame_labels(job.frame, plan.dataset, (image.shape[1], image.shape[0]))
    if plan.config == "images":
        people = people_labels(
            job.frame.persons, plan.skeleton.size, plan.classes, plan.box_offsets
        )
        labels |= {f"people/{name}": value for name, value in people.items()}
        canvas = frame_canvas(image.shape[1], image.shape[0], plan.canvas)
        return [labels | _canvas_fields(image, canvas, plan.jpeg_quality)], []
    return _person_records(job.frame, image, labels, plan)


def check_size(frame: Frame, image: np.ndarray) -> None:
    """Raise DataError unless the image has the size that its annotation says, if it says one."""
    size = (image.shape[1], image.shape[0])
    said = (frame.width or size[0], frame.height or size[1])
    if said != size:
        raise DataError(f"image is {size[0]} x {size[1]}, annotated as {said[0]} x {said[1]}")


def _person_records(
    frame: Frame, image: np.ndarray, labels: Record, plan: Plan
) -> tuple[list[Record], Problems]:
    records: list[Record] = []
    problems: Problems = []
    for index, person in enumerate(frame.persons):
        if not belongs_to_people(person):
            continue
        center, scale = crop_geometry(person)
        canvas = person_canvas(center, scale, image.shape[1], image.shape[0], plan.canvas)
        if canvas is None:
            problems.append((f"{frame.image_id}#{index}", "person's crop misses the image"))
            continue
        person_fields = person_labels(person, index, plan.classes, plan.box_offsets)
        named = {f"person/{name}": value for name, value in person_fields.items()}
        records.append(labels | named | _canvas_fields(image, canvas, plan.jpeg_quality))
    return records, problems


def _canvas_fields(image: np.ndarray, canvas: Canvas, quality: int) -> Record:
    return {
        "image/encoded": encode_canvas(image, canvas, quality),
        "image/matrix": canvas.matrix,
        "image/valid": canvas.valid,
    }
