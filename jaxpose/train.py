"""Train a network: `python -m jaxpose.train --config=configs/quickstart.py [--workdir=DIR]`."""

from absl import flags

from jaxpose.config import define_config_flag
from jaxpose.errors import UsageError, run_main

_CONFIG = define_config_flag()
_WORKDIR = flags.DEFINE_string(
    "workdir", None, "Checkpoints and metrics; runs/<config name> without it."
)


def main(argv: list[str]) -> None:
    """Flags -> one call."""
    from jaxpose.pipelines.train import default_workdir, train

    if len(argv) > 1:
        raise UsageError(f"unexpected argument {argv[1]!r}; flags start with --")
    if _CONFIG.value is None:
        raise UsageError("--config=FILE is missing, for example --config=configs/quickstart.py")
    config_file = flags.FLAGS["config"].config_filename
    train(_CONFIG.value, _WORKDIR.value or default_workdir(config_file))


if __name__ == "__main__":
    run_main(main)
