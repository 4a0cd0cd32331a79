"""Photographs and annotations -> records, on all cores.

Threads suffice: OpenCV decodes, reduces and encodes outside Python's lock.
"""

from collections.abc import Iterator

from tqdm import tqdm

from jaxpose.annotations.images import decode_reduced, image_header, read_bytes
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
DECODING = "JPEGs were decoded at 1/2, 1/4 or 1/8 of their size where no record keeps more of them"
_WHOLE = -1  # instead of the index of a person: the whole frame


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
    """Records of one frame and what was refused of it.

    A JPEG of which no record keeps more is decoded reduced (PoseTrack's frames of 1280 x 720 px on
    a canvas of 512 px: half the size): decoding and area averaging take 40 to 50 % less time then.
    Their pixels then differ by 0.2 to 1.8 grey levels in the mean, about as much as the records'
    own JPEG quality 95 changes them.
    """
    frame, name = job.frame, str(job.path)
    try:
        data = read_bytes(job.path)
        _, width, height = image_header(data, name)
        canvases, problems = _canvases(frame, width, height, plan)
        reduction = min((canvas.reduction for canvas in canvases.values()), default=1)
        image, reduction = decode_reduced(data, name, reduction)
        check_size(frame, width, height)
    except DataError as error:
        return [], [(frame.image_id, str(error))]
    labels = frame_labels(frame, plan.dataset, (width, height))
    records = [
        labels
        | _labels(frame, index, plan)
        | {
            "image/encoded": encode_canvas(image, canvas, plan.jpeg_quality, reduction),
            "image/matrix": canvas.matrix,
            "image/valid": canvas.valid,
        }
        for index, canvas in canvases.items()
    ]
    return records, problems


def check_size(frame: Frame, width: int, height: int) -> None:
    """Raise DataError unless the image has the size that its annotation says, if it says one."""
    said = (frame.width or width, frame.height or height)
    if said != (width, height):
        raise DataError(f"image is {width} x {height}, annotated as {said[0]} x {said[1]}")


def _canvases(
    frame: Frame, width: int, height: int, plan: Plan
) -> tuple[dict[int, Canvas], Problems]:
    """The canvas of each record by the index of its person, or that of the frame under _WHOLE."""
    if plan.config == "images":
        return {_WHOLE: frame_canvas(width, height, plan.canvas)}, []
    canvases: dict[int, Canvas] = {}
    problems: Problems = []
    for index, person in enumerate(frame.persons):
        if not belongs_to_people(person):
            continue
        canvas = person_canvas(*crop_geometry(person), width, height, plan.canvas)
        if canvas is None:
            problems.append((f"{frame.image_id}#{index}", "person's crop misses the image"))
        else:
            canvases[index] = canvas
    return canvases, problems


def _labels(frame: Frame, index: int, plan: Plan) -> Record:
    """Labels of the persons of a record, beside those of its frame."""
    skeleton, classes, offsets = plan.skeleton, plan.classes, plan.box_offsets
    if index == _WHOLE:
        people = people_labels(frame.persons, skeleton.size, classes, offsets)
        return {f"people/{name}": value for name, value in people.items()}
    person = person_labels(frame.persons[index], index, classes, offsets)
    return {f"person/{name}": value for name, value in person.items()}
