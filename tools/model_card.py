"""Measure a weight file and write its scores into the model card NAME.md beside NAME.npz.

python tools/model_card.py jaxpose/zoo/person_hourglass_small.npz --data_dir=FOLDER \\
    --score=coco_people_crops:oks_ap,oks_ap50,pck,pck_* --score=lspet_people_crops:pck,pck_* \\
    --full=runs/person_hourglass_small

The sections that a program cannot write (`jaxpose.zoo.cards.SECTIONS`) and the head's `licence`
stay as they are; in a new card they are empty.
"""

from pathlib import Path
from typing import Any

from absl import flags

from jaxpose.errors import UsageError, run_main

_SCORE = flags.DEFINE_multi_string(
    "score",
    [],
    "DATA_SET:SCORE,SCORE,...: what to measure; a score may be a pattern such as pck_*.",
)
_FULL = flags.DEFINE_string("full", None, "The same network in full precision, to compare.")
_OUTPUT_DIR = flags.DEFINE_string("output_dir", "runs/model_card", "Folder of all scores.json.")
_OPTIONS = {
    "data_dir": flags.DEFINE_string("data_dir", None, "Folder of built records; as the run."),
    "source": flags.DEFINE_enum("source", None, ["records", "shards"], "Format; as the run."),
    "split": flags.DEFINE_string("split", None, "Split to score; the run's own without."),
    "batch_size": flags.DEFINE_integer("batch_size", None, "Persons or frames; as the run."),
}


def main(argv: list[str]) -> None:
    """Flags -> one call."""
    if len(argv) != 2 or not _SCORE.value:
        raise UsageError("usage: model_card.py FILE.npz --score=DATA_SET:SCORE,... (see --help)")
    from jaxpose.pipelines.model_card import measure_card

    options: dict[str, Any] = {name: flag.value for name, flag in _OPTIONS.items()}
    wanted = dict(_wanted(text) for text in _SCORE.value)
    path = measure_card(Path(argv[1]), wanted, Path(_OUTPUT_DIR.value), full=_FULL.value, **options)
    print(f"written: {path}")


def _wanted(text: str) -> tuple[str, list[str]]:
    data_set, _, names = text.partition(":")
    if not data_set or not names:
        raise UsageError(f"--score={text}: give DATA_SET:SCORE,SCORE,...")
    return data_set, names.split(",")


if __name__ == "__main__":
    run_main(main)
