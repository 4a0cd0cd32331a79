"""Choose from which score on a detector's boxes are people: python tools/choose_threshold.py RUN

Prints precision, recall and F1 at IoU 0.5 for thresholds from 0.05 to 0.95 over the training split
of the run, crowds and ignored boxes left out, and the threshold of the best F1, to a hundredth.
Write it into the run's config file (config.detect.person_threshold = ...), and into weights that
are handed on:

    python tools/export_weights.py RUN FILE.npz --person_threshold=...

`predict`, `PoseEstimator` and `evaluate --pose` take it where no --det_threshold is given.
"""

from typing import Any

from absl import flags

from jaxpose.errors import UsageError, run_main

_OPTIONS = {
    "split": flags.DEFINE_string("split", None, "Split; the run's training split without."),
    "dataset": flags.DEFINE_string("dataset", None, "Data set; one that the run was trained on."),
    "data_dir": flags.DEFINE_string("data_dir", None, "Folder of built records; as the run."),
    "source": flags.DEFINE_enum("source", None, ["records", "shards"], "Format; as the run."),
    "batch_size": flags.DEFINE_integer("batch_size", None, "Images a batch; as the run."),
}


def main(argv: list[str]) -> None:
    """Flags -> one call -> a table."""
    if len(argv) != 2:
        raise UsageError("usage: choose_threshold.py RUN [--split=train] (see --help)")
    from jaxpose.evaluation.operating_points import points_table
    from jaxpose.pipelines.choose_threshold import sweep_thresholds

    options: dict[str, Any] = {name: flag.value for name, flag in _OPTIONS.items()}
    sweep = sweep_thresholds(argv[1], **options)
    best = sweep.best
    print("\n".join([sweep.data, *points_table(sweep.points[::5])]))
    print(
        f"best F1 {100 * best.f1:.2f} at {best.threshold:g}; the config has "
        f"detect.person_threshold={sweep.own:g}"
    )


if __name__ == "__main__":
    run_main(main)
