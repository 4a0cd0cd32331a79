"""Photographs and annotations -> records through Apache Beam, for sets that outgrow one machine.

The same records in the same order and the same shards as `convert_split` gives on one machine.
Every worker must see the pictures and the folder of the records under the same paths.
"""

import json
from collections.abc import Iterator
from dataclasses import replace
from itertools import accumulate
from pathlib import Path
from typing import Any

import apache_beam as beam

from jaxpose.annotations.json_files import load_json
from jaxpose.annotations.schema import Rejections
from jaxpose.data.convert import Problems, convert_frame
from jaxpose.data.plan import FrameJob, Plan
from jaxpose.data.records import Record, first_record, number_of_shards
from jaxpose.data.tally import Tally

# Number of a frame in its split, its records, what was refused of it.
Converted = tuple[int, list[Record], Problems]


class ConvertSplit(beam.PTransform):
    """Makes (key, record) of all frames of a split, and a report on them for `account`.

    Args:
      plan: what to convert.
      split: name of its split.
      folder: where the report goes.
    """

    def __init__(self, plan: Plan, split: str, folder: Path) -> None:
        super().__init__()
        self._jobs, self._report = plan.splits[split], _report_file(folder, split)
        # What each worker gets: without the frames, and without counts, which stay on one machine.
        self._plan = replace(plan, splits={}, rejections=Rejections(), tallies={})

    def expand(self, begin: Any) -> Any:
        """The steps; called by Beam."""
        converted = (
            begin
            | "Frames" >> beam.Create(list(enumerate(self._jobs)))
            | "Spread" >> beam.Reshuffle()
            | "Convert" >> beam.Map(_convert, self._plan)
        )
        rows = converted | "Tell" >> beam.Map(_told) | "AllRows" >> beam.combiners.ToList()
        rows | "Report" >> beam.Map(_write_report, str(self._report))
        starts = rows | "Count" >> beam.Map(_first_records)
        return converted | "Keys" >> beam.FlatMap(
            _keyed, beam.pvalue.AsSingleton(starts), self._plan.canvas
        )


def account(plan: Plan, split: str, folder: Path) -> None:
    """Count the records of a split that was converted, as `convert_split` does meanwhile.

    Raises:
      DataError: more records were refused than `plan.rejections` allows.
    """
    file = _report_file(folder, split)
    tally = plan.tallies[split] = Tally()
    for job, (_, indices, problems) in zip(plan.splits[split], load_json(file), strict=True):
        for record, reason in problems:
            plan.rejections.add(job.path, record, reason)
        tally.add(job.frame, [{} if index < 0 else {"person/index": index} for index in indices])
    file.unlink()


def record_key(number: int, records: int, canvas: int) -> int:
    """Key that brings record `number` of so many into its place in its shard.

    TFDS's Beam writer cuts the range up to the largest key into equal parts, one a shard. Our
    shards differ by a record in their size: each begins at a multiple of a number that is larger
    than all sizes, and the last record has the largest key.
    """
    shards = number_of_shards(records, canvas)
    stride = -(-records // shards) + 1
    if number == records - 1:
        return shards * stride
    shard = number * shards // records  # this one or, as the cuts are rounded, the next or last
    shard += first_record(records, shards, shard + 1) <= number
    shard -= first_record(records, shards, shard) > number
    return shard * stride + number - first_record(records, shards, shard)


def _report_file(folder: Path, split: str) -> Path:
    return folder / f"{split}.report.json"


def _convert(numbered: tuple[int, FrameJob], plan: Plan) -> Converted:
    number, job = numbered
    return number, *convert_frame(job, plan)


def _told(converted: Converted) -> tuple[int, list[int], Problems]:
    """Instead of each record the index of its person, -1 for a whole frame."""
    number, records, problems = converted
    return number, [int(record.get("person/index", -1)) for record in records], problems


def _write_report(rows: list[Any], file: str) -> None:
    Path(file).write_text(json.dumps(sorted(rows)), encoding="utf-8")


def _first_records(rows: list[Any]) -> list[int]:
    """Number of the first record of each frame, and at the end that of all records."""
    return list(accumulate((len(indices) for _, indices, _ in sorted(rows)), initial=0))


def _keyed(converted: Converted, starts: list[int], canvas: int) -> Iterator[tuple[int, Record]]:
    number, records, _ = converted
    for n, record in enumerate(records, starts[number]):
        yield record_key(n, starts[-1], canvas), record
