"""Score a checkpoint: `python -m jaxpose.evaluate --workdir=runs/quickstart`."""

from absl import flags

from jaxpose.errors import UsageError, run_main

_WORKDIR = flags.DEFINE_string("workdir", None, "The training run's folder.")
_STEP = flags.DEFINE_integer("step", None, "Step to score; the best one, else the newest, without.")
_SPLIT = flags.DEFINE_string("split", None, "Split to score; the run's own without.")
_DATASET = flags.DEFINE_string("dataset", None, "Data set to score; the config's without.")
_DATA_DIR = flags.DEFINE_string("data_dir", None, "Folder of built records; the run's without.")
_SOURCE = flags.DEFINE_enum("source", None, ["records", "shards"], "Format; the run's without.")
_FLIP_TEST = flags.DEFINE_bool("flip_test", None, "Average both mirrorings; as the run without.")
_THRESHOLDS = flags.DEFINE_list(
    "score_thresholds", None, "Of a detector's sweep, such as 0.15,0.3,0.5; as the run without."
)
_RULE = flags.DEFINE_enum("rule", None, ["11point", "area"], "Of VOC AP; as the run without.")
_BATCH_SIZE = flags.DEFINE_integer(
    "batch_size", None, "Persons or frames a batch; as the run without."
)


def main(argv: list[str]) -> None:
    """Flags -> one call."""
    from jaxpose.pipelines.evaluate import evaluate

    if len(argv) > 1:
        raise UsageError(f"unexpected argument {argv[1]!r}; flags start with --")
    if _WORKDIR.value is None:
        raise UsageError("--workdir=DIR of a training run is missing")
    evaluate(
        _WORKDIR.value,
        step=_STEP.value,
        dataset=_DATASET.value,
        split=_SPLIT.value,
        data_dir=_DATA_DIR.value,
        source=_SOURCE.value,
        flip_test=_FLIP_TEST.value,
        score_thresholds=_thresholds(),
        rule=_RULE.value,
        batch_size=_BATCH_SIZE.value,
    )


def _thresholds() -> list[float] | None:
    if _THRESHOLDS.value is None:
        return None
    try:
        values = [float(text) for text in _THRESHOLDS.value]
    except ValueError:
        values = []
    if not values or not all(0 <= value < 1 for value in values):
        given = ",".join(_THRESHOLDS.value)
        raise UsageError(f"--score_thresholds={given!r}: give numbers from 0 to below 1")
    return values


if __name__ == "__main__":
    run_main(main)
